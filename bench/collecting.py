"""
Measures how fast a collector stores the histories of a hundred busy nodes in PostgreSQL.

Each node is the one of `bench.history`: a sample a second, 50 processes with values every five seconds, six
that began or ended, and 40 measures every fifteen. Pages have five seconds, as a collector asks for them.
What counts is the processor time of the collector and of the server together, so that it is that of one core
whatever else runs.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Final

import psutil

from bench.history import MEASURES_PERIOD, SCAN_PERIOD, _counter, _Node
from bench.rows import Row, row
from gomd.history.sqlite import SqliteHistory
from gomd.interfaces import AskedPage, HistoryPage
from libgomd.wallclock import wall_clock

NODES: Final = 100
#: Seconds of each node's past that are stored, and in one page.
SECONDS: Final = 60
PAGE_SECONDS: Final = 5
TABLES: Final = ("samples", "measures", "scans", "scanned", "processes", "minutes", "nodes")
#: Pages that are stored at once.
AT_ONCE: Final = 16


def run() -> list[Row]:
    """Measure, and return the row; nothing where there is no PostgreSQL."""
    from tests.integration.postgresql import Postgres, programs

    if not programs():
        return []
    from gomd.history.postgresql.collected import CollectedHistory
    from gomd.history.postgresql.connecting import connector
    from gomd.history.postgresql.conninfo import parse_conninfo

    with tempfile.TemporaryDirectory(prefix="gomd-bench-") as directory:
        pages = _pages(Path(directory))
    server = Postgres()
    try:
        collected = CollectedHistory(1, connector(parse_conninfo(server.database), ""), wall_clock)
        cursors = dict(collected.lease(range(1, NODES + 1), "own"))
        rows, everything, begun = 0, 0, 0.0
        for page in pages:
            for first in range(1, NODES + 1, AT_ONCE):
                asked = [
                    AskedPage(node, "own", cursors[node], page)
                    for node in range(first, min(first + AT_ONCE, NODES + 1))
                ]
                stored = collected.store(asked)
                cursors.update((each.node, page.cursor) for each in asked)
                if None in stored:
                    raise RuntimeError("the lease was lost")
                everything += sum(count or 0 for count in stored)
                if begun:
                    rows += sum(count or 0 for count in stored)
            if not begun:  # the first pages make partitions and fields
                begun = time.process_time() + _of_server(server.pid)
        taken = time.process_time() + _of_server(server.pid) - begun
        collected.close()
        found = sum(int(server.sql(f"SELECT count(*) FROM gomd.{table}")[0][0]) for table in TABLES)
        if not 0.9 * everything < found <= everything:  # what has changed twice is one row
            raise RuntimeError(f"{found} rows are there, and {everything} were stored")
    finally:
        server.close()
    made = rows / (SECONDS - PAGE_SECONDS)
    return [
        row(
            f"rows a second of one core into postgresql, {NODES} nodes",
            rows / taken,
            "rows",
            "what they make",
            made,
            10.0,
            at_least=True,
        )
    ]


def _of_server(pid: int) -> float:
    """Return the seconds of processor time of a server's processes, those that have ended included."""
    postmaster = psutil.Process(pid)
    ended = postmaster.cpu_times()
    times = [each.cpu_times() for each in (postmaster, *postmaster.children())]
    return float(sum(each.user + each.system for each in times) + ended.children_user + ended.children_system)


def _pages(directory: Path) -> Sequence[HistoryPage]:
    """Return the pages of one node, as it gives them out."""
    start = float(int(wall_clock()) - SECONDS)
    store = _store(directory)
    machine, pages, cursor, put = _Node(), [], "", 0
    for second in range(SECONDS):
        node, sample = machine.sample(start + second)
        store.write(node, sample)
        put += 1
        if second % SCAN_PERIOD == 0:
            store.write_processes(node, machine.table(start + second), False, frozenset())
            put += 1
        if second % MEASURES_PERIOD == 0:
            store.write_measures(machine.measures(), start + second)
            put += 1
        if second % PAGE_SECONDS == PAGE_SECONDS - 1:
            while _counter(store, "history_written") < put:
                time.sleep(0.002)
            page = store.reader.page(cursor, "own")
            pages.append(page)
            cursor = page.cursor
    store.close()
    return pages


def _store(directory: Path) -> SqliteHistory:
    ticks = count()
    return SqliteHistory(
        str(directory / "history.sqlite"), 7, 1 << 28, wall_clock, monotonic=lambda: float(next(ticks))
    )
