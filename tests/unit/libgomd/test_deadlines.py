"""Something that is waited for has a deadline."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from libgomd.deadlines import within
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
