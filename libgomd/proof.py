"""
Decides what may be sent to an endpoint found by default: its daemon must prove whose it is.

While no daemon runs, any user may listen at the default loopback port, or at a unix socket in a directory
that is not the caller's. The kernel tells who listens at a unix socket, but not who listens at a tcp port.
So a unix socket found by default is accepted only if its listener is root or the caller. A tcp port found by
default receives only questions: no token, no job, no environment.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from typing import Final

from libgomd.endpoints import Endpoint, FoundTcp
from libgomd.errors import UnprovenEndpoint
from libgomd.wire.lines import Request

#: The verbs that only read and contain nothing secret. `auth` is not one, although everybody may use it.
QUESTIONS: Final = frozenset(
    (
        "help", "version", "whoami", "format", "quit", "stats", "nodes", "node", "load", "speed", "mem",
        "util", "cpus", "status", "map", "ls", "get", "ps", "where", "watch", "events", "doctor",
        "history", "busiest", "measures", "switches",
    )
)  # fmt: skip


def objection(connected: socket.socket, path: str, uid: int) -> str | None:
    """
    Return why user ``uid`` must not trust a unix socket found by default; None if they may. Blocks.

    :param connected: a connection to the socket, from which the kernel tells who listens there.
    :param path: the path of the socket.
    """
    credentials = connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    listener = int.from_bytes(credentials[4:8], _BYTE_ORDER)
    owners = {"the program that listens there": listener}
    try:
        owners["the socket"] = os.stat(path).st_uid
        owners["its directory"] = os.stat(os.path.dirname(path) or ".").st_uid
    except OSError as error:
        return error.strerror or str(error)
    for what, owner in owners.items():
        if owner not in (0, uid):
            return f"{what} is user {owner}'s, neither root's nor yours"
    return None


def check_request(request: Request, endpoint: Endpoint, tried: Sequence[str] = ()) -> None:
    """
    Check that ``request`` may be sent to ``endpoint``. A tcp port found by default receives only questions.

    :param tried: the endpoints tried before, each with the reason why it was rejected; for the error.
    :raises UnprovenEndpoint: the request is not a question, and may contain something secret.
    """
    if not isinstance(endpoint, FoundTcp):
        return
    verb, words = request.verb.lower(), list(request.arguments)
    if verb == "watch":  # the watched request decides
        while len(words) > 1 and (words[0] in ("-n", "-c") or words[0].startswith("@")):
            del words[: 2 if words[0] in ("-n", "-c") else 1]
        verb = words[0].lower() if words else verb
    if verb not in QUESTIONS:
        none = f"no daemon at {', '.join(tried)}, and " if tried else ""
        raise UnprovenEndpoint(
            f"{none}`{verb}` is not sent to {endpoint}, where any program may listen: start gomd, or name "
            "the endpoint of your daemon with -c or in $GOMD_ENDPOINT"
        )


_BYTE_ORDER: Final = "little" if socket.htons(1) != 1 else "big"
