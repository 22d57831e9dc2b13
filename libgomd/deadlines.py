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
    Cancels what reads from somebody who says nothing any more. It has one timer, however often it is heard.

    :ivar limit: seconds. :ivar is_too_long: whether that has happened.
    :param grain: seconds by which it may be noticed later. The timers of many with the same grain expire
        together, so that they wake the program up once.
    """

    def __init__(self, clock: IReactorTime, limit: float, grain: float = 0.0) -> None:
        self.limit = limit
        self._grain = grain
        self.is_too_long = False
        self._clock = clock
        self._since = clock.seconds()
        self._reading: Deferred[Any] | None = None
        self._timer: IDelayedCall | None = None
        self._wait(limit)

    def guard(self, reading: Deferred[Any]) -> None:
        """Cancel ``reading`` when the silence is too long."""
        self._reading = reading

    def heard(self) -> float:
        """Note that something was said now; returns when that is, in seconds of the clock."""
        self._since = now = self._clock.seconds()
        return now

    def _wait(self, seconds: float) -> None:
        if self._grain:
            seconds += -(self._clock.seconds() + seconds) % self._grain
        self._timer = self._clock.callLater(seconds, self._check)

    def stop(self) -> None:
        """End the timer."""
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    def _check(self) -> None:
        self._timer = None
        left = self._since + self.limit - self._clock.seconds()
        if left > 0:
            self._wait(left)
            return
        self.is_too_long = True
        if self._reading is not None:
            self._reading.cancel()
