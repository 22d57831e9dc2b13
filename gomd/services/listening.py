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

from gomd.services.unix_port import listen_unix
from libgomd.endpoints import PUBLIC_SOCKET, Endpoint, Tcp, Unix
from libgomd.errors import ConfigError
from libgomd.private import trusted_owners

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
        self._inode: int | None = None
        if isinstance(endpoint, Unix):
            self._inode = os.stat(endpoint.path).st_ino
        else:
            self.endpoint = Tcp(endpoint.host, self.socket.getsockname()[1])

    @classmethod
    def adopt(cls, listening: socket.socket) -> Socket:
        """Return the socket of somebody who opened it for the daemon and keeps its name, as systemd does."""
        adopted = cls.__new__(cls)
        adopted.socket = listening
        listening.setblocking(False)
        address = listening.getsockname()
        if listening.family == socket.AF_UNIX:
            adopted.endpoint = Unix(os.fsdecode(address).replace("\0", "@", 1))  # @: an abstract name
        else:
            adopted.endpoint = Tcp(address[0], address[1])
        adopted._inode = None
        return adopted

    def open(self, reactor: Any, factory: Factory) -> IListeningPort:
        """Hand it to the reactor, which has a descriptor of its own for it from then on."""
        port: IListeningPort
        if isinstance(self.endpoint, Unix):
            port = listen_unix(reactor, self.socket.fileno(), factory)
        else:
            port = reactor.adoptStreamPort(self.socket.fileno(), self.socket.family, factory)
        self.socket.close()
        return port

    def close(self) -> None:
        """Close it and take its name away, unless somebody else has put his own there or opened it."""
        self.socket.close()
        if isinstance(self.endpoint, Unix) and self._inode is not None:
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
    _make_directory(os.path.dirname(path), public=path == PUBLIC_SOCKET)
    _remove_stale(path)
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    # The socket is born with its mode: a chmod afterwards could meet something else under its name. Everybody
    # may connect: the kernel tells who calls, and the role says what they may do.
    mask = os.umask(0o111)
    try:
        bound.bind(path)
        bound.listen(BACKLOG)
    except OSError:
        bound.close()
        raise
    finally:
        os.umask(mask)
    return bound


def _make_directory(path: str, public: bool) -> None:
    """
    Make the directory of a unix socket where it is missing, open to everybody whatever the umask is.

    :param public: it is the daemon's own, and opened if an earlier daemon left it closed.
    :raises OSError: it cannot be made, or others could replace the socket in it.
    """
    made = False
    with contextlib.suppress(FileExistsError):
        os.mkdir(path, 0o755)
        made = True
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        found = os.fstat(directory)
        check_socket_directory(found)
        if made or (public and found.st_uid == os.geteuid()):
            os.fchmod(directory, 0o755)
    finally:
        os.close(directory)


def check_socket_directory(found: os.stat_result) -> None:
    """Check the directory of a unix socket. :raises OSError: others could replace the socket in it."""
    if found.st_uid not in trusted_owners():
        raise OSError(None, f"its directory belongs to user {found.st_uid}, who could replace it")
    if found.st_mode & stat.S_IWOTH and not found.st_mode & stat.S_ISVTX:
        raise OSError(None, "everybody may write to its directory and replace it: chmod o-w or +t")


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
            for bound in self._sockets:
                bound.close()

        return gatherResults(closed).addBoth(close)
