"""
The values of one field over time, from rows of seconds, minutes and hours as they are needed.

The level is the coarsest one whose rows are not longer than a step of the answer. What is older than that
level reaches comes from the next coarser one, and what is too new to be summed up from the next finer one.
"""

from __future__ import annotations

import sqlite3
from array import array
from collections.abc import Iterator
from functools import partial
from typing import Final

from gomd.history.answers import Steps, Summed, by_level
from gomd.history.fields import NODE_FIELDS
from gomd.history.sqlite.columns import decode_column
from gomd.history.sqlite.merging import MAX_BLOCK_SECONDS
from gomd.history.sqlite.numbers import owned_times
from gomd.history.sqlite.tables import RANGED

#: Table and seconds of a row, from fine to coarse, above single samples.
_LEVELS: Final = (("minutes", 60), ("hours", 3600))


def values_of(connection: sqlite3.Connection, node: int, name: str, steps: Steps) -> Iterator[Summed]:
    """
    Yield what is known of the value ``name`` of ``node``, one or more values for each step.

    While the machine of this file had the id ``node``, its own values; else what it heard of that node.

    :raises ValueError: a block is damaged.
    """
    at = steps.since
    for start, end in owned_times(connection, node):
        if at < min(start, steps.until):
            yield from _of_other(connection, node, name, steps, at, min(start, steps.until))
        yield from _of_own(connection, name, steps, max(at, start), min(end, steps.until))
        at = max(at, end)
    if at < steps.until:
        yield from _of_other(connection, node, name, steps, at, steps.until)


def _of_own(
    connection: sqlite3.Connection, name: str, steps: Steps, since: float, until: float
) -> Iterator[Summed]:
    found = connection.execute("SELECT id FROM fields WHERE name = ?", (name,)).fetchone()
    if found is None or since >= until:
        return
    field = int(found[0])
    yield from by_level(
        steps.seconds, since, until, partial(_reach, connection, field, until),
        lambda level, start, end: _rows(connection, field, level, steps, start, end),
    )  # fmt: skip


def _reach(connection: sqlite3.Connection, field: int, until: float, level: int) -> tuple[float, float]:
    """
    Return where a level begins and ends; for an empty one, (0, 0) so that finer ones are asked.

    :param until: rows from then on do not count: a clock that was ahead for a while has left some, and what
        was not summed up yet before them is in finer levels only.
    """
    if level == 0:
        [start] = connection.execute("SELECT min(start) FROM seconds WHERE field = ?", (field,)).fetchone()
        if start is None:
            [start] = connection.execute("SELECT min(time) FROM recent").fetchone()
        return start or 0.0, float("inf")
    table, seconds = _LEVELS[level - 1]
    [start] = connection.execute(f"SELECT min(time) FROM {table} WHERE field = ?", (field,)).fetchone()  # noqa: S608
    if start is None:
        return 0.0, 0.0
    [end] = connection.execute(
        f"SELECT max(time) FROM {table} WHERE field = ? AND time < ?",  # noqa: S608
        (field, until),
    ).fetchone()
    if end is None:
        return float(start), float(start)
    # The last hour is not over: its row has what was summed up so far, and finer rows have all of it.
    return float(start), float(end) if level == len(_LEVELS) else float(end + seconds)


def _rows(
    connection: sqlite3.Connection, field: int, level: int, steps: Steps, since: float, until: float
) -> Iterator[Summed]:
    if since >= until:
        return
    if level == 0:
        yield from _seconds(connection, field, steps, since, until)
        return
    table, seconds = _LEVELS[level - 1]
    found = connection.execute(
        f"{_IN_STEPS.format(least='min', mean='mean', most='max', table=table)} field = ?5 GROUP BY 1",
        (steps.since, steps.seconds, since, until, field, seconds),
    )
    yield from found


#: Sums rows up by step. A row that began before the answer does counts for its first step.
_IN_STEPS: Final = (
    "SELECT CAST((max(time, ?1) - ?1) / ?2 AS INTEGER), min({least}), sum({mean}) * ?6, count(*) * ?6, "
    "max({most}) FROM {table} WHERE time > ?3 - ?6 AND time < ?4 AND"
)


def _seconds(
    connection: sqlite3.Connection, field: int, steps: Steps, since: float, until: float
) -> Iterator[Summed]:
    begin, length = steps.since, steps.seconds
    for times, values in connection.execute(
        "SELECT t.data, v.data FROM seconds v JOIN seconds t ON t.field = -v.layout AND t.start = v.start "
        "WHERE v.field = ?1 AND v.start > ?2 AND v.start < ?3 AND v.finish >= ?4",
        (field, since - MAX_BLOCK_SECONDS, until, since),
    ):
        for tenths, value in zip(decode_column(times), decode_column(values), strict=True):
            if value is not None and tenths is not None and since <= (at := tenths / 10) < until:
                yield int((at - begin) / length), value, value, 1.0, value
    places = {number: fields.index(field) for number, fields in _layouts(connection) if field in fields}
    for at, layout, data in connection.execute(
        "SELECT time, layout, data FROM recent WHERE time >= ? AND time < ?", (since, until)
    ):
        place = places.get(layout)
        if place is None:
            continue
        found = array("d")
        found.frombytes(data[8 * place : 8 * place + 8])
        if found and found[0] == found[0]:
            yield int((at - begin) / length), found[0], found[0], 1.0, found[0]


def _layouts(connection: sqlite3.Connection) -> Iterator[tuple[int, list[int]]]:
    numbers = {name: number for number, name in connection.execute("SELECT id, name FROM fields")}
    for number, names in connection.execute("SELECT id, fields FROM layouts").fetchall():
        yield number, [numbers.get(name, -1) for name in names.split(",")]


def _of_other(
    connection: sqlite3.Connection, node: int, name: str, steps: Steps, since: float, until: float
) -> Iterator[Summed]:
    """Yield what is known of another node, which is kept by minute."""
    if name not in NODE_FIELDS:
        return
    least, mean, most = (f"{name}_min", name, f"{name}_max") if name in RANGED else (name, name, name)
    found = connection.execute(
        f"{_IN_STEPS.format(least=least, mean=mean, most=most, table='nodes')} node = ?5 "
        f"AND {mean} IS NOT NULL GROUP BY 1",
        (steps.since, steps.seconds, since, until, node, 60),
    )
    yield from found
