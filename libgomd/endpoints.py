"""
Where a daemon listens, as text: ``tcp:HOST:PORT`` or ``unix:PATH``, and where to look when nobody said.

Nothing here connects; `libgomd.client` and `libgomd.blocking` do.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final, NamedTuple

from libgomd.errors import ConfigError

#: The telnet line's port, on the loopback address unless gomd.ini says otherwise.
PORT: Final = 2901
#: STATE of a daemon that root runs.
ROOT_STATE: Final = "/var/lib/gomd"
#: The name of the unix socket in STATE.
SOCKET_NAME: Final = "gomd.sock"
#: Where everybody reaches the daemon that root runs, whose STATE is closed to him.
PUBLIC_SOCKET: Final = "/run/gomd/gomd.sock"


class Tcp(NamedTuple):
    """A daemon at a tcp port; ``host`` is a name or an address, IPv6 without its brackets."""

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
    """A tcp port that nobody named: any program may listen there (`libgomd.proof`)."""

    __slots__ = ()


class FoundUnix(Unix):
    """A unix socket that nobody named: who listens there has to be root or the caller."""

    __slots__ = ()


def parse_endpoint(text: str) -> Endpoint:
    """
    Return the endpoint that ``text`` names.

    :raises ConfigError: it is neither ``tcp:HOST:PORT`` nor ``unix:PATH``.
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
    """Return STATE, the directory a daemon of user ``uid`` keeps its socket, tokens and host key in."""
    if uid == 0:
        return ROOT_STATE
    base = environ.get("XDG_STATE_HOME", "")
    if not os.path.isabs(base):  # the XDG specification: a relative one is to be ignored
        base = os.path.join(_home(environ, uid), ".local", "state")
    return os.path.join(base, "gomd")


def _home(environ: Mapping[str, str], uid: int) -> str:
    if home := environ.get("HOME"):
        return home
    import pwd

    try:
        return pwd.getpwuid(uid).pw_dir
    except KeyError:  # a container's user without an entry
        return "/"


def default_endpoints(environ: Mapping[str, str], uid: int) -> tuple[Endpoint, ...]:
    """
    Return where user ``uid`` should look for a daemon, the first that answers counts.

    ``$GOMD_ENDPOINT`` alone if it is set. Else the socket in STATE, then the one that root's daemon has
    for everybody (there the kernel tells who calls), then the loopback port. All but ``$GOMD_ENDPOINT`` are
    marked as found by default: they are sent nothing secret unless they prove to be root's or the caller's.

    :raises ConfigError: ``$GOMD_ENDPOINT`` is no endpoint.
    """
    if named := environ.get("GOMD_ENDPOINT"):
        return (parse_endpoint(named),)
    own = FoundUnix(os.path.join(state_directory(environ, uid), SOCKET_NAME))
    last = FoundTcp("127.0.0.1", PORT)
    return (own, last) if uid == 0 else (own, FoundUnix(PUBLIC_SOCKET), last)
