"""Whoever waits for a change of a job is told of it at once, and not before or without end."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from gomd.jobs.home.changes import JobChanges


class JobChangesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.changes = JobChanges(self.clock)
        self.holds = False
        self.evaluated = 0

    def tearDown(self) -> None:
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.changes._waiting, {}, "nobody is waited for any more")

    def condition(self) -> bool:
        self.evaluated += 1
        return self.holds

    def until(self, number: int = 7) -> Deferred[bool]:
        return Deferred.fromCoroutine(self.changes.until(number, self.condition, 5.0))

    def test_what_holds_already_is_not_waited_for(self) -> None:
        self.holds = True
        self.assertTrue(self.successResultOf(self.until()))

    def test_a_change_that_makes_it_hold(self) -> None:
        """It is looked at once for each change, and never in between."""
        waiting = [self.until(), self.until()]
        self.clock.pump([0.5] * 4)
        self.changes.notify(7)
        self.changes.notify(8)
        self.assertEqual(self.evaluated, 2, "not within the change")
        self.clock.advance(0)
        self.assertEqual(self.evaluated, 4)
        self.assertNoResult(waiting[0])
        self.holds = True
        self.changes.notify(7)
        self.clock.advance(0)
        self.assertEqual([self.successResultOf(each) for each in waiting], [True, True])

    def test_the_deadline(self) -> None:
        """Changes do not prolong it."""
        waiting = self.until()
        self.clock.advance(4.0)
        self.changes.notify(7)
        self.clock.advance(0.9)
        self.assertNoResult(waiting)
        self.clock.advance(0.1)
        self.assertFalse(self.successResultOf(waiting))

    def test_who_waits_goes_away(self) -> None:
        """A wait that is cancelled leaves nothing behind."""
        waiting = self.until()
        waiting.cancel()
        self.failureResultOf(waiting)
        self.changes.notify(7)

    def test_a_condition_that_raises(self) -> None:
        """Its error is raised to whoever waits, and to nobody who notifies."""
        waiting = Deferred.fromCoroutine(self.changes.until(7, lambda: 1 // self.evaluated > 1, 5.0))
        self.failureResultOf(waiting, ZeroDivisionError)
