"""A clock that is set, a machine that sleeps, a process that is stopped: each is noticed for what it is."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from gomd.cluster.events import Events
from gomd.services.clock_watch import CHECK_PERIOD, MAX_CHECK_DELAY, ClockWatch
from libgomd.model import EventKind, Node, Status

OWN = Node(7, "alpha", "10.0.0.7", Status.UP)


class ClockWatchTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock, self.events = Clock(), Events()
        self.skew, self.sleep = 1_700_000_000.0, 50.0
        self.slept: list[float] = []
        self.disturbed = 0
        self.watch = ClockWatch(
            self.clock, lambda: self.clock.seconds() + self.sleep + self.skew,
            lambda: self.clock.seconds() + self.sleep, lambda: OWN, self.events,
            self.slept.append, lambda: self.disturb(),
        )  # fmt: skip
        self.watch.startService()
        self.addCleanup(self.watch.stopService)

    def disturb(self) -> None:
        self.disturbed += 1

    def tick(self, times: int = 5) -> None:
        self.clock.pump([CHECK_PERIOD] * times)

    def counted(self) -> list[int | float | str]:
        return [counter.value for counter in self.watch.counters()]

    def test_nothing_is_said_of_a_clock_that_runs(self) -> None:
        """Nor of one that is slewed, as fast as chrony does."""
        for _ in range(100):
            self.skew += 0.08
            self.tick(1)
        self.assertEqual((list(self.events.recent()), self.slept, self.disturbed), ([], [], 0))

    def test_a_jump_is_said_once_with_its_amount(self) -> None:
        """Back and on, in the log, in an event with the new time, and in `stats`."""
        for jump, words in ((-20.0, "back by 20.0 s"), (3600.0, "on by 3600.0 s"), (-1.0, "back by 1.0 s")):
            with capturedLogs() as logged:
                self.tick()
                self.skew += jump
                self.tick()
            [warning] = [event for event in logged if event["log_level"].name == "warn"]
            self.assertIn(words, warning["reason"])
            event = self.events.recent()[-1]
            told = (event.kind, event.node, event.name, event.by)
            self.assertEqual(told, (EventKind.SUSPECT, 7, "alpha", 7))
            self.assertIn(f"its wall clock was set {words}", event.reason)
            self.assertApproximates(event.time, self.clock.seconds() + self.sleep + self.skew, 5.0)
        self.assertEqual(self.counted(), [3, -1.0, 0.0])
        self.assertEqual((len(self.events.recent()), self.slept, self.disturbed), (3, [], 3))

    def test_a_sleep_is_no_jump(self) -> None:
        """A laptop that is opened again: the wall clock is right, and everything is older by that."""
        self.tick()
        self.sleep += 7200.0
        self.tick()
        self.assertEqual((list(self.events.recent()), self.slept, self.disturbed), ([], [7200.0], 1))
        self.assertEqual(self.counted(), [0, 0.0, 7200.0])

    def test_a_stop_is_neither(self) -> None:
        """SIGSTOP, or a virtual machine that was paused: all clocks went on, what is known may be old."""
        self.tick()
        self.clock.advance(CHECK_PERIOD + MAX_CHECK_DELAY + 0.1)
        self.tick()
        self.assertEqual((list(self.events.recent()), self.slept, self.disturbed), ([], [], 1))

    def test_a_stop_between_two_clocks_is_no_jump(self) -> None:
        """A machine so busy that this process stands still for a second while it looks."""
        stops = [1.0, 0.0, 3.0, 3.0, 3.0, 3.0, 3.0, 0.0, 0.0]

        def read() -> float:
            now = self.clock.seconds() + self.sleep
            if stops:
                self.clock.rightNow += stops.pop(0)
            return now

        self.watch._boot = read
        self.tick(8)
        self.assertEqual(stops, [])
        self.assertEqual((list(self.events.recent()), self.slept), ([], []))

    def test_it_goes_on_after_a_failure(self) -> None:
        """A bug in what is called is logged, and the next jump is noticed."""

        def fail() -> None:
            raise ZeroDivisionError

        self.disturb = fail  # type: ignore[method-assign]
        self.skew += 10
        self.tick()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.skew += 10
        self.tick()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(len(self.events.recent()), 2)

    def test_what_happened_before_the_start_is_no_jump(self) -> None:
        """NTP that sets the clock between making and starting the daemon."""
        self.watch.stopService()
        self.skew += 1000
        self.watch.startService()
        self.tick()
        self.assertEqual((list(self.events.recent()), self.counted()), ([], [0, 0.0, 0.0]))
