"""Streams that are kept for the next request of the same caller."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from gomd.protocols.idle_streams import IDLE_TIMEOUT, MAX_IDLE, MAX_IDLE_PER_CALLER, IdleStreams
from libgomd.connection import LineConnection


class IdleStreamsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.idle = IdleStreams(self.clock)
        self.wires: dict[LineConnection, StringTransport] = {}

    def stream(self) -> LineConnection:
        """Return a stream that works."""
        made = LineConnection()
        made.greeted.addErrback(lambda _failure: None)
        self.wires[made] = StringTransport()
        made.makeConnection(self.wires[made])
        return made

    def closed(self, stream: LineConnection) -> bool:
        """Whether it was closed from here."""
        return self.wires[stream].disconnecting

    def test_the_same_caller_gets_it_back(self) -> None:
        """Once; another caller never does."""
        kept = self.stream()
        self.idle.keep("root", kept)
        self.assertIsNone(self.idle.take("nobody"))
        self.assertIs(self.idle.take("root"), kept)
        self.assertIsNone(self.idle.take("root"))
        self.assertEqual((len(self.idle), self.clock.getDelayedCalls()), (0, []))

    def test_it_is_closed_soon(self) -> None:
        """It holds a place at the other node."""
        kept = self.stream()
        self.idle.keep("root", kept)
        self.clock.advance(IDLE_TIMEOUT)
        self.assertTrue(self.closed(kept))
        self.assertIsNone(self.idle.take("root"))

    def test_one_that_the_other_node_closed_is_not_given(self) -> None:
        """Nor is it kept."""
        kept, gone = self.stream(), self.stream()
        self.idle.keep("root", kept)
        self.idle.keep("root", gone)
        gone.connectionLost()
        self.assertIs(self.idle.take("root"), kept)
        self.idle.keep("root", gone)
        self.assertEqual(len(self.idle), 0)

    def test_they_are_few(self) -> None:
        """For one caller, and in all; what is beyond that is closed."""
        mine = [self.stream() for _ in range(MAX_IDLE_PER_CALLER + 1)]
        for each in mine:
            self.idle.keep("me", each)
        self.assertEqual([self.closed(each) for each in mine], [False] * MAX_IDLE_PER_CALLER + [True])
        for number in range(MAX_IDLE):
            self.idle.keep(number, self.stream())
        self.assertEqual(len(self.idle), MAX_IDLE)
