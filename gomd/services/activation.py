"""Sockets that systemd opened before it started the daemon (socket activation, sd_listen_fds)."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterable, MutableMapping, Sequence
from typing import Final

from gomd.services.listening import Socket
from libgomd.endpoints import Endpoint, Tcp
from libgomd.errors import ConfigError

#: The first descriptor that systemd passes.
FIRST_DESCRIPTOR: Final = 3
#: Largest number of descriptors that are taken; a unit of systemd has a few.
MAX_DESCRIPTORS: Final = 64
#: FileDescriptorName= of sockets for [http]. Sockets of every other name but `peers` are for the telnet line.
HTTP_NAME: Final = "http"
#: FileDescriptorName= that is refused, because the daemon makes these sockets itself.
PEERS_NAME: Final = "peers"


class PassedSockets:
    """
    The sockets that systemd passed. Each is used once, for the endpoint that it listens at.

    :param sockets: with their names (FileDescriptorName=, else the name of the .socket unit).
    :param make: makes the socket of an endpoint for which none was passed.
    """

    def __init__(
        self,
        sockets: Iterable[tuple[str, Socket]] = (),
        make: Callable[[str, Endpoint], Socket] = Socket,
    ) -> None:
        self._sockets = list(sockets)
        self._make = make

    def socket(self, setting: str, endpoint: Endpoint) -> Socket:
        """
        Return the passed socket that listens at ``endpoint``, or a new one.

        :param setting: for the error, e.g. ``[telnet] endpoints``.
        :raises ConfigError: none was passed, and none can be made.
        """
        for position, (_name, passed) in enumerate(self._sockets):
            if _serves(passed.endpoint, endpoint):
                del self._sockets[position]
                return passed
        return self._make(setting, endpoint)

    def http(self) -> Socket | None:
        """Return a passed socket named `http` that is not used yet, None if there is none."""
        for position, (name, passed) in enumerate(self._sockets):
            if name == HTTP_NAME:
                del self._sockets[position]
                return passed
        return None

    def telnet(self) -> tuple[Socket, ...]:
        """Return the sockets that are left; they serve the telnet line beside the configured endpoints."""
        left, self._sockets = self._sockets, []
        return tuple(passed for _name, passed in left)


def _serves(passed: Endpoint, wanted: Endpoint) -> bool:
    """Return whether a socket at ``passed`` gets the connections that are made to ``wanted``."""
    if not isinstance(passed, Tcp) or not isinstance(wanted, Tcp):
        return passed == wanted
    if wanted.port != passed.port:
        return False
    if passed.host in (wanted.host, "::"):
        return True
    if passed.host == "0.0.0.0":
        return ":" not in wanted.host
    return wanted.host == "localhost" and passed.host in ("127.0.0.1", "::1")


def take_sockets(
    environ: MutableMapping[str, str],
    pid: int,
    taken: Callable[[], Sequence[int]] = lambda: descriptors_taken_by_twisted(),
) -> PassedSockets:
    """
    Return the sockets that systemd passed to this process, as the variables LISTEN_* in ``environ`` say.

    The variables are removed, and the descriptors closed on exec: nothing that the daemon starts inherits
    them. Sockets that were passed to another process are left alone.

    :param pid: of this process. :param taken: returns the descriptors if Twisted has removed the variables.
    :raises ConfigError: a descriptor is not a listening stream socket, or is meant for the peers.
    """
    meant_for, count, names = (environ.pop(f"LISTEN_{key}", "") for key in ("PID", "FDS", "FDNAMES"))
    environ.pop("LISTEN_PIDFDID", None)
    descriptors: Sequence[int] = ()
    if meant_for == str(pid) and count.isascii() and count.isdigit() and len(count) < 4:
        descriptors = range(FIRST_DESCRIPTOR, FIRST_DESCRIPTOR + int(count))
    elif names and not meant_for:
        descriptors = taken()
    named = names.split(":")
    found = []
    for position, descriptor in enumerate(descriptors[:MAX_DESCRIPTORS]):
        name = named[position] if position < len(named) else "unknown"
        found.append((name, _adopt(name, descriptor)))
    return PassedSockets(found)


def descriptors_taken_by_twisted() -> list[int]:
    """
    Return the descriptors that Twisted found to be passed to this process.

    `twisted.internet.endpoints` takes LISTEN_PID and LISTEN_FDS out of the environment when it is imported,
    and gives the descriptors to its own endpoints `systemd:domain=INET:index=N`.
    """
    from twisted.plugins.twisted_core import systemdEndpointParser

    found = []
    for index in range(MAX_DESCRIPTORS):
        try:
            endpoint = systemdEndpointParser.parseStreamServer(None, "INET", index=str(index))
        except IndexError:
            break
        found.append(endpoint.fileno)
    return found


def _adopt(name: str, descriptor: int) -> Socket:
    try:
        os.set_inheritable(descriptor, False)
        passed = socket.socket(fileno=descriptor)
        if name == PEERS_NAME:
            raise ConfigError(
                ["systemd passed a socket for the peers: gomd makes these itself, remove it from gomd.socket"]
            )
        listening = passed.type == socket.SOCK_STREAM and passed.getsockopt(
            socket.SOL_SOCKET, socket.SO_ACCEPTCONN
        )
        if passed.family not in (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX) or not listening:
            raise ConfigError(
                [f"systemd passed {name!r}, which does not listen: use ListenStream= and Accept=no"]
            )
        return Socket.adopt(passed)
    except OSError as error:
        raise ConfigError(
            [f"the socket {name!r} that systemd passed cannot be used: {error.strerror}"]
        ) from error
