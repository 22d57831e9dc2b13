"""
What may be sent to an endpoint that nobody named: a daemon found by default has to prove whose it is.

While no daemon runs, any user may listen at the loopback port where one is looked for, or at a unix socket in
a directory that is not the caller's. The kernel says who listens at a unix socket; of a tcp port nobody does.
So a unix socket that was found by default counts only when root or the caller listens there, and over tcp
nothing is sent to a port found by default but questions: no token, no job, no environment.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from typing import Final

from libgomd.endpoints import Endpoint, FoundTcp
from libgomd.errors import UnprovenEndpoint
from libgomd.wire.lines import Request

#: The verbs that only read, with nothing secret in them; `auth`, which anybody may say, is none of these.
QUESTIONS: Final = frozenset(
    (
        "help", "version", "whoami", "format", "quit", "stats", "nodes", "node", "load", "speed", "mem",
        "util", "cpus", "status", "map", "ls", "get", "ps", "where", "watch", "events",
    )
)  # fmt: skip


def objection(connected: socket.socket, path: str, uid: int) -> str | None:
    """
    Return why a unix socket that user ``uid`` found by default does not count, None when it does. Blocks.

    :param connected: connected to it: the kernel told it who listened there.
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
    Check that ``request`` may be sent to ``endpoint``: to a tcp port found by default go questions only.

    :param tried: for the error: the endpoints before it, each with why it does not count.
    :raises UnprovenEndpoint: it is more than a question, and may have something secret in it.
    """
    if not isinstance(endpoint, FoundTcp):
        return
    verb, words = request.verb.lower(), list(request.arguments)
    if verb == "watch":  # what is watched is what is sent
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
