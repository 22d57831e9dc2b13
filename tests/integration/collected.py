"""Collects what a node keeps into a database, as a collector does, without daemons."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

from gomd.history.postgresql.collected import CollectedHistory
from gomd.history.postgresql.connecting import connector
from gomd.history.postgresql.conninfo import parse_conninfo
from gomd.history.postgresql.reader import DatabaseReader
from gomd.history.sqlite import SqliteHistory
from gomd.interfaces import AskedPage, HistoryPage, IHistory, ISampleLog
from tests.integration.postgresql import Postgres
from tests.unit.history.contract import HistoryContract


class Collecting(SqliteHistory):
    """The file of a node that is collected as soon as it is closed."""

    def __init__(self, collected: CollectedHistory, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self.collected = collected

    def close(self) -> None:
        super().close()
        collect_all(self.collected, self.reader)


def collect_all(collected: CollectedHistory, reader: IHistory, node: int = 7) -> int:
    """Collect everything that a node has, and return the number of rows."""
    rows = 0
    for stream in ("own", "seen"):
        [cursor] = collected.lease([node], stream).values()
        while True:
            page = reader.page(cursor, stream)
            stored = store(collected, node, stream, cursor, page)
            assert stored is not None
            rows += stored
            cursor = page.cursor
            if not page.more:
                break
    return rows


def store(collected: CollectedHistory, node: int, stream: str, cursor: str, page: HistoryPage) -> int | None:
    """Store one page."""
    [stored] = collected.store([AskedPage(node, stream, cursor, page)])
    return stored


class CollectedContract(HistoryContract):
    """What every history promises is true of one that was collected into a database."""

    #: Where the rows go; a subclass sets it before `setUp`.
    server: Postgres
    addCleanup: Callable[..., None]

    def setUp(self) -> None:
        self.server.clear()
        self.parent = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.parent)
        self.now = 1_000_100.0

    def make_history(self) -> tuple[ISampleLog, IHistory]:
        ticks = count()
        connect = connector(parse_conninfo(self.server.database), "")
        collected = CollectedHistory(7, connect, lambda: self.now)
        self.addCleanup(collected.close)
        collected.lease([], "own")  # has the tables
        log = Collecting(
            collected, str(self.parent / "state" / "history.sqlite"), 7, 1 << 26, lambda: self.now,
            monotonic=lambda: float(next(ticks)),
        )  # fmt: skip
        self.addCleanup(log.close)
        return log, DatabaseReader(7, 60.0, connect)
