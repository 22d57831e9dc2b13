"""Work that is completed even when whoever waits for it goes away or its deadline passes."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Hashable
from typing import Any, ClassVar, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from libgomd.deadlines import within
from libgomd.errors import GomdError, TimedOut

T = TypeVar("T")


class Shielded:
    """Runs work; cancelling the Deferred that stands for it has no effect on the work."""

    _log: ClassVar[Logger] = Logger()

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._waiting: dict[Hashable, list[Deferred[Any]]] = {}

    def do(self, work: Coroutine[Any, Any, T], limit: float, late: str) -> Deferred[T]:
        """
        Begin ``work``; the Deferred fires with what comes of it.

        :param limit: seconds; after them the Deferred fails with `TimedOut`, which says ``late``.
        """
        return within(self._clock, limit, self.share(object(), lambda: work), TimedOut(late))

    def share(self, key: Hashable, work: Callable[[], Coroutine[Any, Any, T]]) -> Deferred[T]:
        """Begin ``work``, or wait for that which was begun under the same ``key`` and is not done."""
        shared: Deferred[T] = Deferred()
        begun = self._waiting.setdefault(key, [])
        begun.append(shared)
        if len(begun) == 1:
            Deferred.fromCoroutine(work()).addBoth(self._done, key)
        return shared

    def _done(self, result: object, key: Hashable) -> None:
        waiting = [each for each in self._waiting.pop(key) if not each.called]
        if isinstance(result, Failure) and not waiting and not result.check(GomdError):
            self._log.failure("work that nobody waited for failed", failure=result)
        for each in waiting:
            if isinstance(result, Failure):
                each.errback(result)
            else:
                each.callback(result)
