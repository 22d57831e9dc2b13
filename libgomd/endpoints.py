"""
The endpoints of daemons as text, ``tcp:HOST:PORT`` or ``unix:PATH``, and the default endpoints.

This module does not connect; `libgomd.client` and `libgomd.blocking` do.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final, NamedTuple

from libgomd.errors import ConfigError

#: The telnet line's port, on the loopback address unless gomd.ini says otherwise.
PORT: Final = 2901
#: The STATE directory of a daemon that runs as root.
ROOT_STATE: Final = "/var/lib/gomd"
#: The name of the unix socket in STATE.
SOCKET_NAME: Final = "gomd.sock"
#: The socket by which every user reaches the daemon of root, whose STATE only root may enter.
PUBLIC_SOCKET: Final = "/run/gomd/gomd.sock"


class Tcp(NamedTuple):
    """A daemon at a tcp port. ``host`` is a name or an address; an IPv6 address has no brackets."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"tcp:[{self.host}]:{self.port}" if ":" in self.host else f"tcp:{self.host}:{self.port}"


class Unix(NamedTuple):
    """A daemon at a unix socket of this machine."""

    path: str

    def __str__(self) -> str:
        return f"unix:{self.path}"


Endpoint = Tcp | Unix


class FoundTcp(Tcp):
    """A tcp port that was found by default: any program may listen there (see `libgomd.proof`)."""

    __slots__ = ()


class FoundUnix(Unix):
    """A unix socket that was found by default: its listener must be root or the caller."""

    __slots__ = ()


def parse_endpoint(text: str) -> Endpoint:
    """
    Return the endpoint that ``text`` names.

    :raises ConfigError: ``text`` is neither ``tcp:HOST:PORT`` nor ``unix:PATH``.
    """
    kind, _, rest = text.partition(":")
    if kind == "unix" and rest and "\0" not in rest:
        return Unix(rest)
    if kind == "tcp":
        host, _, port = rest.rpartition(":")
        if host.startswith("[") and host.endswith("]"):
            host = host[1:-1]
        elif ":" in host:
            host = ""
        if host and port.isascii() and port.isdigit() and len(port) <= 5 and 0 < int(port) < 65536:
            return Tcp(host, int(port))
    raise ConfigError(
        [f"{text!r} is no endpoint: write tcp:HOST:PORT or unix:PATH, for example tcp:127.0.0.1:{PORT}"]
    )


def state_directory(environ: Mapping[str, str], uid: int) -> str:
    """Return STATE, the directory in which a daemon of user ``uid`` keeps its socket, tokens and host key."""
    if uid == 0:
        return ROOT_STATE
    base = environ.get("XDG_STATE_HOME", "")
    if not os.path.isabs(base):  # the XDG specification says to ignore a relative path
        base = os.path.join(_home(environ, uid), ".local", "state")
    return os.path.join(base, "gomd")


def _home(environ: Mapping[str, str], uid: int) -> str:
    if home := environ.get("HOME"):
        return home
    import pwd

    try:
        return pwd.getpwuid(uid).pw_dir
    except KeyError:  # a user of a container, without an entry
        return "/"


def default_endpoints(environ: Mapping[str, str], uid: int) -> tuple[Endpoint, ...]:
    """
    Return the endpoints at which user ``uid`` should look for a daemon. The first that answers is used.

    If ``$GOMD_ENDPOINT`` is set, it is the only one. Otherwise they are the socket in STATE, then the public
    socket of root's daemon (where the kernel identifies the caller), then the loopback port. These are marked
    as found by default: they receive nothing secret unless their daemon proves to be root's or the caller's.

    :raises ConfigError: ``$GOMD_ENDPOINT`` is not an endpoint.
    """
    if named := environ.get("GOMD_ENDPOINT"):
        return (parse_endpoint(named),)
    own = FoundUnix(os.path.join(state_directory(environ, uid), SOCKET_NAME))
    last = FoundTcp("127.0.0.1", PORT)
    return (own, last) if uid == 0 else (own, FoundUnix(PUBLIC_SOCKET), last)
