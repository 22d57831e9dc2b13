"""Recognises streams that go to systemd's journal, and marks lines with their priority there."""

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
    Return whether ``stream`` is the connection to the journal that systemd made and named in JOURNAL_STREAM.

    Programs whose output goes elsewhere inherit this variable too, so the file itself is compared.
    """
    device, _, inode = environ.get("JOURNAL_STREAM", "").partition(":")
    try:
        found = os.fstat(stream.fileno())
    except (OSError, ValueError, AttributeError):
        return False
    return (device, inode) == (str(found.st_dev), str(found.st_ino))


def with_priority(lines: str, level: Any) -> str:
    """Return ``lines``, each with the priority of ``level`` before it, as the journal wants it."""
    prefix = PRIORITIES.get(level, PRIORITIES[LogLevel.info])
    return "".join(f"{prefix}{line}\n" for line in lines.removesuffix("\n").split("\n"))
