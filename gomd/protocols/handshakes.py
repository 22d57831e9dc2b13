"""
Limits the connections to the peers' stream port that have not finished their TLS handshake.

Before the handshake anybody can connect; after it there are only daemons with the cluster's key. Connections
before the handshake therefore have limits of their own, so that a daemon gets through however many
connections others open. A new connection is always accepted. If there are too many, one is closed in its
place: the oldest one without a client hello, of the address (of IPv6 the /64) with the most connections. A
daemon sends its hello within milliseconds.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import Any, ClassVar, Final

from twisted.internet.interfaces import IAddress, IDelayedCall, IHandshakeListener, IReactorTime
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.logger import Logger
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from libgomd.bulk_tls import BulkTLSFactory
from libgomd.model import Counter
from libgomd.wire.addresses import network_of

#: Largest number of connections before their handshake, from all addresses and from one.
MAX_HANDSHAKES: Final = 256
MAX_HANDSHAKES_PER_ADDRESS: Final = 8
#: Seconds and bytes that a handshake may take. That of a daemon takes milliseconds and about 2,000 bytes.
HANDSHAKE_TIMEOUT: Final = 5.0
MAX_HANDSHAKE_BYTES: Final = 32 * 1024
#: The first bytes of a TLS record with a handshake: type and major version. The length of a record's head.
#: The first byte behind the head in a client hello.
_HANDSHAKE_RECORD: Final = b"\x16\x03"
_RECORD_HEAD_BYTES: Final = 5
_CLIENT_HELLO: Final = 1


class Handshakes(Factory):
    """
    Accepts connections at the stream port, and passes them on after their handshake.

    :param behind: makes the protocol of a connection after its handshake.
    :param tls: makes the TLS of this side, as `libgomd.tls.MutualTLS` does.
    """

    noisy = False
    _log: ClassVar[Logger] = Logger()

    def __init__(self, behind: Factory, tls: Any, clock: IReactorTime) -> None:
        self.clock = clock
        self._behind = behind
        self._tls = BulkTLSFactory(tls, False, _Authenticating(), clock=clock)
        self._tls.noisy = False
        self._waiting: dict[str, list[Handshake]] = {}
        self._count = 0
        self._done = self._late = self._displaced = self._not_tls = self._failed = 0

    def buildProtocol(self, addr: IAddress | None) -> Handshake:
        """Accept a connection, and close another one if there are too many."""
        host = str(getattr(addr, "host", ""))
        self._make_room(host)
        handshake = Handshake(self, addr, host)
        self._waiting.setdefault(host, []).append(handshake)
        self._count += 1
        return handshake

    def _make_room(self, host: str) -> None:
        own = self._waiting.get(host, [])
        if len(own) >= MAX_HANDSHAKES_PER_ADDRESS:
            self._displace(own)
        elif self._count >= MAX_HANDSHAKES:
            self._displace(self._largest_network())

    def _largest_network(self) -> list[Handshake]:
        """
        Return the connections of the IPv4 address, or the /64 of IPv6, that has the most.

        Whoever has one IPv6 address has all of its /64, and could have one connection from each.
        """
        networks: dict[str, list[Handshake]] = {}
        for host, waiting in self._waiting.items():
            networks.setdefault(network_of(host), []).extend(waiting)
        return max(networks.values(), key=len)

    def _displace(self, waiting: list[Handshake]) -> None:
        """Close one of ``waiting``: the oldest one without a hello, else the oldest."""
        self._displaced += 1
        next((each for each in waiting if not each.begun), waiting[0]).hang_up()

    def start_tls(self, handshake: Handshake) -> TLSMemoryBIOProtocol:
        """Return the TLS protocol of a connection whose hello has come."""
        tls = self._tls.buildProtocol(handshake.address)
        assert isinstance(tls, TLSMemoryBIOProtocol)
        assert isinstance(tls.wrappedProtocol, _Authenticated)
        tls.wrappedProtocol.handshake = handshake
        return tls

    def behind(self, address: IAddress | None) -> Any:
        """Return the protocol of a connection whose handshake is done."""
        return self._behind.buildProtocol(address)

    # -- how handshakes end

    def done(self, handshake: Handshake) -> None:
        """Count a connection whose handshake is done."""
        self._done += 1
        self._forget(handshake)

    def count_late(self) -> None:
        """Count a handshake that took too long."""
        self._late += 1

    def count_not_tls(self) -> None:
        """Count a connection that sent something else than TLS, or too many bytes."""
        self._not_tls += 1

    def gone(self, handshake: Handshake) -> None:
        """Count a connection that ended before its handshake was done."""
        self._failed += 1
        self._forget(handshake)

    def _forget(self, handshake: Handshake) -> None:
        waiting = self._waiting.get(handshake.host, [])
        if handshake in waiting:
            waiting.remove(handshake)
            self._count -= 1
            if not waiting:
                del self._waiting[handshake.host]

    def stopFactory(self) -> None:
        """Close what is left when the port is closed."""
        self.break_off()

    def break_off(self) -> None:
        """Close every connection before its handshake, so that peers begin again with new keys."""
        for waiting in tuple(self._waiting.values()):
            for handshake in tuple(waiting):
                handshake.hang_up()

    def counters(self) -> Iterable[Counter]:
        """Return connections by the outcome of their handshake. ``failed`` includes the three after it."""
        yield Counter("handshakes_now", self._count, "connections to the stream port before their handshake")
        yield Counter("handshakes_done", self._done, "connections of daemons with our key")
        yield Counter("handshakes_failed", self._failed, "connections that ended before their handshake did")
        yield Counter(
            "handshakes_late", self._late, f"of them, without a handshake in {HANDSHAKE_TIMEOUT:g} s"
        )
        yield Counter("handshakes_displaced", self._displaced, "of them, closed to make room for others")
        yield Counter("handshakes_strange", self._not_tls, "of them, spoke something else than TLS")


class _Phase(Enum):
    """How far a connection has come."""

    WAITING = "its handshake is not done yet"
    DONE = "the peer has the cluster's key"
    CLOSED = "it was closed before its handshake was done"


class Handshake(Protocol):
    """
    One connection, below TLS, from its first byte to its last.

    :ivar begun: whether its whole client hello has come. :ivar host: the address it comes from.
    """

    transport: Any

    def __init__(self, port: Handshakes, address: IAddress | None, host: str) -> None:
        self.begun = False
        self.address = address
        self.host = host
        self._port = port
        self._phase = _Phase.WAITING
        self._first = b""
        self._taken = 0
        self._tls: TLSMemoryBIOProtocol | None = None
        self._timer: IDelayedCall | None = None

    def connectionMade(self) -> None:
        """Wait for the handshake, at most `HANDSHAKE_TIMEOUT`."""
        self._timer = self._port.clock.callLater(HANDSHAKE_TIMEOUT, self._too_late)

    def dataReceived(self, data: bytes) -> None:
        """Pass on what is TLS. Anything else closes the connection unread."""
        if self._phase is _Phase.CLOSED:
            return
        if self._phase is _Phase.WAITING:
            self._taken += len(data)
            data, self._first = self._first + data, b""
            if self._taken > MAX_HANDSHAKE_BYTES or not (self.begun or _may_be_hello(data)):
                self._port.count_not_tls()
                self.hang_up()
                return
            if not self.begun:
                if len(data) < _RECORD_HEAD_BYTES or len(data) < _RECORD_HEAD_BYTES + int.from_bytes(
                    data[3:5], "big"
                ):
                    self._first = data
                    return
                self._begin()
        assert self._tls is not None
        self._tls.dataReceived(data)

    def _begin(self) -> None:
        self.begun = True
        self._tls = self._port.start_tls(self)
        self._tls.makeConnection(self.transport)

    def finished(self) -> Any:
        """Note that the handshake is done, and return the protocol for what follows."""
        self._leave(_Phase.DONE)
        self._port.done(self)
        return self._port.behind(self.address)

    def _leave(self, phase: _Phase) -> None:
        self._phase = phase
        if self._timer is not None and self._timer.active():
            self._timer.cancel()

    def _too_late(self) -> None:
        self._port.count_late()
        self.hang_up()

    def hang_up(self) -> None:
        """Close the connection; it no longer counts."""
        if self._phase is not _Phase.WAITING:
            return
        self._leave(_Phase.CLOSED)
        self._port.gone(self)
        if self.begun:
            self.transport.abortConnection()  # the peer may never read what was sent
        else:
            self.transport.loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Tell TLS, and what is behind it."""
        if self._phase is _Phase.WAITING:
            self._leave(_Phase.CLOSED)
            self._port.gone(self)
        if self._tls is not None:
            self._tls.connectionLost(reason)


def _may_be_hello(data: bytes) -> bool:
    """Return whether ``data`` can be the beginning of a client hello."""
    return data[:2] == _HANDSHAKE_RECORD[: len(data)] and (
        len(data) <= _RECORD_HEAD_BYTES or data[_RECORD_HEAD_BYTES] == _CLIENT_HELLO
    )


@implementer(IHandshakeListener)
class _Authenticated(Protocol):
    """Carries nothing before the handshake is done, then the protocol behind it."""

    handshake: Handshake
    _behind: Any = None

    def handshakeCompleted(self) -> None:
        """Start the protocol behind: the peer has shown a certificate of the cluster."""
        self._behind = self.handshake.finished()
        self._behind.makeConnection(self.transport)

    def dataReceived(self, data: bytes) -> None:
        """Pass it on."""
        self._behind.dataReceived(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Tell the protocol behind, if there is one yet."""
        if self._behind is not None:
            self._behind.connectionLost(reason)


class _Authenticating(Factory):
    """Makes `_Authenticated`."""

    noisy = False
    protocol = _Authenticated
