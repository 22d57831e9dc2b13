"""Streams whose handshake is made before the next job to a node needs one."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from gomd.protocols.fresh_streams import FRESH_TIMEOUT, MAX_FRESH, PREPARE_DELAY, FreshStreams
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

    def job(self) -> LineConnection | None:
        """Send a job, over what is kept if anything is; return that."""
        found = self.fresh.take("two")
        self.fresh.prepare("two", self.connect, found is not None)
        return found

    def prepare(self) -> None:
        self.job()
        self.clock.advance(PREPARE_DELAY)

    def finish(self, which: int = -1) -> LineConnection:
        """Let a handshake succeed, the newest unless told; return its stream."""
        made = LineConnection()
        made.greeted.addErrback(lambda _failure: None)
        made.makeConnection(StringTransport())
        self.handshakes[which].callback(made)
        return made

    def test_one_is_made_for_the_next_job(self) -> None:
        """After a moment; and for another node there is none."""
        self.job()
        self.assertEqual(self.handshakes, [])
        self.clock.advance(PREPARE_DELAY)
        self.assertEqual(len(self.handshakes), 1)
        self.assertIsNone(self.fresh.take("two"))
        made = self.finish()
        self.assertIsNone(self.fresh.take("three"))
        self.assertIs(self.fresh.take("two"), made)
        self.assertIsNone(self.fresh.take("two"))

    def test_two_when_jobs_come_quickly(self) -> None:
        """However many jobs there are, no more than that are kept or being made."""
        for _ in range(5):
            self.prepare()
        self.assertEqual(len(self.handshakes), MAX_FRESH)
        kept = {self.finish(which) for which in range(MAX_FRESH)}
        self.assertEqual({self.job() for _ in range(MAX_FRESH)}, kept)
        self.clock.advance(PREPARE_DELAY)
        self.assertEqual(len(self.handshakes), 2 * MAX_FRESH)

    def test_one_again_after_a_rest(self) -> None:
        """A job now and then has one made, not two."""
        self.prepare()
        self.prepare()
        for which in range(MAX_FRESH):
            self.finish(which)
        self.clock.advance(FRESH_TIMEOUT)
        self.prepare()
        self.assertEqual(len(self.handshakes), MAX_FRESH + 1)

    def test_a_job_that_found_one_puts_the_next_handshake_off(self) -> None:
        """The job behind it begins without one beside it; jobs that find none do not put it off for ever."""
        self.prepare()
        self.prepare()
        for which in range(MAX_FRESH):
            self.finish(which)
        almost = PREPARE_DELAY * 0.75
        for _ in range(MAX_FRESH):
            self.assertIsNotNone(self.job())
            self.clock.advance(almost)
        self.assertEqual(len(self.handshakes), MAX_FRESH)
        self.assertIsNone(self.job())
        self.clock.advance(almost)
        self.assertEqual(len(self.handshakes), 2 * MAX_FRESH)

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
