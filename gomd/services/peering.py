"""The ports of the peers: bound before the daemon starts, and part of the cluster while it runs."""

from __future__ import annotations

import socket
from typing import Any, ClassVar, NamedTuple, Protocol

from twisted.application.service import Service
from twisted.internet.defer import Deferred, gatherResults, maybeDeferred
from twisted.internet.protocol import DatagramProtocol, Factory
from twisted.logger import Logger

from gomd.protocols.peers import PeerProtocol
from gomd.services.multicast import GroupMembership, send_by
from gomd.services.peer_sockets import AddressSockets, PeerSockets, ZonedSocket
from libgomd.wire.addresses import is_ipv6

#: Largest packet that is read whole, in bytes; a longer one is cut, and then refused as too long.
MAX_PACKET_BYTES = 2048


class _Group(DatagramProtocol):
    """Passes what comes to the group to the one protocol of the peers."""

    noisy = False

    def __init__(self, protocol: PeerProtocol) -> None:
        self._protocol = protocol

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        self._protocol.take(datagram, addr, True)


class _Ipv6(DatagramProtocol):
    """Gives the one protocol of the peers the port of this node's IPv6 address."""

    noisy = False

    def __init__(self, protocol: PeerProtocol) -> None:
        self._protocol = protocol

    def makeConnection(self, transport: Any) -> None:
        super().makeConnection(transport)
        self._protocol.ipv6_transport = transport

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        self._protocol.datagramReceived(datagram, addr)

    def doStop(self) -> None:
        super().doStop()
        self._protocol.ipv6_transport = None


class _MulticastPorts(NamedTuple):
    """The ports of one address that multicast uses, and the membership in its group."""

    datagrams: Any
    group: Any
    membership: GroupMembership


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
        self._multicast: dict[bool, _MulticastPorts] = {}

    def startService(self) -> None:
        """Open the ports, then join the cluster."""
        super().startService()
        for sockets in self._sockets.of:
            self._open(sockets)
        self._engine.start()

    def _open(self, sockets: AddressSockets) -> None:
        protocol = _Ipv6(self._datagrams) if sockets.ipv6 else self._datagrams
        assert sockets.datagrams is not None
        datagrams = self._adopt(sockets.datagrams, protocol)
        self._ports.append(datagrams)
        if sockets.announcements is not None and sockets.membership is not None:
            group = self._adopt(sockets.announcements, _Group(self._datagrams))
            self._ports.append(group)
            self._multicast[sockets.ipv6] = _MulticastPorts(datagrams, group, sockets.membership)
        self._ports.append(sockets.streams.open(self._reactor, self._streams))

    def _adopt(self, bound: socket.socket, protocol: DatagramProtocol) -> Any:
        port = self._reactor.adoptDatagramPort(
            bound.fileno(), bound.family, protocol, maxPacketSize=MAX_PACKET_BYTES
        )
        if bound.family == socket.AF_INET6:
            port.socket = ZonedSocket(port.socket)
        bound.close()
        return port

    def join_again(self, address: str, index: int) -> None:
        """
        Use multicast on another interface, or on one that was down.

        :param address: of this node. :param index: the number of the interface.
        :raises OSError: that is not possible now; try again later.
        """
        ports = self._multicast.get(is_ipv6(address))
        if ports is not None and self.running:
            send_by(ports.datagrams.socket, address, index)
            ports.membership.join(ports.group.socket, address, index)

    def stopService(self) -> Deferred[None]:
        """Say goodbye and close the ports."""
        super().stopService()
        return Deferred.fromCoroutine(self._leave())

    async def _leave(self) -> None:
        self._datagrams.answer = None  # whoever asks whether this node is really going gets no answer
        try:
            await maybeDeferred(self._engine.stop)
        except Exception:  # noqa: BLE001 - the ports are closed in any case
            self._log.failure("leaving the cluster failed")
        closed = [maybeDeferred(port.stopListening) for port in self._ports]
        for sockets in self._sockets.of:
            sockets.streams.close()
        await gatherResults(closed)
