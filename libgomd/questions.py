"""Pending datagram questions: each has a request id, is retried, and times out. It has no socket."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from libgomd.errors import TimedOut, TooMany
from libgomd.wire.addresses import shown, without_zone
from libgomd.wire.messages import MAX_NUMBER, Answer, ClockWarning, Question, Summary
from libgomd.wire.replay import differs

Address = tuple[str, int]
#: Timeout of each try, in seconds. After the last one the question fails.
TRY_TIMEOUTS: Final = (0.3, 0.5, 0.7)
#: Maximum number of pending questions.
MAX_PENDING: Final = 4096


@dataclass(slots=True)
class _Pending:
    question: Question
    address: Address
    answer: Deferred[Answer | Summary]
    tries: int
    timer: IDelayedCall | None = None


class Asker:
    """
    Sends questions and matches answers to them.

    :param send: sends a question to an address. If it raises OSError, the next try may succeed.
    :param random: returns so many random bytes, like os.urandom.
    """

    def __init__(
        self, clock: IReactorTime, send: Callable[[Question, Address], None], random: Callable[[int], bytes]
    ) -> None:
        self._clock = clock
        self._send = send
        self._random = random
        self._pending: dict[int, _Pending] = {}
        self.repeated = 0
        self.unanswered = 0

    def ask(self, address: Address, question: Question) -> Deferred[Answer | Summary]:
        """
        Send ``question``, with a new request id, and return its answer.

        The Deferred fails with `TimedOut` after three unanswered tries. Cancel it to drop the question.

        :raises TooMany: too many questions are pending.
        """
        if len(self._pending) >= MAX_PENDING:
            raise TooMany(f"{MAX_PENDING} questions are pending: wait for some answers")
        request_id = int.from_bytes(self._random(7), "big") & MAX_NUMBER
        while request_id in self._pending:
            request_id += 1
        pending = _Pending(
            question._replace(request_id=request_id),
            address,
            Deferred(lambda _: self._dismiss(request_id)),
            0,
        )
        self._pending[request_id] = pending
        self._try(pending)
        return pending.answer

    def take(self, message: Answer | Summary) -> bool:
        """Process an answer. Return False if no question is pending for it."""
        pending = self._forget(message.request_id)
        if pending is None:
            return False
        pending.answer.callback(message)
        return True

    def take_warning(self, warning: ClockWarning, address: Address, skew: float) -> None:
        """
        Fail all questions to ``address``, because the node there drops them for their time stamp.

        :param skew: seconds by which its clock is ahead of ours. Where it is small, the node was sent an old
            recording of a question, and the warning means nothing.
        """
        if not differs(skew):
            return
        for pending in [
            each
            for each in self._pending.values()
            if without_zone(each.address[0]) == without_zone(address[0])
        ]:
            self._fail(
                pending,
                f"node {warning.name} drops what we ask: its clock and ours are {abs(skew):.0f} s apart",
            )

    def _try(self, pending: _Pending) -> None:
        if pending.tries == len(TRY_TIMEOUTS):
            self.unanswered += 1
            where = shown(*pending.address)
            self._fail(
                pending, f"no answer from {where} after {pending.tries} tries: is it up, with our key?"
            )
            return
        self.repeated += pending.tries > 0
        pending.timer = self._clock.callLater(TRY_TIMEOUTS[pending.tries], self._try, pending)
        pending.tries += 1
        try:
            self._send(pending.question, pending.address)
        except OSError:
            pass  # no route now: the next try may find one

    def _fail(self, pending: _Pending, reason: str) -> None:
        self._forget(pending.question.request_id)
        pending.answer.errback(TimedOut(reason))

    def _forget(self, request_id: int) -> _Pending | None:
        pending = self._pending.pop(request_id, None)
        if pending is not None and pending.timer is not None and pending.timer.active():
            pending.timer.cancel()
        return pending

    def _dismiss(self, request_id: int) -> None:
        """Drop a question whose Deferred was cancelled."""
        self._forget(request_id)

    def stop(self) -> None:
        """Fail all pending questions."""
        for pending in list(self._pending.values()):
            self._fail(pending, "this program stops asking")
