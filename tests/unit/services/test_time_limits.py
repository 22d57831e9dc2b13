"""Limits of many short calls: each passes on time, and none wakes the process up for nothing."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from gomd.services.time_limits import TimeLimits


class TimeLimitsTests(SynchronousTestCase):
    """What passes, and what the reactor has to do for it."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.limits = TimeLimits(self.clock)
        self.passed: list[tuple[str, float]] = []

    def say(self, name: str) -> Callable[[], None]:
        """Return a function that notes that a limit has passed, and when."""
        return lambda: self.passed.append((name, self.clock.seconds()))

    def test_each_passes_on_time(self) -> None:
        """Whichever was there first."""
        self.limits.add(30.0, self.say("long"))
        self.clock.advance(1.0)
        self.limits.add(2.0, self.say("short"))
        self.limits.add(2.5, self.say("longer"))
        for _ in range(80):
            self.clock.advance(0.5)
        self.assertEqual(self.passed, [("short", 3.0), ("longer", 3.5), ("long", 30.0)])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_what_is_removed_never_passes(self) -> None:
        """Also when it is removed by another one that passes at the same moment, or twice."""
        number = self.limits.add(2.0, self.say("removed"))
        self.limits.remove(number)
        self.limits.remove(number)
        later: list[int] = []
        self.limits.add(2.0, lambda: self.limits.remove(later[0]))
        later.append(self.limits.add(2.0, self.say("removed by another one")))
        self.limits.add(2.0, self.say("kept"))
        self.clock.advance(2.0)
        self.assertEqual(self.passed, [("kept", 2.0)])

    def test_one_may_be_added_when_another_one_passes(self) -> None:
        """As whoever was told tries again."""

        def again() -> None:
            self.say("first")()
            self.limits.add(1.0, self.say("second"))

        self.limits.add(2.0, again)
        self.clock.pump([1.0] * 4)
        self.assertEqual(self.passed, [("first", 2.0), ("second", 3.0)])

    def test_calls_that_end_in_time_cost_a_timer_once_a_limit(self) -> None:
        """A call a second with a limit of two: a timer every other second, and one at a time."""
        made = 0
        call_later = self.clock.callLater

        def counted(delay: float, function: Callable[..., object], *arguments: object) -> object:
            nonlocal made
            made += 1
            return call_later(delay, function, *arguments)

        self.patch(self.clock, "callLater", counted)
        for _ in range(60):
            number = self.limits.add(2.0, self.say("never"))
            self.clock.advance(0.01)
            self.limits.remove(number)
            self.clock.advance(0.99)
            self.assertLessEqual(len(self.clock.getDelayedCalls()), 1)
        self.assertEqual(self.passed, [])
        self.assertLessEqual(made, 31)

    def test_nothing_is_left_when_it_is_closed(self) -> None:
        """Neither when no call is under way nor when the last one ends."""
        self.limits.remove(self.limits.add(2.0, self.say("never")))
        self.limits.close()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        number = self.limits.add(2.0, self.say("never"))
        self.limits.close()
        self.limits.remove(number)
        self.assertEqual(self.clock.getDelayedCalls(), [])
