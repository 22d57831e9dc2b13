"""A time that leaves out the gaps in which this process was stopped."""

from __future__ import annotations

from twisted.internet.interfaces import IReactorTime


class SteadyClock:
    """
    Seconds, from any origin. A gap between two ticks is left out of it.

    What a gap was (a stopped process, a machine that was paused) cannot be told, and after any of them
    the silence of others proves nothing.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._left_out = 0.0
        self._last = clock.seconds()

    def now(self) -> float:
        """The time."""
        return self._clock.seconds() - self._left_out

    def whole(self) -> float:
        """The same with the gaps: for ages, which go on while this process is stopped."""
        return self._clock.seconds()

    def tick(self, interval: float, most: float) -> bool:
        """Say that a tick comes; True when it is more than ``most`` seconds off its time."""
        now = self._clock.seconds()
        gap = now - self._last - interval
        self._last = now
        if abs(gap) <= most:
            return False
        self._left_out += gap
        return True
