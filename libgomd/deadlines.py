"""A deadline for something that is waited for, on an injected clock."""

from __future__ import annotations

from typing import TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

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
