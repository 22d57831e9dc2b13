"""What one caller can cause again and again is logged now and then, with how often it was."""

from __future__ import annotations

from typing import Final

from twisted.internet.interfaces import IReactorTime

#: Seconds between two lines about one caller, and lines about all of them within that time.
PERIOD: Final = 60.0
LINES: Final = 20
#: Callers that are told apart; of more the one that was logged longest ago is forgotten.
MOST: Final = 1000


class RepeatedWarnings:
    """
    Says when something is to be logged: at once, then at most once in `PERIOD` for each caller, and at most
    `LINES` times for all of them.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._callers: dict[str, list[float]] = {}
        self._began = -PERIOD
        self._lines = 0

    def count(self, caller: str) -> int:
        """
        Count one for ``caller``, an address or a user.

        :returns: how many there were since the last line when one is due now, this one included; else 0.
        """
        now = self._clock.seconds()
        if now - self._began >= PERIOD:
            self._began, self._lines = now, 0
        known = self._callers.get(caller)
        if known is None:
            if len(self._callers) >= MOST:
                del self._callers[next(iter(self._callers))]
            known = self._callers[caller] = [now - PERIOD, 0]
        known[1] += 1
        if now - known[0] < PERIOD or self._lines >= LINES:
            return 0
        self._lines += 1
        count = int(known[1])
        del self._callers[caller]  # so that the oldest stands first
        self._callers[caller] = [now, 0]
        return count
