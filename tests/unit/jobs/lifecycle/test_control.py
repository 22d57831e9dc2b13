"""What a supervisor is told to do about a move, over a connection that may break at any time."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from gomd.jobs.lifecycle.control import AT_ONCE, SupervisorControl
from libgomd.errors import CannotMove, TimedOut
from libgomd.wire import frames
from libgomd.wire.frames import FrameParser


class OrdersTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock, self.sent, self.there = Clock(), bytearray(), True
        self.orders = SupervisorControl(self.clock, self.sent.extend, lambda: self.there)

    def do(self, what: str, **more: Any) -> Deferred[dict[str, Any]]:
        return Deferred.fromCoroutine(self.orders.do(what, **more))

    def tearDown(self) -> None:
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_an_order_and_its_answer(self) -> None:
        """The frame says what to do; what the supervisor tells is given back."""
        waiting = self.do("freeze", directory="/images")
        [frame] = FrameParser().feed(bytes(self.sent))
        self.assertEqual(frame.kind, frames.MOVE)
        self.assertEqual(frames.decode_json(frame.payload), {"do": "freeze", "directory": "/images"})
        self.assertNoResult(waiting)
        told = {"did": "freeze", "error": "", "signals": [[10, True]]}
        self.orders.answered(told)
        self.assertEqual(self.successResultOf(waiting), told)

    def test_a_refusal_is_the_supervisors_own(self) -> None:
        """Its sentence comes through."""
        waiting = self.do("freeze")
        self.orders.answered({"did": "freeze", "error": "it holds a lock"})
        self.assertEqual(str(self.failureResultOf(waiting, CannotMove).value), "it holds a lock")

    def test_two_orders_at_a_time(self) -> None:
        """Each gets its own answer, in any order."""
        freeze, thaw = self.do("freeze"), self.do("thaw")
        self.orders.answered({"did": "thaw"})
        self.successResultOf(thaw)
        self.assertNoResult(freeze)
        self.orders.answered({"did": "freeze", "error": "it was told to go on"})
        self.failureResultOf(freeze, CannotMove)

    def test_the_same_order_again(self) -> None:
        """The first one is given up, the second one gets the answer."""
        first = self.do("thaw")
        second = self.do("thaw")
        self.failureResultOf(first, CannotMove)
        self.orders.answered({"did": "thaw"})
        self.successResultOf(second)

    def test_no_answer(self) -> None:
        """After its time it is said so; a later order is not hurt by the late answer."""
        waiting = self.do("thaw")
        self.clock.advance(AT_ONCE - 1)
        self.assertNoResult(waiting)
        self.clock.advance(1)
        self.assertIn("did not thaw it", str(self.failureResultOf(waiting, TimedOut).value))
        self.orders.answered({"did": "thaw"})
        again = self.do("thaw")
        self.assertNoResult(again)
        self.orders.answered({"did": "thaw"})
        self.successResultOf(again)

    def test_a_connection_that_breaks(self) -> None:
        """Nothing will come of any order; there is no use in another."""
        waiting = [self.do("freeze"), self.do("thaw")]
        self.there = False
        self.orders.lost()
        for each in [*waiting, self.do("end")]:
            self.assertIn("gone", str(self.failureResultOf(each, CannotMove).value))

    def test_answers_nobody_waits_for(self) -> None:
        """Whatever is in them, they are dropped."""
        for told in ({}, {"did": None}, {"did": ["freeze"]}, {"did": "lock", "error": "x"}):
            self.orders.answered(told)
        self.orders.lost()

    def test_an_order_that_is_called_off(self) -> None:
        """Its late answer, or the end of the connection, finds nobody and hurts nobody."""
        for happens in (lambda: self.orders.answered({"did": "freeze"}), self.orders.lost):
            waiting = self.do("freeze")
            waiting.cancel()
            self.failureResultOf(waiting, CancelledError)
            happens()
