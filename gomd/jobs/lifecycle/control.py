"""Orders to a supervisor of this node about a migration, and what came of them."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from libgomd.deadlines import within
from libgomd.errors import CannotMove, TimedOut
from libgomd.wire import job_messages
from libgomd.wire.job_orders import Order, OrderOutcome

#: Seconds for an order that a supervisor carries out at once.
ORDER_TIMEOUT = 20.0


class SupervisorControl:
    """
    Gives orders to one supervisor, over a connection that may break and be replaced.

    :param send: sends it a frame. :param connected: tells whether there is a connection.
    """

    def __init__(
        self, clock: IReactorTime, send: Callable[[bytes], None], connected: Callable[[], bool]
    ) -> None:
        self._clock = clock
        self._send = send
        self._connected = connected
        self._waiting: dict[str, Deferred[OrderOutcome]] = {}

    async def do(self, order: Order, timeout: float = ORDER_TIMEOUT) -> OrderOutcome:
        """
        Give an order and return what came of it.

        :param timeout: seconds.
        :raises CannotMove: it could not be carried out, the connection broke, or it was given again.
        :raises TimedOut: nothing came of it in time.
        """
        if not self._connected():
            raise CannotMove("its supervisor is gone")
        waited = self.expect(order.do, timeout)
        self._send(job_messages.encode(order))
        outcome = await waited
        if outcome.error:
            raise CannotMove(outcome.error)
        return outcome

    def expect(self, step: str, timeout: float) -> Deferred[OrderOutcome]:
        """
        Return a Deferred that fires when the supervisor tells of ``step``.

        It fails with `CannotMove` when the connection breaks or the step is expected anew, and with
        `TimedOut` after ``timeout`` seconds.
        """
        if step in self._waiting:
            self._fail(step, CannotMove("it was asked for again"))
        waited = self._waiting[step] = Deferred()
        late = TimedOut(f"its supervisor did not {step} it within {timeout:g} s")
        return within(self._clock, timeout, waited, late)

    def on_outcome(self, outcome: OrderOutcome) -> None:
        """Take what the supervisor tells. An outcome that nobody waits for any more is dropped."""
        waiting = self._waiting.pop(outcome.did, None)
        if waiting is not None and not waiting.called:
            waiting.callback(outcome)

    def connection_lost(self) -> None:
        """The connection broke: nothing will come of the orders that were given over it."""
        for step in tuple(self._waiting):
            self._fail(step, CannotMove("its supervisor is gone"))

    def _fail(self, step: str, error: Exception) -> None:
        waiting = self._waiting.pop(step, None)
        if waiting is not None and not waiting.called:
            waiting.errback(error)
