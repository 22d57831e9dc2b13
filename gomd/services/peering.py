"""The ports of the peers: bound before the daemon starts, joined to the cluster while it runs."""

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

#: Bytes the kernel keeps for us: a second's heartbeats of a thousand nodes.
BUFFER = 1024 * 1024
#: The places of two of the ports of a `Peering`; the last one is for streams.
_DATAGRAMS, _GROUP = 0, 1
#: The largest packet that is read whole; a longer one is cut, and then refused as too long.
LARGEST = 2048


class PeerSockets:
    """
    The ports a daemon has among its peers, all at one address.

    :ivar datagrams: for questions and heartbeats. :ivar streams: for all that is longer.
    :ivar announcements: for the group, None when it is not to be joined.
    :ivar port: the number of `datagrams` and `streams`.
    """

    def __init__(self, address: str, port: int, group: Tcp | None, own: str | None = None) -> None:
        """
        Bind them all.

        :param own: the address whose interface multicast uses; by default ``address``.
        :param group: the multicast group and port of the announcements, None for no multicast.
        :raises ConfigError: one sentence on why not.
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
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
    try:
        bound.bind((address, port))
    except OSError:
        bound.close()
        raise
    bound.setblocking(False)
    return bound


def _group_socket(group: Tcp) -> socket.socket:
    """Return a socket for what comes to the group, beside those of other daemons of this machine."""
    bound = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
        bound.bind((group.host, group.port))
    except OSError:
        bound.close()
        raise
    bound.setblocking(False)
    return bound


class _Group(DatagramProtocol):
    """Hands what comes to the group to the one protocol of the peers."""

    noisy = False

    def __init__(self, protocol: PeerProtocol) -> None:
        self._protocol = protocol

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        self._protocol.take(datagram, addr, True)


class Engine(Protocol):
    """A membership engine, as far as it is started and stopped."""

    def start(self) -> None:
        """Join the cluster."""

    def stop(self) -> Any:
        """Leave it; may return a Deferred that fires when all have been told."""


class Peering(Service):
    """Opens the ports and joins the cluster; leaves it, with a word, at the end."""

    _log: ClassVar[Logger] = Logger()

    def __init__(
        self,
        reactor: Any,
        sockets: PeerSockets,
        datagrams: PeerProtocol,
        streams: Factory,
        engine: Engine,
    ) -> None:
        self._reactor = reactor
        self._sockets = sockets
        self._datagrams = datagrams
        self._streams = streams
        self._engine = engine
        self._ports: list[Any] = []

    def startService(self) -> None:
        """Listen, then announce this node."""
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
            bound.fileno(), socket.AF_INET, protocol, maxPacketSize=LARGEST
        )
        bound.close()
        return port

    def join_again(self, address: str, index: int) -> None:
        """
        Use multicast at another interface, or at one that was away: its number and this node's address there.

        :raises OSError: that cannot be; to be tried again.
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
        except Exception:  # noqa: BLE001 - the ports are closed whatever happens
            self._log.failure("leaving the cluster failed")
        closed = [maybeDeferred(port.stopListening) for port in self._ports]
        self._sockets.streams.close()
        await gatherResults(closed)
