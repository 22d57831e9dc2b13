"""Steps of a migration that a supervisor of this node is told to do, and what came of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from libgomd.errors import CannotMove, TimedOut
from libgomd.wire import frames

#: Seconds for what takes no time.
AT_ONCE = 20.0


class SupervisorControl:
    """
    SupervisorControl to one supervisor, over a connection that may break and be had again.

    :param send: sends it a frame. :param there: tells whether there is a connection.
    """

    def __init__(self, clock: IReactorTime, send: Callable[[bytes], None], there: Callable[[], bool]) -> None:
        self._clock = clock
        self._send = send
        self._there = there
        self._waiting: dict[str, Deferred[dict[str, Any]]] = {}

    async def do(self, what: str, within: float = AT_ONCE, **more: Any) -> dict[str, Any]:
        """
        Give an order (`gomd.jobs.supervisor.checkpointing.Movable` lists them) and return what came of it.

        :param within: seconds. :raises CannotMove: it could not be done.
        :raises TimedOut: nothing came of it.
        """
        if not self._there():
            raise CannotMove("its supervisor is gone")
        if what in self._waiting:
            self._waiting.pop(what).errback(CannotMove("it was asked for again"))
        answer = self._waiting[what] = Deferred()
        late = self._clock.callLater(
            within, self._fail, what, TimedOut(f"its supervisor did not {what} it within {within:g} s")
        )
        self._send(frames.encode_json(frames.MOVE, {"do": what, **more}))
        try:
            told = await answer
        finally:
            if late.active():
                late.cancel()
        if told.get("error"):
            raise CannotMove(str(told["error"]))
        return told

    def answered(self, told: dict[str, Any]) -> None:
        """Take what the supervisor tells; an answer that nobody waits for is dropped."""
        waiting = self._waiting.pop(str(told.get("did")), None)
        if waiting is not None:
            waiting.callback(told)

    def lost(self) -> None:
        """The connection broke: nothing will come of what was ordered over it."""
        for what in tuple(self._waiting):
            self._fail(what, CannotMove("its supervisor is gone"))

    def _fail(self, what: str, error: Exception) -> None:
        waiting = self._waiting.pop(what, None)
        if waiting is not None:
            waiting.errback(error)
