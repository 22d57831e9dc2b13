"""The ports of the peers: bound before the daemon starts, and part of the cluster while it runs."""

from __future__ import annotations

import contextlib
import socket
from typing import Any, ClassVar, Protocol

from twisted.application.service import Service
from twisted.internet.defer import Deferred, gatherResults, maybeDeferred
from twisted.internet.interfaces import IListeningPort
from twisted.internet.protocol import DatagramProtocol, Factory
from twisted.logger import Logger

from gomd.protocols.peers import PeerProtocol
from gomd.services.listening import Socket
from gomd.services.multicast import GroupMembership, send_by
from libgomd.endpoints import Tcp
from libgomd.errors import ConfigError

#: Receive buffer in the kernel, in bytes: enough for the heartbeats of a thousand nodes in a second.
RECEIVE_BUFFER_BYTES = 1024 * 1024
#: Indexes of two of the ports of a `Peering`; the last port is for streams.
_DATAGRAMS, _GROUP = 0, 1
#: Largest packet that is read whole, in bytes; a longer one is cut, and then refused as too long.
MAX_PACKET_BYTES = 2048


class PeerSockets:
    """
    The ports that a daemon has for its peers, all at one address.

    :ivar datagrams: for questions and heartbeats. :ivar streams: for longer requests and replies.
    :ivar announcements: for the multicast group, None for no multicast.
    :ivar port: the number of `datagrams` and `streams`.
    """

    def __init__(self, address: str, port: int, group: Tcp | None, own: str | None = None) -> None:
        """
        Bind them all.

        :param own: the address whose interface multicast uses; by default ``address``.
        :param group: the multicast group and port of the announcements, None for no multicast.
        :raises ConfigError: a port cannot be used; one sentence says why.
        """
        self.group = group
        self.membership = None if group is None else GroupMembership(group)
        self.datagrams: socket.socket | None = None
        self.announcements: socket.socket | None = None
        self.streams = Socket("[peers] address and port", Tcp(address, port))
        bound = self.streams.endpoint
        assert isinstance(bound, Tcp)
        self.port = bound.port
        try:
            self.datagrams = _datagram_socket(address, self.port)
            if group is not None and self.membership is not None:
                send_by(self.datagrams, own or address)
                self.announcements = _group_socket(group)
                self.membership.join(self.announcements, own or address)
        except OSError as error:
            self.close()
            raise ConfigError(
                [
                    f"cannot use udp {address}:{self.port} ({error.strerror}): change [peers] address, port "
                    "or discovery, or stop what listens there"
                ]
            ) from error

    def close(self) -> None:
        """Close them all."""
        self.streams.close()
        for bound in (self.datagrams, self.announcements):
            if bound is not None:
                bound.close()


def _datagram_socket(address: str, port: int) -> socket.socket:
    bound = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with contextlib.suppress(OSError):
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
    try:
        bound.bind((address, port))
    except OSError:
        bound.close()
        raise
    bound.setblocking(False)
    return bound


def _group_socket(group: Tcp) -> socket.socket:
    """Return a socket for the group, which other daemons of this machine may use too."""
    bound = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
        bound.bind((group.host, group.port))
    except OSError:
        bound.close()
        raise
    bound.setblocking(False)
    return bound


class _Group(DatagramProtocol):
    """Passes what comes to the group to the one protocol of the peers."""

    noisy = False

    def __init__(self, protocol: PeerProtocol) -> None:
        self._protocol = protocol

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        self._protocol.take(datagram, addr, True)


class Startable(Protocol):
    """A membership engine, as far as this module uses it."""

    def start(self) -> None:
        """Join the cluster."""

    def stop(self) -> Any:
        """Leave the cluster; may return a Deferred that fires when the other nodes have been told."""


class Peering(Service):
    """Opens the ports and joins the cluster; says goodbye and closes them at the end."""

    _log: ClassVar[Logger] = Logger()

    def __init__(
        self,
        reactor: Any,
        sockets: PeerSockets,
        datagrams: PeerProtocol,
        streams: Factory,
        engine: Startable,
    ) -> None:
        self._reactor = reactor
        self._sockets = sockets
        self._datagrams = datagrams
        self._streams = streams
        self._engine = engine
        self._ports: list[Any] = []

    def startService(self) -> None:
        """Open the ports, then join the cluster."""
        super().startService()
        sockets = self._sockets
        assert sockets.datagrams is not None
        self._ports = [self._adopt(sockets.datagrams, self._datagrams)]
        if sockets.announcements is not None:
            self._ports.append(self._adopt(sockets.announcements, _Group(self._datagrams)))
        self._ports.append(sockets.streams.open(self._reactor, self._streams))
        self._engine.start()

    def _adopt(self, bound: socket.socket, protocol: DatagramProtocol) -> IListeningPort:
        port: IListeningPort = self._reactor.adoptDatagramPort(
            bound.fileno(), socket.AF_INET, protocol, maxPacketSize=MAX_PACKET_BYTES
        )
        bound.close()
        return port

    def join_again(self, address: str, index: int) -> None:
        """
        Use multicast on another interface, or on one that was down.

        :param address: of this node. :param index: the number of the interface.
        :raises OSError: that is not possible now; try again later.
        """
        membership = self._sockets.membership
        if membership is not None and len(self._ports) > _GROUP and self.running:
            send_by(self._ports[_DATAGRAMS].socket, address, index)
            membership.join(self._ports[_GROUP].socket, address, index)

    def stopService(self) -> Deferred[None]:
        """Say goodbye and close the ports."""
        super().stopService()
        return Deferred.fromCoroutine(self._leave())

    async def _leave(self) -> None:
        try:
            await maybeDeferred(self._engine.stop)
        except Exception:  # noqa: BLE001 - the ports are closed in any case
            self._log.failure("leaving the cluster failed")
        closed = [maybeDeferred(port.stopListening) for port in self._ports]
        self._sockets.streams.close()
        await gatherResults(closed)
