"""
A clock whose calls share wake-ups, for periodic work that may be a moment late.

A process that sleeps most of the time pays more for each wake-up than for what it does then: the caches are
cold. Services that begin together and work every second would wake it up one after the other, every second.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Final
from weakref import WeakKeyDictionary

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from zope.interface import implementer

#: Seconds from one moment at which calls are made to the next.
STEP: Final = 0.5
#: Seconds; what is due sooner is done on time. A loop of a second that was called late waits longer than that
#: until its next call, so it stays with the others.
LEAST_DELAY: Final = 0.499
_anchors: WeakKeyDictionary[IReactorTime, float] = WeakKeyDictionary()


@implementer(IReactorTime)
class SharedWakeups:
    """
    The moments are `STEP` apart, from the first object for the same clock on.

    So what begins within that time is called together. A loop keeps its pace: what is late is not added up,
    and a period of whole steps is kept exactly.

    :param clock: tells the time, and makes the calls.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._anchor = _anchors.setdefault(clock, clock.seconds())

    def seconds(self) -> float:
        """See `IReactorTime.seconds`."""
        return self._clock.seconds()

    def callLater(
        self, delay: float, callable: Callable[..., Any], *args: object, **kwargs: object
    ) -> IDelayedCall:
        """See `IReactorTime.callLater`. The call may be late by `STEP`, and is never early."""
        if delay >= LEAST_DELAY:
            now = self._clock.seconds()
            steps = math.ceil((now + delay - self._anchor) / STEP - 1e-6)
            delay = max(delay, self._anchor + steps * STEP - now)
        return self._clock.callLater(delay, callable, *args, **kwargs)

    def getDelayedCalls(self) -> Sequence[IDelayedCall]:
        """See `IReactorTime.getDelayedCalls`."""
        return self._clock.getDelayedCalls()
