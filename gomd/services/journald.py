"""Whether a stream goes to systemd's journal, and how a line says how important it is there."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Final

from twisted.logger import LogLevel

#: The priorities of syslog(3), as sd-daemon(3) writes them before a line.
PRIORITIES: Final[Mapping[Any, str]] = {
    LogLevel.debug: "<7>",
    LogLevel.info: "<6>",
    LogLevel.warn: "<4>",
    LogLevel.error: "<3>",
    LogLevel.critical: "<2>",
}


def goes_to_journal(stream: Any, environ: Mapping[str, str]) -> bool:
    """
    Whether ``stream`` is the connection to the journal that systemd made and named in JOURNAL_STREAM.

    The variable is inherited by programs whose output goes elsewhere: only the file itself tells.
    """
    device, _, inode = environ.get("JOURNAL_STREAM", "").partition(":")
    try:
        found = os.fstat(stream.fileno())
    except (OSError, ValueError, AttributeError):
        return False
    return (device, inode) == (str(found.st_dev), str(found.st_ino))


def with_priority(lines: str, level: Any) -> str:
    """Return ``lines`` with the priority of ``level`` before each: the journal takes each by itself."""
    prefix = PRIORITIES.get(level, PRIORITIES[LogLevel.info])
    return "".join(f"{prefix}{line}\n" for line in lines.removesuffix("\n").split("\n"))
