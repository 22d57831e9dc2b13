"""Writes the daemon's log as lines of text or JSON. No input can forge a line."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import IO, Any

from twisted.logger import FileLogObserver, ILogObserver, LogEvent, LogLevel, eventAsText, formatEvent
from zope.interface import implementer

from gomd.services.journald import with_priority
from gomd.services.log_rate_limit import LogRateLimit
from libgomd.wire.text import printable


@implementer(ILogObserver)
class DaemonLog:
    """
    Writes each event of a high enough level to ``out``. May be called on any thread, and never raises. One
    message is written only so many times a minute (`LogRateLimit`).

    In text, an event is one line ``TIME [NAMESPACE#LEVEL] MESSAGE``. Further lines of the message and a
    traceback follow, each with a tab before it. In JSON, it is one object on one line: ``time`` (seconds
    since the epoch), ``level``, ``namespace``, ``message`` and, for a failure, ``traceback``. Characters that
    are not printable are escaped in both.

    :param out: takes text, or bytes in UTF-8. :param log_format: ``text`` or ``json``.
    :param log_level: the lowest level that is written: debug, info, warn, error, critical.
    :param priorities: begin each line with its priority, as systemd's journal wants it.
    :param again: opens the file again by its name, for `reopen`; None if ``out`` has no name.
    """

    def __init__(
        self,
        out: IO[Any],
        log_format: str,
        log_level: str = "info",
        *,
        priorities: bool = False,
        again: Callable[[], IO[Any]] | None = None,
    ) -> None:
        encoding = getattr(out, "encoding", None) or "utf-8"
        as_line: dict[str, Callable[[LogEvent], str]] = {"text": _TextLine(encoding), "json": json_line}
        self._format = _with_priority(as_line[log_format]) if priorities else as_line[log_format]
        self._again = again
        self._out = out
        self._write = FileLogObserver(out, self._format)
        self._writing = threading.RLock()  # reentrant: a __del__ may log while its thread logs
        self._budget = LogRateLimit()
        self.set_level(log_level)

    def reopen(self) -> None:
        """
        Continue in a new file of the same name, after logrotate has moved the old one. Blocks briefly.

        :raises OSError: it cannot be opened; the old file stays in use.
        """
        if self._again is None:
            return
        fresh = self._again()
        with self._writing:
            old, self._out = self._out, fresh
            self._write = FileLogObserver(fresh, self._format)
            old.close()

    def set_level(self, log_level: str) -> None:
        """Change the lowest level that is written. :raises KeyError: there is no such level."""
        self._level = _LEVELS[log_level]

    def __call__(self, event: LogEvent) -> None:
        """See `ILogObserver`."""
        level = event.get("log_level")
        if (level is not None and level < self._level) or self._budget.refuses(event):
            return
        try:
            with self._writing:
                self._write(event)
        except (OSError, ValueError):  # a full disk or a closed pipe cannot be reported anywhere
            pass


def _with_priority(as_line: Callable[[LogEvent], str]) -> Callable[[LogEvent], str]:
    def with_its_priority(event: LogEvent) -> str:
        lines = as_line(event)
        return lines and with_priority(lines, event.get("log_level"))

    return with_its_priority


_LEVELS = {level.name: level for level in LogLevel.iterconstants()}


class _TextLine:
    def __init__(self, encoding: str) -> None:
        self._encoding = encoding

    def __call__(self, event: LogEvent) -> str:
        """Return the lines of ``event``, empty for one without any text."""
        text = eventAsText(event)
        if not text:
            return ""
        lines = "\n\t".join(printable(line) for line in text.rstrip("\n").split("\n"))
        return lines.encode(self._encoding, "backslashreplace").decode(self._encoding) + "\n"


def json_line(event: LogEvent) -> str:
    """Return the line of ``event``, empty for one without any text."""
    message = formatEvent(event)
    level = event.get("log_level")
    record = {
        "time": event.get("log_time"),
        "level": level.name if level is not None else "info",
        "namespace": event.get("log_namespace", ""),
        "message": message,
    }
    if "log_failure" in event:
        whole = eventAsText(event, includeTimestamp=False, includeSystem=False)
        record["traceback"] = whole[len(message) :].strip("\n")
    elif not message:
        return ""
    # ensure_ascii (the default) escapes every control character but DEL
    return json.dumps(record, default=str).replace("\x7f", "\\u007f") + "\n"
