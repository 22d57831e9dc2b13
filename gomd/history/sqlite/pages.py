"""
Pages of the history for a collector: the rows that were written after those it has, oldest first.

Theory of operation. A cursor is the id of the file and, for each kind of row, the number of the last row that
was given out. Numbers only grow (`numbers`), so neither a step of the clock nor a pause hides a row, and a
collector that asks again with an old cursor gets the same rows again. A cursor of another file begins at the
start of this one. There are two streams: ``own`` is the past of this node; ``seen`` is what this node knows
of other nodes, which only this node's own collector stores.

A page is lines of JSON, each with a ``kind`` and rows, as docs/history.md describes them for collectors.
"""

from __future__ import annotations

import json
import sqlite3
import zlib
from array import array
from collections.abc import Callable, Sequence
from typing import Any, Final

from gomd.history.sqlite.columns import decode_column
from gomd.history.sqlite.retention import DISTINCT_NODES
from gomd.history.sqlite.scans import Scan, decode_scans, scans_in
from gomd.interfaces import HistoryPage
from libgomd.errors import MalformedRequest

#: Rows of one kind in one page. Blocks are given out whole.
MOST_SAMPLES: Final = 600
MOST_SCANS: Final = 20
MOST_ROWS: Final = 1000
MOST_LOOKS: Final = 20
MOST_REMEMBERED: Final = 100
#: The largest number in a cursor, and characters of one.
_LARGEST: Final = 2**62
_MAX_CURSOR: Final = 300

#: Position behind the last row, the lines, and whether there is more.
_Found = tuple[int, list[str], bool]


def page_after(connection: sqlite3.Connection, own_id: int, cursor: str, stream: str) -> HistoryPage:
    """
    Return what was written after ``cursor``, empty for the start, on a connection in a transaction. Blocks.

    :param stream: ``own`` or ``seen``.
    :raises MalformedRequest: the cursor is none. :raises ValueError: a block is damaged.
    """
    kinds = _OWN if stream == "own" else _SEEN
    [file] = connection.execute("SELECT file FROM sequence").fetchone()
    [since] = connection.execute(
        "SELECT ifnull(max(id), 0) FROM owners WHERE node = ?", (own_id,)
    ).fetchone()  # what the machine wrote under another id is not this node's
    positions = _positions(cursor, file, len(kinds))
    lines: list[str] = []
    more = False
    for at, after in enumerate(kinds):
        positions[at], found, goes_on = after(connection, own_id, max(since, positions[at]))
        lines += found
        more = more or goes_on
    return HistoryPage(".".join([file, *map(str, positions)]), more, lines)


def _positions(cursor: str, file: str, count: int) -> list[int]:
    if not cursor:
        return [0] * count
    name, *numbers = cursor.split(".")
    if (
        len(cursor) > _MAX_CURSOR
        or not name.isalnum()
        or not all(word.isascii() and word.isdigit() and int(word) < _LARGEST for word in numbers)
    ):
        raise MalformedRequest("this is no cursor of a history")
    if name != file or len(numbers) != count:
        return [0] * count
    return [int(word) for word in numbers]


def _line(kind: str, rows: Sequence[Any], **more: Any) -> str:
    return json.dumps({"kind": kind, **more, "rows": rows}, separators=(",", ":"))


# -- samples and what they are summed up to


def _samples(connection: sqlite3.Connection, own_id: int, after: int) -> _Found:
    names = {
        number: fields.split(",") for number, fields in connection.execute("SELECT id, fields FROM layouts")
    }
    first = connection.execute("SELECT min(last) FROM blocks WHERE last > ?", (after,)).fetchone()[0]
    if first is not None:
        lines = []
        for layout, start, ids in connection.execute(
            "SELECT layout, start, ids FROM blocks WHERE last > ? AND first <= ? ORDER BY last",
            (after, first),
        ).fetchall():
            rows = _rows_of_block(connection, names.get(layout, []), layout, start, ids, after, first)
            if rows:
                lines.append(_line("samples", rows, fields=names[layout]))
        return int(first), lines, True
    found = connection.execute(
        "SELECT id, time, layout, data FROM recent WHERE id > ? ORDER BY id LIMIT ?", (after, MOST_SAMPLES)
    ).fetchall()
    by_layout: dict[int, list[list[Any]]] = {}
    for _id, time, layout, data in found:
        values = array("d")
        values.frombytes(data)
        by_layout.setdefault(layout, []).append(
            [time, *(None if value != value else _short(value) for value in values)]
        )
    lines = [_line("samples", rows, fields=names.get(layout, [])) for layout, rows in by_layout.items()]
    return (found[-1][0] if found else after), lines, len(found) == MOST_SAMPLES


def _rows_of_block(
    connection: sqlite3.Connection,
    names: Sequence[str],
    layout: int,
    start: float,
    ids: bytes,
    after: int,
    until: int,
) -> list[list[Any]]:
    """Return the rows of one block of samples whose numbers are above ``after``, up to ``until``."""
    numbers = decode_column(ids)
    column_of = dict(
        connection.execute(
            "SELECT field, data FROM seconds WHERE start = ? AND layout = ?", (start, layout)
        ).fetchall()
    )
    if -layout not in column_of:
        return []  # it was thinned away
    fields = [
        connection.execute("SELECT id FROM fields WHERE name = ?", (name,)).fetchone()[0] for name in names
    ]
    times = decode_column(column_of[-layout])
    columns = [
        decode_column(column_of[field]) if field in column_of else [None] * len(times) for field in fields
    ]
    return [
        [tenths / 10, *(None if value is None else _short(value) for value in values)]
        for number, tenths, *values in zip(numbers, times, *columns, strict=True)
        if number is not None and tenths is not None and after < number <= until
    ]


def _short(value: float) -> float:
    """Return a whole number as an int: it is shorter in JSON."""
    whole = int(value) if abs(value) < _LARGEST else value
    return whole if whole == value else value


def _minutes(connection: sqlite3.Connection, own_id: int, after: int) -> _Found:
    found = connection.execute(
        "SELECT id, start, finish FROM merges WHERE id > ? ORDER BY id LIMIT 1", (after,)
    ).fetchone()
    if found is None:
        return after, [], False
    number, start, finish = found
    lines = []
    for field, name in connection.execute("SELECT id, name FROM fields WHERE id > 0").fetchall():
        rows = connection.execute(
            "SELECT time, min, mean, max FROM minutes WHERE field = ? AND time >= ? AND time <= ?",
            (field, start, finish),
        ).fetchall()
        if rows:
            lines.append(_line("minutes", rows, field=name))
    return int(number), lines, True


# -- processes


def _processes(connection: sqlite3.Connection, own_id: int, after: int) -> _Found:
    found = connection.execute(
        "SELECT change, id, identity, pid, ppid, home, uid, user, name, command, started, start_time, "
        'cpu_seconds, nmigs, "where", job, first_seen, ended FROM processes WHERE change > ? '
        "ORDER BY change LIMIT ?",
        (after, MOST_ROWS),
    ).fetchall()
    return _page("processes", after, found, MOST_ROWS)


def _scans(connection: sqlite3.Connection, own_id: int, after: int) -> _Found:
    block = connection.execute(
        "SELECT id, data, ids FROM scans WHERE id > ? ORDER BY id LIMIT 1", (after,)
    ).fetchone()
    if block is not None:
        last, data, ids = block
        scans = list(scans_in(data))
        numbers: Sequence[float | None] = [last] * len(scans) if ids is None else decode_column(ids)
        lines = [
            _scan_line(scan)
            for number, scan in zip(numbers, scans, strict=True)
            if number is not None and number > after
        ]
        return int(last), lines, True
    found = connection.execute(
        "SELECT id, data FROM recent_scans WHERE id > ? ORDER BY id LIMIT ?", (after, MOST_SCANS)
    ).fetchall()
    lines = [_scan_line(scan) for _id, data in found for scan in decode_scans(data)]
    return (found[-1][0] if found else after), lines, len(found) == MOST_SCANS


def _scan_line(scan: Scan) -> str:
    return _line("scan", scan.rows, time=scan.time, hidden=scan.hidden)


# -- what happens, and other nodes


#: Events of jobs are a node's own, whichever node they name.
_OF_JOBS: Final = "kind IN ('migrated', 'started', 'ended')"


def _events(connection: sqlite3.Connection, own_id: int, after: int) -> _Found:
    return _events_where(f"(node = ?2 OR {_OF_JOBS})", connection, own_id, after)


def _events_of_others(connection: sqlite3.Connection, own_id: int, after: int) -> _Found:
    return _events_where(f"node <> ?2 AND NOT {_OF_JOBS}", connection, own_id, after)


def _events_where(which: str, connection: sqlite3.Connection, own_id: int, after: int) -> _Found:
    columns = "id, time, kind, node, name, reason, by, uid, seconds, stopped_seconds, bytes, hidden"
    found = connection.execute(
        f"SELECT {columns} FROM events WHERE id > ?1 AND {which} ORDER BY id LIMIT ?3",  # noqa: S608 - fixed texts
        (after, own_id, MOST_ROWS),
    ).fetchall()
    return _page("events", after, found, MOST_ROWS)


def _jobs(connection: sqlite3.Connection, own_id: int, after: int) -> _Found:
    found = connection.execute(
        "SELECT change, home, job, started, node, pid, user, uid, state, exit, command, ended, reason, "
        "nmigs, identity FROM jobs WHERE change > ? ORDER BY change LIMIT ?",
        (after, MOST_ROWS),
    ).fetchall()
    return _page("jobs", after, found, MOST_ROWS)


def _marks(connection: sqlite3.Connection, own_id: int, after: int) -> _Found:
    found = connection.execute(
        "SELECT id, time, name FROM marks WHERE id > ? ORDER BY id LIMIT ?", (after, MOST_ROWS)
    ).fetchall()
    return _page("marks", after, found, MOST_ROWS)


def _page(kind: str, after: int, found: Sequence[Sequence[Any]], most: int) -> _Found:
    """Return rows that begin with their number, without it."""
    if not found:
        return after, [], False
    return int(found[-1][0]), [_line(kind, [row[1:] for row in found])], len(found) == most


def _own_looks(connection: sqlite3.Connection, own_id: int, after: int) -> _Found:
    return _looks(connection, after, [own_id])


def _all_looks(connection: sqlite3.Connection, own_id: int, after: int) -> _Found:
    ids = [node for (node,) in connection.execute(DISTINCT_NODES.format(table="nodes")).fetchall()]
    return _looks(connection, after, [node for node in ids if node != own_id])


def _looks(connection: sqlite3.Connection, after: int, nodes: Sequence[int]) -> _Found:
    """Return the rows of ``nodes`` in minutes that are over: the newest may still change."""
    found = connection.execute(
        "SELECT id, minute FROM looks WHERE id > ? AND id < (SELECT max(id) FROM looks) ORDER BY id LIMIT ?",
        (after, MOST_LOOKS),
    ).fetchall()
    rows: list[Any] = []
    for _id, minute in found:
        for node in nodes:
            rows += connection.execute(
                "SELECT * FROM nodes WHERE node = ? AND time = ?", (node, minute)
            ).fetchall()
    last = found[-1][0] if found else after
    return last, [_line("nodes", rows)] if rows else [], len(found) == MOST_LOOKS


def _remembered(connection: sqlite3.Connection, own_id: int, after: int) -> _Found:
    found = connection.execute(
        "SELECT change, node, time, hidden, data FROM remembered WHERE change > ? ORDER BY change LIMIT ?",
        (after, MOST_REMEMBERED),
    ).fetchall()
    try:
        rows = [[change, node, time, hidden, json.loads(zlib.decompress(data))]
                for change, node, time, hidden, data in found]  # fmt: skip
    except zlib.error as error:
        raise ValueError(f"damaged processes of another node: {error}") from error
    return _page("remembered", after, rows, MOST_REMEMBERED)


_After = Callable[[sqlite3.Connection, int, int], _Found]
_OWN: Final[tuple[_After, ...]] = (
    _samples, _minutes, _processes, _scans, _events, _jobs, _marks, _own_looks,
)  # fmt: skip
_SEEN: Final[tuple[_After, ...]] = (_events_of_others, _all_looks, _remembered)
