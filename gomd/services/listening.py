"""The sockets that the daemon listens at. They are bound first, so that a port in use refuses the start."""

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
from gomd.sources.addresses import read_interfaces
from libgomd.endpoints import PUBLIC_SOCKET, Endpoint, Tcp, Unix
from libgomd.errors import ConfigError
from libgomd.private import trusted_owners
from libgomd.wire.addresses import unmapped, zone_of

#: Connections that the kernel queues while the daemon is busy.
BACKLOG = 512
#: The socket option to bind to an address that cannot be used yet (linux/in6.h); Python does not name it.
_IPV6_FREEBIND = 78


class Socket:
    """
    One listening socket for an endpoint.

    :ivar endpoint: where it listens; port 0 has been replaced by the port that the kernel chose.
    """

    def __init__(self, setting: str, endpoint: Endpoint, only_ipv6: bool = False) -> None:
        """
        Bind and listen. A unix socket at which nothing listens any more is replaced.

        :param setting: the setting that the error names, e.g. ``[telnet] endpoints``.
        :param only_ipv6: ``::`` does not mean the IPv4 addresses, too.
        :raises ConfigError: the endpoint cannot be used; one sentence says why.
        """
        try:
            self.socket = (
                _bind_unix(endpoint) if isinstance(endpoint, Unix) else _bind_tcp(endpoint, only_ipv6)
            )
        except OSError as error:
            reason = reason_of(error, endpoint.host if isinstance(endpoint, Tcp) else "")
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
        """Return a socket that another program, such as systemd, has opened for the daemon and keeps."""
        adopted = cls.__new__(cls)
        adopted.socket = listening
        listening.setblocking(False)
        address = listening.getsockname()
        if listening.family == socket.AF_UNIX:
            adopted.endpoint = Unix(os.fsdecode(address).replace("\0", "@", 1))  # @: an abstract name
        else:
            adopted.endpoint = Tcp(unmapped(address[0]), address[1])
        adopted._inode = None
        return adopted

    def open(self, reactor: Any, factory: Factory) -> IListeningPort:
        """Accept connections in the reactor, which has a descriptor of its own from then on."""
        port: IListeningPort
        if isinstance(self.endpoint, Unix):
            port = listen_unix(reactor, self.socket.fileno(), factory)
        else:
            port = reactor.adoptStreamPort(self.socket.fileno(), self.socket.family, factory)
        self.socket.close()
        return port

    def close(self) -> None:
        """Close it, and remove its name unless that is another program's socket by now."""
        self.socket.close()
        if isinstance(self.endpoint, Unix) and self._inode is not None:
            with contextlib.suppress(OSError):
                if os.stat(self.endpoint.path).st_ino == self._inode:
                    os.unlink(self.endpoint.path)


def reason_of(error: OSError, host: str) -> str:
    """Return why a socket cannot be bound to ``host``, as a clause: what is wrong with its zone first."""
    zone = zone_of(host)
    if zone and zone not in (name for _number, name in socket.if_nameindex()):
        return f"there is no interface {zone}"
    return error.strerror or str(error)


def allow_tentative(bound: socket.socket, address: str) -> None:
    """
    Let a socket be bound to an IPv6 address that its interface has just been given.

    For a second or two the kernel finds out whether another machine has it, and refuses it meanwhile. An
    address that no interface has is refused as before. Blocks briefly.
    """
    if ":" in address and any(each.address == address and each.tentative for each in read_interfaces()):
        bound.setsockopt(socket.IPPROTO_IPV6, _IPV6_FREEBIND, 1)


def _bind_tcp(endpoint: Tcp, only_ipv6: bool) -> socket.socket:
    # Bytes: for text, Python loads the tables of international names, also when it is an address.
    host = endpoint.host.encode("ascii") if endpoint.host.isascii() else endpoint.host
    family, kind, protocol, _name, address = socket.getaddrinfo(
        host, endpoint.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    bound = socket.socket(family, kind, protocol)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if only_ipv6 and family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        allow_tentative(bound, endpoint.host)
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
    # The umask sets the mode at once: a chmod afterwards could hit another file of that name. Everybody may
    # connect: the kernel identifies the caller, whose role decides what it may do.
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
    Make the directory of a unix socket if it is missing, accessible to everybody whatever the umask is.

    :param public: the directory is the daemon's own, so it is made accessible if an earlier daemon did not.
    :raises OSError: it cannot be made, or other users could replace the socket in it.
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
    """Remove the socket that a killed daemon left behind. :raises OSError: a daemon still answers there."""
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

    :param after: fires when the first connection may be accepted. Earlier connections wait in the kernel, so
        that they are answered with values instead of "not known yet".
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
        """Accept connections as soon as ``after`` has fired."""
        super().startService()
        self._after.addCallback(self._open)

    def _open(self, _result: None) -> None:
        if self.running:
            self._ports = [bound.open(self._reactor, self._factory) for bound in self._sockets]

    def stopService(self) -> Deferred[None]:
        """Accept no more connections; fires when the ports are closed."""
        super().stopService()
        closed = [maybeDeferred(port.stopListening) for port in self._ports]

        def close(_results: object) -> None:
            for bound in self._sockets:
                bound.close()

        return gatherResults(closed).addBoth(close)
