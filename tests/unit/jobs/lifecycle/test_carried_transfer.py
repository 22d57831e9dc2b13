"""Carried files on their way through a daemon: all of them or an error, and never much at a time."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from gomd.jobs.lifecycle.carried_transfer import Transfer, pass_through, step_outcome
from libgomd.errors import CannotMove, NotPossible, PeerUnreachable, TimedOut
from libgomd.wire import frames, job_messages
from libgomd.wire.carry_messages import CarryOutcome
from libgomd.wire.frames import Frame
from libgomd.wire.job_orders import RECEIVED, OrderOutcome
from tests.unit.jobs.lifecycle.test_relay import End

DONE = job_messages.encode(CarryOutcome())
HAS_ARRIVED = job_messages.encode(OrderOutcome(RECEIVED))


class TransferTests(SynchronousTestCase):
    """One process reads and one writes, each at the end of a connection."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.source, self.sink = End(), End()
        self.done = Transfer(self.clock, self.source.stream, self.sink.stream, 10.0).done
        self.sink.says(HAS_ARRIVED)
        self.source.says(HAS_ARRIVED)

    def test_everything_is_passed_on(self) -> None:
        """It is over when the one that writes says so, not before."""
        self.source.says(frames.encode(frames.PIECE, b"files") + frames.encode(frames.PIECE) + DONE)
        self.source.stream.connectionLost()
        self.assertEqual(self.sink.heard(), [Frame(frames.PIECE, b"files"), Frame(frames.PIECE)])
        self.assertNoResult(self.done)
        self.sink.says(DONE)
        self.assertIs(self.successResultOf(self.done), None)
        self.assertTrue(self.sink.transport.disconnecting)
        self.clock.advance(20.0)

    def test_either_side_says_why_it_cannot(self) -> None:
        """The other one is cut off in the middle, so that it takes nothing for whole."""
        for reader_fails in (True, False):
            self.setUp()
            failing, other = (self.source, self.sink) if reader_fails else (self.sink, self.source)
            failing.says(job_messages.encode(CarryOutcome("the disk is full")))
            self.assertEqual(str(self.failureResultOf(self.done, NotPossible).value), "the disk is full")
            self.assertTrue(other.transport.aborted)

    def test_a_connection_that_breaks(self) -> None:
        """Before all was read, or before all was written."""
        self.source.stream.connectionLost()
        self.failureResultOf(self.done, PeerUnreachable)
        self.setUp()
        self.source.says(frames.encode(frames.PIECE) + DONE)
        self.sink.stream.connectionLost()
        self.failureResultOf(self.done, PeerUnreachable)

    def test_a_time_limit(self) -> None:
        """Both connections are closed then."""
        self.clock.advance(11.0)
        self.failureResultOf(self.done, TimedOut)
        self.assertTrue(self.source.transport.aborted)
        self.assertTrue(self.sink.transport.aborted)

    def test_a_slow_writer_stops_the_reader(self) -> None:
        """What is under way is bounded."""
        self.sink.stream.pauseProducing()
        self.source.says(frames.encode(frames.PIECE, b"x"))
        self.assertEqual(self.source.transport.producerState, "paused")
        self.sink.stream.resumeProducing()
        self.assertEqual(self.source.transport.producerState, "producing")

    def test_frames_that_are_none_of_files(self) -> None:
        """They end the connection."""
        self.source.says(frames.encode(frames.STDOUT, b"x"))
        self.assertTrue(self.source.transport.aborted)

    def test_a_step_without_files(self) -> None:
        """It gives what its process says, or fails with the process."""
        step = End()
        outcome = Deferred.fromCoroutine(step_outcome(self.clock, step.stream, 5.0))
        step.says(HAS_ARRIVED + job_messages.encode(CarryOutcome("", ("kept",))))
        self.assertEqual(self.successResultOf(outcome).notes, ("kept",))
        step = End()
        outcome = Deferred.fromCoroutine(step_outcome(self.clock, step.stream, 5.0))
        step.stream.connectionLost()
        self.failureResultOf(outcome, CannotMove)

    def test_a_daemon_of_another_node(self) -> None:
        """Its frames go to the process and back; it ends with the process, and the process with it."""
        client, step = End(), End()
        pass_through(client.stream, step.stream)
        client.says(frames.encode(frames.PIECE, b"x"))
        self.assertEqual(step.heard(), [Frame(frames.PIECE, b"x")])
        step.says(DONE)
        self.assertEqual(len(client.heard()), 1)
        step.stream.connectionLost()
        self.assertTrue(client.transport.disconnecting)
        client, step = End(), End()
        pass_through(client.stream, step.stream)
        client.stream.connectionLost()
        self.assertTrue(step.transport.aborted)
        client, step = End(), End()
        pass_through(client.stream, step.stream)
        client.says(frames.encode(frames.STDIN, b"x"))
        self.assertTrue(client.transport.aborted)
