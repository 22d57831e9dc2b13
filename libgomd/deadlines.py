"""Deadlines for what is waited for, on an injected clock."""

from __future__ import annotations

from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

T = TypeVar("T")


def within(clock: IReactorTime, seconds: float, waited: Deferred[T], error: Exception) -> Deferred[T]:
    """
    Return ``waited`` with a deadline: after ``seconds`` it is cancelled and fails with ``error``.

    The timer is gone as soon as ``waited`` has fired, whatever it fired with. Somebody else who cancels
    ``waited`` gets its own error, never ``error``.
    """

    def late(_result: object, _seconds: float) -> T:
        raise error

    return waited.addTimeout(seconds, clock, late)


class Silence:
    """
    Cancels what is waited for when that takes too long. Its one timer costs less than one for each wait.

    :ivar limit: seconds. :ivar is_too_long: whether that has happened.
    """

    def __init__(self, clock: IReactorTime, limit: float) -> None:
        self.limit = limit
        self.is_too_long = False
        self._clock = clock
        self._since = clock.seconds()
        self._waited: Deferred[Any] | None = None
        self._timer: IDelayedCall | None = clock.callLater(limit, self._check)

    async def end(self, waited: Deferred[T]) -> T:
        """Return what ``waited`` fires with. :raises CancelledError: it took too long, or is cancelled."""
        if not waited.called:
            self._since = self._clock.seconds()
            self._waited = waited
        try:
            return await waited
        finally:
            self._waited = None

    def stop(self) -> None:
        """End the timer."""
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    def _check(self) -> None:
        self._timer = None
        left = self._since + self.limit - self._clock.seconds()
        if self._waited is None:
            left = self.limit
        if left > 0:
            self._timer = self._clock.callLater(left, self._check)
        else:
            self.is_too_long = True
            assert self._waited is not None
            self._waited.cancel()
