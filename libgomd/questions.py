"""Questions under way: numbered, asked again when no answer comes, given up in time. No socket of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from libgomd.errors import TimedOut, TooMany
from libgomd.wire.messages import MAX_NUMBER, Answer, ClockWarning, Question, Summary

Address = tuple[str, int]
#: Seconds after which a question is asked again, once and once more, and then given up.
PATIENCE: Final = (0.3, 0.5, 0.7)
#: Questions under way at once, at most.
MOST: Final = 4096


@dataclass(slots=True)
class _Pending:
    question: Question
    address: Address
    answer: Deferred[Answer | Summary]
    tries: int
    timer: IDelayedCall | None = None


class Asker:
    """
    :param send: sends a question to an address; may raise OSError, which the next try may not.
    :param random: gives that many random bytes, as os.urandom.
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
        Ask ``question`` (its request id is set here) and give the answer.

        Fails with `TimedOut` when three tries brought none. Cancelling it forgets the question.

        :raises TooMany: too many questions are under way.
        """
        if len(self._pending) >= MOST:
            raise TooMany(f"{MOST} questions are under way: wait for some answers")
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
        """Hand an answer to whoever waits for it; False when nobody does."""
        pending = self._forget(message.request_id)
        if pending is None:
            return False
        pending.answer.callback(message)
        return True

    def take_warning(self, warning: ClockWarning, address: Address, skew: float) -> None:
        """
        Give up what was asked at ``address``: the node there drops our questions for their time.

        :param skew: seconds its clock is ahead of ours.
        """
        for pending in [each for each in self._pending.values() if each.address[0] == address[0]]:
            self._fail(
                pending,
                f"node {warning.name} drops what we ask: its clock and ours are {abs(skew):.0f} s apart",
            )

    def _try(self, pending: _Pending) -> None:
        if pending.tries == len(PATIENCE):
            self.unanswered += 1
            host, port = pending.address
            self._fail(
                pending, f"no answer from {host}:{port} after {pending.tries} tries: is it up, with our key?"
            )
            return
        self.repeated += pending.tries > 0
        pending.timer = self._clock.callLater(PATIENCE[pending.tries], self._try, pending)
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
        """Forget a question that nobody waits for any more."""
        self._forget(request_id)

    def stop(self) -> None:
        """Give up everything that is under way."""
        for pending in list(self._pending.values()):
            self._fail(pending, "this program stops asking")
