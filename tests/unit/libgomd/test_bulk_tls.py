"""TLS for much: what comes out is what went in, and its ends are those of Twisted's."""

from __future__ import annotations

import random
from typing import Any
from unittest.mock import patch

from OpenSSL import SSL
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import Clock
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from twisted.test.iosim import FakeTransport, connect, makeFakeClient, makeFakeServer
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from libgomd import bulk_tls
from libgomd.bulk_tls import PIECE_BYTES, BulkTLSEndpoint, BulkTLSFactory
from libgomd.certificates import node_credentials
from libgomd.derivation import ClusterKey
from libgomd.tls import MutualTLS

KEY = ClusterKey.derive(bytes(32))


class Side(Protocol):
    """Keeps what it hears."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self.lost: Failure | None = None

    def dataReceived(self, data: bytes) -> None:
        self.heard.append(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost = reason

    def says(self, data: bytes) -> None:
        """Write."""
        assert self.transport is not None
        self.transport.write(data)


class Joined:
    """Two sides that have shaken hands: ``server`` speaks as the daemons do, ``client`` as the test wants."""

    def __init__(self, other: type[TLSMemoryBIOFactory] = BulkTLSFactory) -> None:
        self.clock = Clock()
        self.server, self.client = Side(), Side()
        ends: list[Any] = []
        for made, side in ((BulkTLSFactory, self.server), (other, self.client)):
            creator = MutualTLS(node_credentials([KEY], 1 + len(ends), "node"))
            factory = made(creator, side is self.client, Factory(), clock=self.clock)
            ends.append(factory.protocol(factory, side))
        self.below: Any = makeFakeServer(ends[0])
        self.pump = connect(ends[0], self.below, ends[1], makeFakeClient(ends[1]), clock=self.clock)
        self.settle()

    def settle(self) -> None:
        """Let everything arrive."""
        for _ in range(60):
            self.clock.advance(0)
            if not self.pump.pump() and not self.clock.getDelayedCalls():
                return


class BulkTests(SynchronousTestCase):
    def check(self, joined: Joined) -> None:
        """Send pieces of all sizes both ways at once."""
        draw = random.Random(7)
        sent: dict[Side, bytes] = {}
        sizes = [1, 100, 16_384, 16_385, 40_000, PIECE_BYTES, PIECE_BYTES + 1, 3 * PIECE_BYTES + 5, 2, 65_541]
        draw.shuffle(sizes)
        for size in sizes:
            for side in (joined.server, joined.client):
                data = draw.randbytes(size)
                sent[side] = sent.get(side, b"") + data
                side.says(data)
            if draw.random() < 0.5:
                joined.settle()
        joined.settle()
        self.assertTrue(b"".join(joined.client.heard) == sent[joined.server])
        self.assertTrue(b"".join(joined.server.heard) == sent[joined.client])

    def test_everything_arrives_in_order(self) -> None:
        """With the other side the same, and with one that is Twisted's alone, as an older daemon's."""
        self.check(Joined())
        self.check(Joined(TLSMemoryBIOFactory))

    def test_another_pyopenssl(self) -> None:
        """One whose names are others is used as it is."""

        def nothing(_connection: object) -> None:
            return None

        with patch.object(bulk_tls._OpenSSL, "of", nothing):
            self.check(Joined())
        self.assertIsNone(bulk_tls._OpenSSL.of(object()))

    def test_more_is_to_be_sent_than_the_buffer_holds(self) -> None:
        """As for a peer that has asked for short records: nothing stays behind until the next write."""
        with patch.object(bulk_tls, "_BUFFER_BYTES", 10_000):
            joined = Joined()
            joined.server.says(bytes(100_000))
            joined.settle()
        self.assertEqual(sum(map(len, joined.client.heard)), 100_000)

    def test_much_comes_in_one_piece(self) -> None:
        """And not as a record of 16 KiB at a time."""
        joined = Joined()
        joined.client.says(bytes(100_000))
        joined.settle()
        self.assertEqual([len(data) for data in joined.server.heard], [100_000])

    def test_much_and_the_end(self) -> None:
        """What was sent before a connection was closed is heard before its end is."""
        joined = Joined()
        joined.client.says(bytes(300_000))
        assert joined.client.transport is not None
        joined.client.transport.loseConnection()
        joined.settle()
        self.assertEqual(sum(map(len, joined.server.heard)), 300_000)
        assert joined.server.lost is not None
        self.assertTrue(joined.server.lost.check(ConnectionDone, ConnectionLost))

    def test_bytes_that_are_no_tls(self) -> None:
        """They end the connection, much of them too, and nothing of them is heard."""
        for garbage in (b"x" * 100, b"x" * 100_000, b"\x17\x03\x03\x40\x00" + bytes(100_000)):
            joined = Joined()
            tls: Any = joined.server.transport
            tls.dataReceived(garbage)
            joined.settle()
            self.assertEqual(joined.server.heard, [])
            assert joined.server.lost is not None
            self.assertTrue(joined.server.lost.check(SSL.Error, ConnectionLost), joined.server.lost)

    def test_a_protocol_that_hangs_up_hears_no_more(self) -> None:
        """Though more has come already."""
        joined = Joined()
        tls: Any = joined.server.transport

        def hang_up(data: bytes) -> None:
            joined.server.heard.append(data)
            tls.abortConnection()

        with patch.object(joined.server, "dataReceived", hang_up):
            joined.client.says(bytes(2 * PIECE_BYTES))
            joined.settle()
        self.assertEqual(len(joined.server.heard), 1)
        self.assertIsNotNone(joined.server.lost)

    def test_what_is_written_to_a_lost_connection_is_dropped(self) -> None:
        """As Twisted does."""
        joined = Joined()
        tls: Any = joined.server.transport
        tls.abortConnection()
        joined.settle()
        joined.server.says(bytes(100_000))
        tls._write(bytes(100_000))

    def test_the_endpoint_gives_the_protocol_above(self) -> None:
        """As the endpoint of Twisted's does."""
        side, made = Side(), []

        @implementer(IStreamClientEndpoint)
        class Below:
            def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
                protocol = protocolFactory.buildProtocol(None)  # type: ignore[arg-type]
                assert protocol is not None
                protocol.makeConnection(FakeTransport(protocol, isServer=False))
                made.append(protocol)
                connected: Deferred[IProtocol] = Deferred()
                connected.callback(protocol)
                return connected

        endpoint = BulkTLSEndpoint(MutualTLS(node_credentials([KEY], 1, "one")), Below())
        factory = Factory.forProtocol(lambda: side)
        self.assertIs(self.successResultOf(endpoint.connect(factory)), side)
        self.assertIsInstance(made[0], bulk_tls.BulkTLS)
