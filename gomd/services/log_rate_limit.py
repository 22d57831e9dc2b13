"""Limits how often one message is logged, so that nobody who can cause it can fill a disk with it."""

from __future__ import annotations

from typing import ClassVar, Final

from twisted.logger import LogEvent, Logger, LogLevel

#: Largest number of lines of one message in `LIMIT_PERIOD` seconds. Normal operation stays far below it.
MAX_LINES_PER_PERIOD: Final = 200
LIMIT_PERIOD: Final = 60.0
#: Largest number of messages that are counted apart. There are far fewer: messages are fixed sentences.
_MAX_MESSAGES: Final = 4096


class LogRateLimit:
    """
    Counts events by their message, whatever values it has, and refuses those above the limit.

    Before a message is logged again in a later period, one line says how many were left out. Events of level
    debug are not limited: whoever switches them on wants to see all of them.
    """

    _log: ClassVar[Logger] = Logger()

    def __init__(self, lines: int = MAX_LINES_PER_PERIOD) -> None:
        self._lines = lines
        self._counts: dict[tuple[str, str], list[float]] = {}

    def refuses(self, event: LogEvent) -> bool:
        """Return whether ``event`` is not to be logged. May be called on any thread; never raises."""
        if event.get("log_level") is LogLevel.debug:
            return False
        now = event.get("log_time")
        if not isinstance(now, float):
            return False
        key = (str(event.get("log_namespace")), str(event.get("log_format")))
        begun_and_count = self._counts.get(key)
        if begun_and_count is None or abs(now - begun_and_count[0]) >= LIMIT_PERIOD:
            if len(self._counts) >= _MAX_MESSAGES:
                self._counts.clear()
            self._counts[key] = [now, 1]
            if begun_and_count is not None and (left_out := int(begun_and_count[1]) - self._lines) > 0:
                self._log.warn(
                    "{left_out} messages were left out that say, with other values: {sentence}",
                    left_out=left_out, sentence=key[1],
                )  # fmt: skip
            return False
        begun_and_count[1] += 1
        return begun_and_count[1] > self._lines
