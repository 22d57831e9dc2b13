"""How much a reactor does at a time: processor time between two turns, whatever else the machine does."""

from __future__ import annotations

import time
from typing import Any, Final

#: Seconds between two looks; work of less than this is not told apart.
_PERIOD: Final = 0.005


class StallMeter:
    """
    Notes the largest piece of work of a reactor, in seconds of its thread's processor time.

    :param reactor: whose turns are watched, from its own thread.
    """

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._last = time.thread_time()
        self._longest = 0.0
        self._look()

    def _look(self) -> None:
        now = time.thread_time()
        self._longest = max(self._longest, now - self._last)
        self._last = now
        self._reactor.callLater(_PERIOD, self._look)

    def take(self) -> float:
        """Return the longest since the last call, in seconds."""
        longest, self._longest = self._longest, 0.0
        return longest
