"""A database in a directory of its own, and a clock that goes on by itself, for the tests of SQLite."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

from twisted.logger import ILogObserver, LogEvent, formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from gomd.history.sqlite import SqliteHistory
from gomd.interfaces import ISampleLog

LOCAL = "22 1 0:20 / / rw,relatime - ext4 /dev/sda1 rw\n"


@implementer(ILogObserver)
class Listener:
    """Notes what the history says in the daemon's log."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def __call__(self, event: LogEvent) -> None:
        if event.get("log_namespace", "").startswith("gomd.history"):
            self.said.append(formatEvent(event))


class SqliteCase(SynchronousTestCase):
    """
    Makes histories that write one file, each when the one before has closed.

    :ivar parent: a directory. :ivar path: of the file, in a directory in it that is not there yet.
    :ivar now: seconds since the epoch, at the start of each history. :ivar said: what they have logged.
    """

    def setUp(self) -> None:
        self.parent = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.parent)
        self.path = self.parent / "state" / "history.sqlite"
        self.now = 1_700_000_000.0
        self.ticks = count()  # a second each time that somebody looks at a clock
        listener = Listener()
        self.said = listener.said
        globalLogPublisher.addObserver(listener)
        self.addCleanup(globalLogPublisher.removeObserver, listener)

    def make(self, max_bytes: int = 1 << 26, mounts: Callable[[], str] = lambda: LOCAL) -> SqliteHistory:
        start = float(next(self.ticks))
        log = SqliteHistory(
            str(self.path), 7, max_bytes, lambda: self.now + float(next(self.ticks)) - start,
            monotonic=lambda: float(next(self.ticks)), read_mounts=mounts,
        )  # fmt: skip
        self.addCleanup(log.close)
        return log

    def counter(self, log: ISampleLog, name: str) -> float:
        return next(float(each.value) for each in log.counters() if each.name == name)

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        """Return what people's own SQL finds."""
        connection = sqlite3.connect(self.path)
        try:
            return connection.execute(statement).fetchall()
        finally:
            connection.close()
