"""Threads of which the test says when their calls are done."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure
from zope.interface import implementer

from gomd.interfaces import IThreads
from libgomd.errors import TimedOut, TooMany

R = TypeVar("R")


@implementer(IThreads)
class HeldThreads:
    """
    Keeps every call until `work`.

    :ivar waiting: calls that were asked for and are not done. :ivar full: refuse every call.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self.waiting: list[Callable[[], None]] = []
        self.full = False
        self._clock = clock

    def run(self, limit: float, function: Callable[..., R], *arguments: Any) -> Deferred[R]:
        """See `IThreads.run`."""
        if self.full:
            raise TooMany("no thread is free")
        result: Deferred[R] = Deferred()
        expiry = self._clock.callLater(limit, lambda: result.errback(TimedOut("it took too long")))

        def call() -> None:
            outcome: Any
            try:
                outcome = function(*arguments)
            except Exception as error:
                outcome = Failure(error)
            if not result.called:
                expiry.cancel()
                result.callback(outcome)

        self.waiting.append(call)
        return result

    def run_apart(
        self, limit: float, key: Hashable, holder: Hashable, function: Callable[..., R], *arguments: Any
    ) -> Deferred[R]:
        """See `IThreads.run_apart`."""
        return self.run(limit, function, *arguments)

    def work(self) -> None:
        """Do every call, those too that they bring about."""
        while self.waiting:
            self.waiting.pop(0)()
