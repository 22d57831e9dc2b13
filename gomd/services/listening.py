"""The sockets the daemon listens at: bound before it starts, so that a taken port refuses the start."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, gatherResults, maybeDeferred
from twisted.internet.interfaces import IListeningPort
from twisted.internet.protocol import Factory

from libgomd.endpoints import Endpoint, Tcp, Unix
from libgomd.errors import ConfigError

#: Connections the kernel keeps for us while we are busy.
BACKLOG = 512


class Socket:
    """
    One listening socket, taken for an endpoint.

    :ivar endpoint: where it really listens: port 0 has become the port the kernel gave.
    """

    def __init__(self, setting: str, endpoint: Endpoint) -> None:
        """
        Bind and listen. A unix socket that nobody listens at any more is replaced.

        :param setting: for the sentence that says what to change, e.g. ``[telnet] endpoints``.
        :raises ConfigError: one sentence on why not.
        """
        try:
            self.socket = _bind_unix(endpoint) if isinstance(endpoint, Unix) else _bind_tcp(endpoint)
        except OSError as error:
            reason = error.strerror or str(error)
            raise ConfigError(
                [f"cannot listen at {endpoint} ({reason}): change {setting}, or stop what listens there"]
            ) from error
        self.socket.setblocking(False)
        self.endpoint: Endpoint = endpoint
        self._inode = None
        if isinstance(endpoint, Unix):
            self._inode = os.stat(endpoint.path).st_ino
        else:
            self.endpoint = Tcp(endpoint.host, self.socket.getsockname()[1])

    def open(self, reactor: Any, factory: Factory) -> IListeningPort:
        """Hand it to the reactor, which has a descriptor of its own for it from then on."""
        port: IListeningPort = reactor.adoptStreamPort(self.socket.fileno(), self.socket.family, factory)
        self.socket.close()
        return port

    def close(self) -> None:
        """Close it and take its name away, unless somebody else has put his own there."""
        self.socket.close()
        if isinstance(self.endpoint, Unix):
            with contextlib.suppress(OSError):
                if os.stat(self.endpoint.path).st_ino == self._inode:
                    os.unlink(self.endpoint.path)


def _bind_tcp(endpoint: Tcp) -> socket.socket:
    family, kind, protocol, _name, address = socket.getaddrinfo(
        endpoint.host, endpoint.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    bound = socket.socket(family, kind, protocol)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
        bound.listen(BACKLOG)
    except OSError:
        bound.close()
        raise
    return bound


def _bind_unix(endpoint: Unix) -> socket.socket:
    path = endpoint.path
    with contextlib.suppress(FileExistsError):
        os.mkdir(os.path.dirname(path), 0o755)
    _remove_stale(path)
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        bound.bind(path)
        os.chmod(path, 0o666)  # noqa: S103 - who calls is told by the kernel, and what he may do by his role
        bound.listen(BACKLOG)
    except OSError:
        bound.close()
        raise
    return bound


def _remove_stale(path: str) -> None:
    """Remove the socket a killed daemon left; one that still answers is not ours to remove."""
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            raise OSError(None, "there is a file that is no socket")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
            return
    raise OSError(None, "another daemon answers there")


class Listening(Service):
    """
    Listens at ``sockets`` while it runs.

    :param after: when it fires the first connection is accepted; those that come before it wait in
        the kernel, and are answered with values instead of "not known yet".
    """

    def __init__(
        self, reactor: Any, sockets: tuple[Socket, ...], factory: Factory, after: Deferred[None]
    ) -> None:
        self._reactor = reactor
        self._sockets = sockets
        self._factory = factory
        self._after = after
        self._ports: list[IListeningPort] = []

    def startService(self) -> None:
        """Accept connections as soon as there is something to answer."""
        super().startService()
        self._after.addCallback(self._open)

    def _open(self, _result: None) -> None:
        if self.running:
            self._ports = [bound.open(self._reactor, self._factory) for bound in self._sockets]

    def stopService(self) -> Deferred[None]:
        """Accept no more; fires when the ports are closed."""
        super().stopService()
        closed = [maybeDeferred(port.stopListening) for port in self._ports]

        def close(_results: object) -> None:
            for bound in self._sockets:  # only now: a port takes the name of its unix socket away itself
                bound.close()

        return gatherResults(closed).addBoth(close)
