"""Work that goes on when nobody waits for it any more."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from gomd.jobs.shielded import Shielded
from libgomd.errors import CannotMove, TimedOut


class UndisturbedTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.shielded = Shielded(self.clock)
        self.step: Deferred[int] = Deferred()
        self.ends: list[object] = []

    async def work(self) -> int:
        try:
            result = await self.step
        except BaseException as error:
            self.ends.append(error)
            raise
        self.ends.append(result)
        return result

    def test_who_waits_is_told(self) -> None:
        """The result, and nothing is left on the clock."""
        told = self.shielded.do(self.work(), 5.0, "too late")
        self.step.callback(7)
        self.assertEqual(self.successResultOf(told), 7)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_who_waits_is_told_what_went_wrong(self) -> None:
        """The error itself."""
        told = self.shielded.do(self.work(), 5.0, "too late")
        self.step.errback(CannotMove("it has a socket"))
        self.failureResultOf(told, CannotMove)

    def test_it_goes_on_when_its_caller_goes_away(self) -> None:
        """The work does not notice."""
        told = self.shielded.do(self.work(), 5.0, "too late")
        told.cancel()
        self.failureResultOf(told, CancelledError)
        self.assertEqual((self.ends, self.clock.getDelayedCalls()), ([], []))
        self.step.callback(7)
        self.assertEqual(self.ends, [7])

    def test_it_goes_on_when_it_takes_too_long(self) -> None:
        """He is told so."""
        told = self.shielded.do(self.work(), 5.0, "too late")
        self.clock.advance(5.0)
        self.assertEqual(self.failureResultOf(told, TimedOut).value.text, "too late")
        self.step.callback(7)
        self.assertEqual(self.ends, [7])

    def test_some_wait_for_the_same(self) -> None:
        """It is done once, and again when it is asked for afterwards."""
        begun: list[int] = []

        async def work() -> int:
            begun.append(1)
            return await self.step

        first, second = self.shielded.share("x", work), self.shielded.share("x", work)
        first.cancel()
        self.failureResultOf(first, CancelledError)
        self.step.callback(7)
        self.assertEqual((self.successResultOf(second), len(begun)), (7, 1))
        self.step = Deferred()
        self.step.callback(8)
        self.assertEqual((self.successResultOf(self.shielded.share("x", work)), len(begun)), (8, 2))

    def test_a_refusal_that_nobody_hears_is_no_bug(self) -> None:
        """What is one is logged."""
        self.shielded.do(self.work(), 5.0, "too late").addErrback(lambda _: None).cancel()
        self.step.errback(CannotMove("it has a socket"))
        self.assertEqual(self.flushLoggedErrors(), [])
        self.step = Deferred()
        self.shielded.do(self.work(), 5.0, "too late").addErrback(lambda _: None).cancel()
        self.step.errback(ZeroDivisionError())
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
