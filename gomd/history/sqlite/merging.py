"""
Turns the newest rows into what is kept for long: blocks of seconds and of scans, rows of minutes and hours.

Each sample is first a row of its own, so that a killed daemon loses no more than the last commit. Every ten
minutes these rows become compressed columns, one for each value, and are summed up by minute and by hour.
"""

from __future__ import annotations

import sqlite3
from array import array
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from gomd.history.sqlite.columns import encode_column
from gomd.history.sqlite.scans import join_scans

#: Samples, and scans, after which they are merged.
MERGE_SAMPLES: Final = 600
MERGE_SCANS: Final = 120
#: The longest time between two samples of one block, in seconds, and the largest number of them.
MAX_PAUSE: Final = 300.0
MAX_BLOCK_ROWS: Final = 1000
MAX_BLOCK_SCANS: Final = 200
#: The longest time that a block of samples may cover, in seconds; a reader looks that far back for its start.
MAX_BLOCK_SECONDS: Final = 3600.0
#: The field 0 is no value. The times of a block stand under the number of its layout, negative.
TIME_FIELD: Final = 0

#: Number, time, layout and values of a sample.
_Row = tuple[int, float, int, bytes]
_Sums = dict[tuple[int, int], list[float]]


def unpack(data: bytes) -> list[float | None]:
    """Return the values of one row of ``recent``; None where it is not known."""
    values = array("d")
    values.frombytes(data)
    return [None if value != value else value for value in values]


def merge_samples(
    connection: sqlite3.Connection, layouts: dict[int, tuple[int, ...]], number: Callable[[], int]
) -> int:
    """
    Merge the samples before the present minute, inside a transaction of the caller's. Blocks.

    :param layouts: the fields of each layout, in the order of the values.
    :param number: gives the next number of the file. :returns: how many rows stay.
    """
    found = connection.execute("SELECT id, time, layout, data FROM recent ORDER BY id").fetchall()
    if not found:
        return 0
    minute = found[-1][1] // 60
    end = len(found)
    while end and found[end - 1][1] // 60 == minute:
        end -= 1
    if not end:
        return len(found)
    sums: _Sums = {}
    by_layout: dict[int, list[_Row]] = {}
    for row in found[:end]:
        by_layout.setdefault(row[2], []).append(row)
    for layout, rows in by_layout.items():
        for run in _runs(rows):
            _store_run(connection, run, layouts.get(layout, ()), sums)
    _store_minutes(connection, sums)
    for start, finish in _stretches({minute for _field, minute in sums}):
        connection.execute("INSERT INTO merges VALUES (?, ?, ?)", (number(), start, finish))
    connection.execute("DELETE FROM recent WHERE id <= ?", (found[end - 1][0],))
    return len(found) - end


def _runs(rows: Sequence[_Row]) -> Iterator[list[_Row]]:
    """Yield rows of one layout without a long pause or a step of the clock between them."""
    run: list[_Row] = []
    for row in rows:
        if run and not (
            0 < row[1] - run[-1][1] <= MAX_PAUSE
            and len(run) < MAX_BLOCK_ROWS
            and row[1] - run[0][1] < MAX_BLOCK_SECONDS
        ):
            yield run
            run = []
        run.append(row)
    if run:
        yield run


def _store_run(
    connection: sqlite3.Connection, run: Sequence[_Row], fields: Sequence[int], sums: _Sums
) -> None:
    times = [round(time, 1) for _id, time, _layout, _data in run]
    start, finish = times[0], times[-1]
    parts = list(_minutes_in(times))
    layout = run[0][2]
    start = _free_start(connection, start, (-layout, *fields))
    numbers = encode_column([row[0] for row in run])
    connection.execute(
        "INSERT INTO blocks VALUES (?, ?, ?, ?, ?)", (run[-1][0], run[0][0], layout, start, numbers)
    )
    blocks = [(-layout, start, finish, layout, encode_column([time * 10 for time in times]))]
    rows = [unpack(data) for _id, _time, _layout, data in run]
    for at, field in enumerate(fields):
        column = [row[at] if at < len(row) else None for row in rows]
        blocks.append((field, start, finish, layout, encode_column(column)))
        for minute, first, last in parts:
            known = [value for value in column[first:last] if value is not None]
            if known:
                _add(sums, (field, minute), min(known), sum(known), len(known), max(known))
    connection.executemany("INSERT OR REPLACE INTO seconds VALUES (?, ?, ?, ?, ?)", blocks)


def _free_start(connection: sqlite3.Connection, start: float, fields: Sequence[int]) -> float:
    """
    Return ``start``, or a moment a little later where a block of these fields begins there already.

    A clock that was set back comes to the same time again, and what was written then stays.
    """
    while any(
        connection.execute("SELECT 1 FROM seconds WHERE field = ? AND start = ?", (field, start)).fetchone()
        for field in fields
    ):
        start = round(start + 0.001, 3)
    return start


def _stretches(minutes: set[int]) -> Iterator[tuple[int, int]]:
    """Yield the first and the last of minutes that follow each other, at most an hour together."""
    start = last = None
    for minute in sorted(minutes):
        if start is None or last is None or minute - last > 60 or minute - start >= 3600:
            if start is not None and last is not None:
                yield start, last
            start = minute
        last = minute
    if start is not None and last is not None:
        yield start, last


def _minutes_in(times: Sequence[float]) -> Iterator[tuple[int, int, int]]:
    """Yield the start of each minute, and the first row in it and the one behind its last."""
    first = 0
    for at in range(1, len(times) + 1):
        if at == len(times) or times[at] // 60 != times[first] // 60:
            yield int(times[first] // 60) * 60, first, at
            first = at


def _add(sums: _Sums, key: tuple[int, int], least: float, total: float, count: int, most: float) -> None:
    old = sums.get(key)
    if old is None:
        sums[key] = [least, total, count, most]
    else:
        sums[key] = [min(old[0], least), old[1] + total, old[2] + count, max(old[3], most)]


def _store_minutes(connection: sqlite3.Connection, sums: _Sums) -> None:
    connection.executemany(
        "INSERT INTO minutes VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET min = min(min, excluded.min), "
        "mean = round((mean + excluded.mean) / 2, 3), max = max(max, excluded.max)",
        [
            (field, minute, least, round(total / count, 3), most)
            for (field, minute), (least, total, count, most) in sums.items()
        ],
    )
    hours = {(field, minute - minute % 3600) for field, minute in sums}
    connection.executemany(
        "INSERT OR REPLACE INTO hours SELECT field, ?2, min(min), round(avg(mean), 3), max(max) FROM minutes "
        "WHERE field = ?1 AND time >= ?2 AND time < ?2 + 3600",
        sorted(hours),
    )


def merge_scans(connection: sqlite3.Connection) -> None:
    """Merge all single scans into blocks, inside a transaction of the caller's. Blocks."""
    found = connection.execute("SELECT id, time, data FROM recent_scans ORDER BY id").fetchall()
    run: list[tuple[int, float, bytes]] = []
    for scan in found:
        if run and not (0 < scan[1] - run[-1][1] <= MAX_BLOCK_SECONDS and len(run) < MAX_BLOCK_SCANS):
            _store_scans(connection, run)
            run = []
        run.append(scan)
    if run:
        _store_scans(connection, run)
        connection.execute("DELETE FROM recent_scans WHERE id <= ?", (found[-1][0],))


def _store_scans(connection: sqlite3.Connection, run: Sequence[tuple[int, float, bytes]]) -> None:
    block = join_scans([data for _id, _time, data in run])
    numbers = encode_column([number for number, _time, _data in run])
    connection.execute(
        "INSERT INTO scans(id, start, finish, data, ids) VALUES (?, ?, ?, ?, ?)",
        (run[-1][0], run[0][1], run[-1][1], block, numbers),
    )
