"""Streams whose handshake is made before the next job to a node needs one."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from gomd.protocols.fresh_streams import FRESH_TIMEOUT, PREPARE_DELAY, FreshStreams
from libgomd.connection import LineConnection
from libgomd.errors import PeerUnreachable


class FreshStreamsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.fresh = FreshStreams(self.clock)
        self.handshakes: list[Deferred[LineConnection]] = []

    async def connect(self) -> LineConnection:
        self.handshakes.append(Deferred())
        return await self.handshakes[-1]

    def prepare(self) -> None:
        self.fresh.prepare("two", self.connect)
        self.clock.advance(PREPARE_DELAY)

    def finish(self) -> LineConnection:
        """Let the newest handshake succeed; return its stream."""
        made = LineConnection()
        made.greeted.addErrback(lambda _failure: None)
        made.makeConnection(StringTransport())
        self.handshakes[-1].callback(made)
        return made

    def test_one_is_made_for_the_next_job(self) -> None:
        """After a moment, and once, however many jobs begin."""
        self.fresh.prepare("two", self.connect)
        self.assertEqual(self.handshakes, [])
        self.prepare()
        self.prepare()
        self.assertEqual(len(self.handshakes), 1)
        self.assertIsNone(self.fresh.take("two"))
        made = self.finish()
        self.prepare()
        self.assertEqual(len(self.handshakes), 1)
        self.assertIsNone(self.fresh.take("three"))
        self.assertIs(self.fresh.take("two"), made)
        self.assertIsNone(self.fresh.take("two"))
        self.prepare()
        self.assertEqual(len(self.handshakes), 2)

    def test_it_is_closed_soon(self) -> None:
        """It holds a place at the other node."""
        self.prepare()
        made = self.finish()
        self.clock.advance(FRESH_TIMEOUT)
        transport: Any = made.transport
        self.assertTrue(transport.disconnecting)
        self.assertIsNone(self.fresh.take("two"))

    def test_no_handshake(self) -> None:
        """The next job tries by itself, and one is made after it again."""
        self.prepare()
        self.handshakes[0].errback(PeerUnreachable("node 2 is down"))
        self.assertIsNone(self.fresh.take("two"))
        self.prepare()
        made = self.finish()
        self.assertIs(self.fresh.take("two"), made)
