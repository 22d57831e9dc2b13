"""A clock that leaves out the gaps during which this process was suspended."""

from __future__ import annotations

from twisted.internet.interfaces import IReactorTime


class SteadyClock:
    """
    Seconds since an arbitrary moment, without the gaps between ticks.

    The cause of a gap (a stopped process, a paused machine) is unknown. After any gap, the silence of other
    nodes proves nothing, so it must not count towards their timeouts.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._left_out = 0.0
        self._last = clock.seconds()

    def now(self) -> float:
        """Return the seconds without the gaps."""
        return self._clock.seconds() - self._left_out

    def now_with_gaps(self) -> float:
        """
        Return the seconds including the gaps, for the age of values, which grows while the process is
        stopped.
        """
        return self._clock.seconds()

    def tick(self, interval: float, max_gap: float) -> bool:
        """Note a tick. Return True when it comes more than ``max_gap`` seconds early or late."""
        now = self._clock.seconds()
        gap = now - self._last - interval
        self._last = now
        if abs(gap) <= max_gap:
            return False
        self._left_out += gap
        return True
