"""
The TLS handshake at the peers' stream port: who has not finished it gets few places, little time, few bytes.

Before the handshake anybody can connect; behind it there are only daemons with the cluster's key. So what
comes before is limited on its own: however many connections strangers open, a daemon still gets in. A
newcomer always gets a place. Where there is none left the oldest connection that has not said hello makes
room, of the address that has most: an honest daemon has said it milliseconds after it connected.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import Any, ClassVar, Final

from twisted.internet.interfaces import IAddress, IDelayedCall, IHandshakeListener, IReactorTime
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.logger import Logger
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from libgomd.model import Counter

#: Connections that have not finished their handshake, at most: of all addresses, and of one.
MOST: Final = 256
MOST_OF_ONE: Final = 8
#: Seconds and bytes that a handshake may take. A daemon's takes some milliseconds and about 2,000 bytes.
SECONDS: Final = 5.0
BYTES: Final = 32 * 1024
#: How a TLS record begins that carries a handshake, its type and the major version; bytes of a record's head;
#: and what a handshake begins with, a client's hello.
_RECORD: Final = b"\x16\x03"
_HEAD: Final = 5
_HELLO: Final = 1


class Handshakes(Factory):
    """
    Takes connections at the stream port and hands those on whose handshake is done.

    :param behind: makes the protocol of a connection after its handshake.
    :param tls: makes the TLS of our side, as `libgomd.tls.MutualTLS` does.
    """

    noisy = False
    _log: ClassVar[Logger] = Logger()

    def __init__(self, behind: Factory, tls: Any, clock: IReactorTime) -> None:
        self.clock = clock
        self._behind = behind
        self._tls = TLSMemoryBIOFactory(tls, False, _Authenticating(), clock=clock)
        self._tls.noisy = False
        self._waiting: dict[str, list[Handshake]] = {}
        self._count = 0
        self._done = self._late = self._displaced = self._strangers = self._failed = 0

    def buildProtocol(self, addr: IAddress | None) -> Handshake:
        """Take a connection, and let another one go when there are too many."""
        host = str(getattr(addr, "host", ""))
        self._make_room(host)
        handshake = Handshake(self, addr, host)
        self._waiting.setdefault(host, []).append(handshake)
        self._count += 1
        return handshake

    def _make_room(self, host: str) -> None:
        own = self._waiting.get(host, [])
        if len(own) >= MOST_OF_ONE:
            self._displace(own)
        elif self._count >= MOST:
            self._displace(max(self._waiting.values(), key=len))

    def _displace(self, waiting: list[Handshake]) -> None:
        """Close one of ``waiting``: the oldest that has not said hello, else the oldest."""
        self._displaced += 1
        next((each for each in waiting if not each.begun), waiting[0]).hang_up()

    def start_tls(self, handshake: Handshake) -> TLSMemoryBIOProtocol:
        """Return the TLS of a connection that begins to speak it."""
        tls = self._tls.buildProtocol(handshake.address)
        assert isinstance(tls, TLSMemoryBIOProtocol)
        assert isinstance(tls.wrappedProtocol, _Authenticated)
        tls.wrappedProtocol.handshake = handshake
        return tls

    def behind(self, address: IAddress | None) -> Any:
        """Return what speaks on a connection whose handshake is done."""
        return self._behind.buildProtocol(address)

    # -- how they end

    def done(self, handshake: Handshake) -> None:
        """Count a connection whose handshake is done."""
        self._done += 1
        self._forget(handshake)

    def count_late(self) -> None:
        """Count one that took too long."""
        self._late += 1

    def count_stranger(self) -> None:
        """Count one that spoke no TLS, or too much of it."""
        self._strangers += 1

    def gone(self, handshake: Handshake) -> None:
        """Count one that ended before its handshake did."""
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
        """Nobody listens any more."""
        self.break_off()

    def break_off(self) -> None:
        """Close every connection that has not finished its handshake: it begins again, with new keys."""
        for waiting in tuple(self._waiting.values()):
            for handshake in tuple(waiting):
                handshake.hang_up()

    def counters(self) -> Iterable[Counter]:
        """Connections by how their handshake went. What was displaced, late or strange failed too."""
        yield Counter("handshakes_now", self._count, "connections to the stream port before their handshake")
        yield Counter("handshakes_done", self._done, "connections of daemons with our key")
        yield Counter("handshakes_failed", self._failed, "connections that ended before their handshake did")
        yield Counter("handshakes_late", self._late, f"of them, without a handshake in {SECONDS:g} s")
        yield Counter("handshakes_displaced", self._displaced, "of them, closed to make room for others")
        yield Counter("handshakes_strange", self._strangers, "of them, spoke something else than TLS")


class _Phase(Enum):
    """Where a connection is."""

    WAITING = "its handshake is not done"
    DONE = "a daemon with our key speaks"
    CLOSED = "it was, or is being, closed before that"


class Handshake(Protocol):
    """
    One connection: below TLS, from its first byte to its last.

    :ivar begun: whether it has said hello, all of it. :ivar host: where it comes from.
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
        """Wait for the handshake, not for long."""
        self._timer = self._port.clock.callLater(SECONDS, self._too_late)

    def dataReceived(self, data: bytes) -> None:
        """Hand on what is TLS. Anything else ends the connection, and nothing behind it is looked at."""
        if self._phase is _Phase.CLOSED:
            return
        if self._phase is _Phase.WAITING:
            self._taken += len(data)
            data, self._first = self._first + data, b""
            if self._taken > BYTES or not (self.begun or _may_be_hello(data)):
                self._port.count_stranger()
                self.hang_up()
                return
            if not self.begun:
                if len(data) < _HEAD or len(data) < _HEAD + int.from_bytes(data[3:5], "big"):
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
        """The handshake is done: return what speaks on this connection from now on."""
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
        """End it without a word; it takes up no place from now on."""
        if self._phase is not _Phase.WAITING:
            return
        self._leave(_Phase.CLOSED)
        self._port.gone(self)
        if self.begun:
            self.transport.abortConnection()  # what was sent may never be taken
        else:
            self.transport.loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Let TLS know, and what is behind it."""
        if self._phase is _Phase.WAITING:
            self._leave(_Phase.CLOSED)
            self._port.gone(self)
        if self._tls is not None:
            self._tls.connectionLost(reason)


def _may_be_hello(data: bytes) -> bool:
    """Whether ``data`` is the beginning of a client's hello, as far as it goes."""
    return data[:2] == _RECORD[: len(data)] and (len(data) <= _HEAD or data[_HEAD] == _HELLO)


@implementer(IHandshakeListener)
class _Authenticated(Protocol):
    """What TLS carries: nothing before the handshake is done, then what is behind it."""

    handshake: Handshake
    _behind: Any = None

    def handshakeCompleted(self) -> None:
        """The other end has shown a certificate of the cluster."""
        self._behind = self.handshake.finished()
        self._behind.makeConnection(self.transport)

    def dataReceived(self, data: bytes) -> None:
        """Hand it on."""
        self._behind.dataReceived(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Hand it on, if there is anybody to care."""
        if self._behind is not None:
            self._behind.connectionLost(reason)


class _Authenticating(Factory):
    """Makes them."""

    noisy = False
    protocol = _Authenticated
