"""Limits how often a warning that callers can cause at will is logged."""

from __future__ import annotations

from typing import Final

from twisted.internet.interfaces import IReactorTime

#: Seconds between two lines about one caller, and the largest number of lines about all callers in that time.
CALLER_INTERVAL: Final = 60.0
MAX_LINES_PER_INTERVAL: Final = 20
#: Callers that are remembered; beyond that, the one that was logged longest ago is forgotten.
MAX_CALLERS: Final = 1000


class RepeatedWarnings:
    """
    Decides when a warning is logged: the first time, then at most once in `CALLER_INTERVAL` for each caller,
    and at most `MAX_LINES_PER_INTERVAL` times for all callers together.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._callers: dict[str, list[float]] = {}
        self._began = -CALLER_INTERVAL
        self._lines = 0

    def count(self, caller: str) -> int:
        """
        Count one occurrence for ``caller``, an address or a user.

        :returns: how many there were since the last line, including this one; 0 if no line is due now.
        """
        now = self._clock.seconds()
        if now - self._began >= CALLER_INTERVAL:
            self._began, self._lines = now, 0
        known = self._callers.get(caller)
        if known is None:
            if len(self._callers) >= MAX_CALLERS:
                del self._callers[next(iter(self._callers))]
            known = self._callers[caller] = [now - CALLER_INTERVAL, 0]
        known[1] += 1
        if now - known[0] < CALLER_INTERVAL or self._lines >= MAX_LINES_PER_INTERVAL:
            return 0
        self._lines += 1
        count = int(known[1])
        del self._callers[caller]  # so that the dict stays ordered by age
        self._callers[caller] = [now, 0]
        return count
