"""TLS that carries much at a time, in memory: the same bytes as Twisted's own, in fewer pieces."""

from __future__ import annotations

from typing import Any

from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import Clock
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from twisted.test.iosim import connect, makeFakeClient, makeFakeServer
from twisted.trial.unittest import SynchronousTestCase

from libgomd.certificates import node_credentials
from libgomd.derivation import ClusterKey
from libgomd.tls import MutualTLS
from libgomd.wide_tls import BATCH_BYTES, RECORD_BYTES, widen

KEY = ClusterKey.derive(bytes(32))


class End(Protocol):
    """Keeps what it hears. :ivar first: what it writes before the handshake."""

    def __init__(self, first: bytes = b"") -> None:
        self.first = first
        self.heard: list[bytes] = []
        self.lost: Failure | None = None

    def connectionMade(self) -> None:
        self.write(self.first)

    def write(self, data: bytes) -> None:
        assert self.transport is not None
        self.transport.write(data)

    def dataReceived(self, data: bytes) -> None:
        self.heard.append(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost = reason


class WideTlsTests(SynchronousTestCase):
    """Two nodes."""

    def join(self, first: bytes = b"") -> tuple[End, End, Any, Clock]:
        clock = Clock()
        ends = End(first), End()
        sides = []
        for number, end in enumerate(ends, 1):
            tls = MutualTLS(node_credentials([KEY], number, f"n{number}"))
            factory: Any = Factory()
            factory.buildProtocol = lambda _address, end=end: end
            factory.noisy = False
            made = widen(TLSMemoryBIOFactory(tls, number == 1, factory, clock=clock))
            made.noisy = False
            sides.append(made.buildProtocol(None))
        client, server = sides
        pump = connect(server, makeFakeServer(server), client, makeFakeClient(client))
        self.flow(pump, clock)
        return *ends, pump, clock

    def flow(self, pump: Any, clock: Clock) -> None:
        """Let everything arrive."""
        for _ in range(3):
            clock.advance(0)
            pump.flush()

    def test_much_at_a_time(self) -> None:
        """It arrives in far fewer pieces than it has records, however it was written."""
        one, other, pump, clock = self.join()
        data = bytes(range(256)) * 4096
        for size in (len(data), RECORD_BYTES + 1, 3 * RECORD_BYTES, 100):
            other.heard.clear()
            piece = data[:size]
            one.write(piece)
            self.flow(pump, clock)
            self.assertEqual(b"".join(other.heard), piece)
            self.assertLessEqual(len(other.heard), 1 + 2 * size // BATCH_BYTES)

    def test_the_order_of_large_and_small_pieces(self) -> None:
        """Small ones wait for each other; none is overtaken."""
        one, other, pump, clock = self.join()
        pieces = [b"a" * 10, b"b" * 100_000, b"c", b"d" * 20_000, b"e" * 10, b"", b"f" * 70_000]
        for piece in pieces:
            one.write(piece)
        self.flow(pump, clock)
        self.assertEqual(b"".join(other.heard), b"".join(pieces))

    def test_before_the_handshake(self) -> None:
        """What is written then arrives after it."""
        data = b"x" * 100_000
        _one, other, _pump, _clock = self.join(data)
        self.assertEqual(b"".join(other.heard), data)

    def test_the_end(self) -> None:
        """All that was written before it arrives, and nothing that is written later."""
        one, other, pump, clock = self.join()
        assert one.transport is not None
        one.write(b"x" * 100_000)
        one.transport.loseConnection()
        one.write(b"y" * 100_000)
        self.flow(pump, clock)
        self.assertEqual(b"".join(other.heard), b"x" * 100_000)
        assert other.lost is not None
        one.write(b"z" * 100_000)
