"""The reactor's clock after `use_monotonic_time`."""

from __future__ import annotations

import time

from twisted.internet.base import ReactorBase
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from gomd.tap.monotonic import seconds_since_boot, use_monotonic_time


class Reactor(ReactorBase):
    """Twisted's own base, with nothing to wait for."""

    def installWaker(self) -> None:
        """None is needed: nothing runs."""

    def removeAll(self) -> list[object]:  # type: ignore[override]
        return []


class MonotonicTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.reactor = Reactor()
        self.early = self.reactor.callLater(100.0, lambda: None)
        self.later = self.reactor.callLater(50.0, lambda: None)
        use_monotonic_time(self.reactor)

    def test_new_calls_go_by_the_monotonic_clock(self) -> None:
        """`callLater`, what puts a call off, and what loops."""
        self.assertApproximates(self.reactor.seconds(), time.monotonic(), 10.0)
        call = self.reactor.callLater(30.0, lambda: None)
        self.assertApproximates(call.getTime(), time.monotonic() + 30.0, 10.0)
        call.reset(60.0)
        self.assertApproximates(call.getTime(), time.monotonic() + 60.0, 10.0)
        self.assertIs(call.seconds, time.monotonic)
        loop = LoopingCall(lambda: None)
        loop.clock = self.reactor
        loop.start(5.0, now=False)
        others = (self.early, self.later, call)
        [looped] = [each for each in self.reactor.getDelayedCalls() if each not in others]
        self.assertApproximates(looped.getTime(), time.monotonic() + 5.0, 10.0)

    def test_calls_that_were_there_keep_the_time_they_had_left(self) -> None:
        """What twistd scheduled before: in the same order, and put off as ever."""
        for call, left in ((self.early, 100.0), (self.later, 50.0)):
            self.assertApproximates(call.getTime() - time.monotonic(), left, 10.0)
        self.assertApproximates(self.reactor.timeout() or 0.0, 50.0, 10.0)
        self.early.reset(70.0)
        self.assertApproximates(self.early.getTime() - time.monotonic(), 70.0, 10.0)

    def test_twice_is_as_once(self) -> None:
        """A second call moves nothing."""
        before = self.early.getTime()
        use_monotonic_time(self.reactor)
        self.assertEqual(self.early.getTime(), before)
        self.assertTrue(verifyObject(IReactorTime, self.reactor))

    def test_the_time_since_boot_has_the_sleep_in_it(self) -> None:
        """It is never less than the monotonic clock."""
        self.assertGreaterEqual(seconds_since_boot() + 0.01, time.monotonic())
