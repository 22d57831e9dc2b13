"""How often one message may be logged: nobody who can cause it fills a disk with it."""

from __future__ import annotations

from typing import ClassVar, Final

from twisted.logger import LogEvent, Logger, LogLevel

#: Lines of one message within `PERIOD` seconds. Nothing that goes well comes near it.
LINES: Final = 200
PERIOD: Final = 60.0
#: Messages that are told apart; they are fixed sentences, so that there are far fewer.
_MOST: Final = 4096


class LogRateLimit:
    """
    Counts events by their sentence, whatever the values in it; above `LINES` a minute they are left out.

    Before a sentence is logged again in a later minute, one line says how many were left out. Events of
    level debug are not counted: whoever switches them on wants to see them all.
    """

    _log: ClassVar[Logger] = Logger()

    def __init__(self, lines: int = LINES) -> None:
        self._lines = lines
        self._counts: dict[tuple[str, str], list[float]] = {}

    def refuses(self, event: LogEvent) -> bool:
        """Whether ``event`` is to be left out. May be called on any thread; never raises."""
        if event.get("log_level") is LogLevel.debug:
            return False
        now = event.get("log_time")
        if not isinstance(now, float):
            return False
        key = (str(event.get("log_namespace")), str(event.get("log_format")))
        begun_and_count = self._counts.get(key)
        if begun_and_count is None or abs(now - begun_and_count[0]) >= PERIOD:
            if len(self._counts) >= _MOST:
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
