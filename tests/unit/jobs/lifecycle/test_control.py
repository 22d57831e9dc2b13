"""What a supervisor is told to do about a move, over a connection that may break at any time."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from gomd.jobs.lifecycle.control import ORDER_TIMEOUT, SupervisorControl
from libgomd.errors import CannotMove, TimedOut
from libgomd.wire import frames, job_messages
from libgomd.wire.frames import FrameParser
from libgomd.wire.job_orders import FreezeOrder, KeepOrder, Order, OrderOutcome, PlainOrder

FREEZE = FreezeOrder("/usr/sbin/criu", "/images", "192.168.7.2", 4000, ("ca", "cert", "key"), 60.0)
THAW, END, KEEP = PlainOrder("thaw"), PlainOrder("end"), KeepOrder(4096)


class OrdersTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock, self.sent, self.there = Clock(), bytearray(), True
        self.orders = SupervisorControl(self.clock, self.sent.extend, lambda: self.there)

    def do(self, order: Order) -> Deferred[OrderOutcome]:
        return Deferred.fromCoroutine(self.orders.do(order))

    def tearDown(self) -> None:
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_an_order_and_its_answer(self) -> None:
        """The frame says what to do; what the supervisor tells is given back."""
        waiting = self.do(KEEP)
        [frame] = FrameParser().feed(bytes(self.sent))
        self.assertEqual(frame.kind, frames.MOVE)
        self.assertEqual(job_messages.decode_order(frame.payload), KEEP)
        self.assertNoResult(waiting)
        told = OrderOutcome("keep", "", ((10, True),))
        self.orders.on_outcome(told)
        self.assertEqual(self.successResultOf(waiting), told)

    def test_a_step_that_was_not_ordered(self) -> None:
        """A supervisor tells by itself that it has received what to run; that may be waited for too."""
        waiting = self.orders.expect("received", 5.0)
        self.orders.on_outcome(OrderOutcome("received"))
        self.assertEqual(self.successResultOf(waiting), OrderOutcome("received"))
        self.assertEqual(self.sent, b"")

    def test_a_refusal_is_the_supervisors_own(self) -> None:
        """Its sentence comes through."""
        waiting = self.do(FREEZE)
        self.orders.on_outcome(OrderOutcome("freeze", "it holds a lock"))
        self.assertEqual(str(self.failureResultOf(waiting, CannotMove).value), "it holds a lock")

    def test_two_orders_at_a_time(self) -> None:
        """Each gets its own answer, in any order."""
        freeze, thaw = self.do(FREEZE), self.do(THAW)
        self.orders.on_outcome(OrderOutcome("thaw"))
        self.successResultOf(thaw)
        self.assertNoResult(freeze)
        self.orders.on_outcome(OrderOutcome("freeze", "it was told to go on"))
        self.failureResultOf(freeze, CannotMove)

    def test_the_same_order_again(self) -> None:
        """The first one is given up, the second one gets the answer."""
        first = self.do(THAW)
        second = self.do(THAW)
        self.failureResultOf(first, CannotMove)
        self.orders.on_outcome(OrderOutcome("thaw"))
        self.successResultOf(second)

    def test_no_answer(self) -> None:
        """After its time it is said so; a later order is not hurt by the late answer."""
        waiting = self.do(THAW)
        self.clock.advance(ORDER_TIMEOUT - 1)
        self.assertNoResult(waiting)
        self.clock.advance(1)
        self.assertIn("did not thaw it", str(self.failureResultOf(waiting, TimedOut).value))
        self.orders.on_outcome(OrderOutcome("thaw"))
        again = self.do(THAW)
        self.assertNoResult(again)
        self.orders.on_outcome(OrderOutcome("thaw"))
        self.successResultOf(again)

    def test_a_connection_that_breaks(self) -> None:
        """Nothing will come of any order; there is no use in another."""
        waiting = [self.do(FREEZE), self.do(THAW)]
        self.there = False
        self.orders.connection_lost()
        for each in [*waiting, self.do(END)]:
            self.assertIn("gone", str(self.failureResultOf(each, CannotMove).value))

    def test_answers_nobody_waits_for(self) -> None:
        """Whatever is in them, they are dropped."""
        for told in (OrderOutcome(""), OrderOutcome("freeze"), OrderOutcome("lock", "x")):
            self.orders.on_outcome(told)
        self.orders.connection_lost()

    def test_an_order_that_is_called_off(self) -> None:
        """Its late answer, or the end of the connection, finds nobody and hurts nobody."""
        for happens in (lambda: self.orders.on_outcome(OrderOutcome("freeze")), self.orders.connection_lost):
            waiting = self.do(FREEZE)
            waiting.cancel()
            self.failureResultOf(waiting, CancelledError)
            happens()
