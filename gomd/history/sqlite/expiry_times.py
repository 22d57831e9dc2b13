"""When old rows are removed: every hour, but only while the clock goes on without a step. No I/O."""

from __future__ import annotations

from typing import Final

#: Seconds between two removals of old rows. The clock must have gone on without a step for as long as the
#: second number before anything is removed: one that was set wrong for a moment must not cost a month.
EXPIRE_PERIOD: Final = 3600.0
STEADY_BEFORE_EXPIRE: Final = 600.0
#: Seconds by which the wall clock and the monotonic clock may drift apart between two questions.
MAX_DRIFT: Final = 30.0


class ExpiryTimes:
    """:param now: seconds of a monotonic clock; the first time is ten minutes later."""

    def __init__(self, now: float) -> None:
        self._steady_since = now
        self._last = now - EXPIRE_PERIOD + STEADY_BEFORE_EXPIRE
        self._offset: float | None = None
        self._trusted: float | None = None
        self._stepped = False

    def is_time(self, now: float, wall: float) -> bool:
        """Return whether to remove old rows now. :param wall: seconds since the epoch."""
        self._look(now, wall)
        if now - self._last < EXPIRE_PERIOD or now - self._steady_since < STEADY_BEFORE_EXPIRE:
            return False
        self._last = now
        return True

    def trusted(self, now: float, wall: float) -> float:
        """
        Return the seconds since the epoch by which a full file may be thinned.

        For ten minutes after a step of the clock they go on as before it.
        """
        self._look(now, wall)
        return wall if self._trusted is None else now + self._trusted

    def _look(self, now: float, wall: float) -> None:
        offset = wall - now
        if self._offset is not None and abs(offset - self._offset) > MAX_DRIFT:
            self._steady_since, self._stepped = now, True
        self._offset = offset
        if not self._stepped or now - self._steady_since >= STEADY_BEFORE_EXPIRE:
            self._trusted = offset
