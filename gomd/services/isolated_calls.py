"""Runs calls that users can make hang: one at a time for each key, and a few for each holder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure

from libgomd.errors import TimedOut, TooMany

#: Largest number of calls at once for one holder, and of calls that wait, for all holders together.
MAX_CALLS_PER_HOLDER: Final = 4
MAX_QUEUED_CALLS: Final = 500
_HANGS: Final = "an earlier request for the same thing still hangs in the kernel: try again later"


Start = Callable[[float, Callable[[], Any]], tuple[Deferred[Any], Deferred[None]]]


@dataclass(eq=False, slots=True)
class _Call:
    """:ivar late: whether it runs, and has not returned within its limit."""

    key: Hashable
    holder: Hashable
    limit: float
    work: Callable[[], Any]
    result: Deferred[Any]
    expiry: IDelayedCall | None = None
    late: bool = False


class IsolatedCalls:
    """
    See `gomd.interfaces.IThreads.run_apart`.

    :param start: calls a function on a thread with a time limit. Returns its result, and a Deferred that
        fires when the thread is free again, however late. Raises `TooMany` if there is no thread.
    """

    def __init__(self, start: Start, clock: IReactorTime) -> None:
        self._start = start
        self._clock = clock
        self._running: dict[Hashable, _Call] = {}
        self._held: Counter[Hashable] = Counter()
        self._late: Counter[Hashable] = Counter()
        self._waiting: list[_Call] = []

    def run(
        self, limit: float, key: Hashable, holder: Hashable, function: Callable[..., Any], *arguments: Any
    ) -> Deferred[Any]:
        """See `gomd.interfaces.IThreads.run_apart`."""
        earlier = self._running.get(key)
        if earlier is not None and earlier.late:
            raise TimedOut(_HANGS)
        if self._late[holder] >= MAX_CALLS_PER_HOLDER:
            raise TooMany(
                f"{MAX_CALLS_PER_HOLDER} requests of yours hang in the kernel already: try again later"
            )
        if len(self._waiting) >= MAX_QUEUED_CALLS:
            raise TooMany(f"{MAX_QUEUED_CALLS} requests wait for what hangs in the kernel: try again later")
        call = _Call(key, holder, limit, lambda: function(*arguments), Deferred())
        if earlier is None and self._held[holder] < MAX_CALLS_PER_HOLDER:
            self._begin(call)
        else:
            # Not `within`: a call that is late has to leave the queue, and ends when another one hangs.
            call.expiry = self._clock.callLater(limit, self._give_up, call)
            self._waiting.append(call)
        return call.result

    def _begin(self, call: _Call) -> None:
        """Run a call on a thread, and pass its result on."""
        self._running[call.key] = call
        self._held[call.holder] += 1
        try:
            result, over = self._start(call.limit, call.work)
        except TooMany:
            self._end(call)
            call.result.errback(Failure())
            return
        over.addCallback(lambda _none: self._ended(call))

        def told(outcome: Any) -> None:
            if not over.called:
                self._note_late(call)
            call.result.callback(outcome)

        result.addBoth(told)

    def _note_late(self, call: _Call) -> None:
        call.late = True
        self._late[call.holder] += 1
        for other in [other for other in self._waiting if other.key == call.key]:
            self._give_up(other)

    def _give_up(self, call: _Call) -> None:
        self._waiting.remove(call)
        if call.expiry is not None and call.expiry.active():
            call.expiry.cancel()
        call.result.errback(TimedOut(_HANGS))

    def _ended(self, call: _Call) -> None:
        """Start the calls that waited for this one: its thread is free again."""
        self._end(call)
        for other in tuple(self._waiting):
            if other.key not in self._running and self._held[other.holder] < MAX_CALLS_PER_HOLDER:
                self._waiting.remove(other)
                if other.expiry is not None and other.expiry.active():
                    other.expiry.cancel()
                self._begin(other)

    def _end(self, call: _Call) -> None:
        del self._running[call.key]
        for counter in (self._held, self._late) if call.late else (self._held,):
            counter[call.holder] -= 1
            if not counter[call.holder]:
                del counter[call.holder]
