"""Something that is waited for has a deadline."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from libgomd.deadlines import Silence, within
from libgomd.errors import TimedOut


class WithinTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.waited: Deferred[int] = Deferred()
        self.found = within(self.clock, 5.0, self.waited, TimedOut("no answer within 5 s"))

    def tearDown(self) -> None:
        self.assertEqual(self.clock.getDelayedCalls(), [], "no timer is left")

    def test_a_result_in_time(self) -> None:
        """It comes through, and nothing happens at the deadline."""
        self.clock.advance(4.9)
        self.waited.callback(7)
        self.assertEqual(self.successResultOf(self.found), 7)

    def test_a_failure_in_time(self) -> None:
        """It stays what it is."""
        self.waited.errback(ValueError("broken"))
        self.failureResultOf(self.found, ValueError)

    def test_the_deadline(self) -> None:
        """The error that was named is raised, and a late result hurts nobody."""
        self.clock.advance(4.9)
        self.assertNoResult(self.found)
        self.clock.advance(0.1)
        self.assertEqual(str(self.failureResultOf(self.found, TimedOut).value), "no answer within 5 s")
        self.waited.callback(7)

    def test_cancelled_by_somebody_else(self) -> None:
        """That is not taken for the deadline."""
        self.found.cancel()
        self.failureResultOf(self.found, CancelledError)


class SilenceTests(SynchronousTestCase):
    def test_the_timers_of_many_expire_together(self) -> None:
        """However far apart they began and were heard, they wake the program up at whole grains only."""
        clock, moments = Clock(), set[float]()
        all_of_them = []
        for _ in range(10):
            all_of_them.append(Silence(clock, 13.0, 2.0))
            moments |= {call.getTime() for call in clock.getDelayedCalls()}
            clock.advance(0.17)
        self.assertEqual({moment % 2.0 for moment in moments}, {0.0})
        for each in all_of_them:
            each.heard()
            each.stop()
        self.assertEqual(clock.getDelayedCalls(), [])

    def test_a_silence_is_noticed(self) -> None:
        """At most a grain late, and not while something is said."""
        clock, reading = Clock(), Deferred[None]()
        clock.advance(0.5)
        silence = Silence(clock, 3.0, 2.0)
        silence.guard(reading)
        clock.advance(2.0)
        silence.heard()
        clock.pump([0.1] * 29)
        self.assertNoResult(reading)
        clock.pump([0.1] * 22)
        self.failureResultOf(reading, CancelledError)
        self.assertTrue(silence.is_too_long)
