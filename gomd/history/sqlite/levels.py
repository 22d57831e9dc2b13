"""
The values of one field over time, from rows of seconds, minutes and hours as they are needed.

The level is the coarsest one whose rows are not longer than a step of the answer. What is older than that
level reaches comes from the next coarser one, and what is too new to be summed up from the next finer one.
"""

from __future__ import annotations

import sqlite3
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from gomd.history.fields import NODE_FIELDS
from gomd.history.sqlite.columns import decode_column
from gomd.history.sqlite.merging import MAX_BLOCK_SECONDS, TIME_FIELD
from gomd.history.sqlite.tables import RANGED

#: Table and seconds of a row, from fine to coarse, above single samples.
_LEVELS: Final = (("minutes", 60), ("hours", 3600))


class Point(NamedTuple):
    """A value over some time. :ivar weight: how long, in seconds: what its mean counts for."""

    time: float
    least: float
    mean: float
    most: float
    weight: float


@dataclass
class Summed:
    """Several points together."""

    least: float
    total: float
    weight: float
    most: float

    def add(self, point: Point) -> None:
        """Add one more."""
        self.least = min(self.least, point.least)
        self.most = max(self.most, point.most)
        self.total += point.mean * point.weight
        self.weight += point.weight


def of_own(
    connection: sqlite3.Connection, name: str, since: float, until: float, step: float
) -> Iterator[Point]:
    """
    Yield the values of this node's ``name`` from ``since`` to ``until``, about one or more for each step.

    :raises ValueError: a block is damaged.
    """
    found = connection.execute("SELECT id FROM fields WHERE name = ?", (name,)).fetchone()
    if found is None:
        return
    field = int(found[0])
    level = 2 if step >= 3600 else 1 if step >= 60 else 0
    start, end = _reach(connection, field, level)
    if level < 2 and since < start:
        yield from _older(connection, field, level + 1, since, min(start, until))
    yield from _rows(connection, field, level, max(since, start), min(until, end))
    while level > 0 and end < until:
        level -= 1
        newer = max(since, end)
        start, finish = _reach(connection, field, level)
        end = max(end, finish) if level else until
        yield from _rows(connection, field, level, newer, until)


def _older(
    connection: sqlite3.Connection, field: int, level: int, since: float, until: float
) -> Iterator[Point]:
    """Yield what only coarser levels still have."""
    start, _end = _reach(connection, field, level)
    if level < 2 and since < start:
        yield from _older(connection, field, level + 1, since, min(start, until))
    yield from _rows(connection, field, level, max(since, start), until)


def _reach(connection: sqlite3.Connection, field: int, level: int) -> tuple[float, float]:
    """Return where a level begins and ends; for an empty one, (0, 0) so that finer ones are asked."""
    if level == 0:
        [start] = connection.execute("SELECT min(start) FROM seconds WHERE field = ?", (field,)).fetchone()
        if start is None:
            [start] = connection.execute("SELECT min(time) FROM recent").fetchone()
        return start or 0.0, float("inf")
    table, seconds = _LEVELS[level - 1]
    [start] = connection.execute(f"SELECT min(time) FROM {table} WHERE field = ?", (field,)).fetchone()  # noqa: S608
    [end] = connection.execute(f"SELECT max(time) FROM {table} WHERE field = ?", (field,)).fetchone()  # noqa: S608
    if start is None:
        return 0.0, 0.0
    # The last hour is not over: its row has what was summed up so far, and finer rows have all of it.
    return float(start), float(end) if level == len(_LEVELS) else float(end + seconds)


def _rows(
    connection: sqlite3.Connection, field: int, level: int, since: float, until: float
) -> Iterator[Point]:
    if since >= until:
        return
    if level == 0:
        yield from _seconds(connection, field, since, until)
        return
    table, seconds = _LEVELS[level - 1]
    for at, least, mean, most in connection.execute(
        f"SELECT time, min, mean, max FROM {table} WHERE field = ? AND time > ? AND time < ?",  # noqa: S608
        (field, since - seconds, until),
    ):
        yield Point(max(since, at), least, mean, most, seconds)


def _seconds(connection: sqlite3.Connection, field: int, since: float, until: float) -> Iterator[Point]:
    for times, values in connection.execute(
        "SELECT t.data, v.data FROM seconds v JOIN seconds t ON t.field = ?1 AND t.start = v.start "
        "WHERE v.field = ?2 AND v.start > ?3 AND v.start < ?4 AND v.finish >= ?5",
        (TIME_FIELD, field, since - MAX_BLOCK_SECONDS, until, since),
    ):
        for at, value in zip(decode_column(times), decode_column(values), strict=True):
            if value is not None and at is not None and since <= at / 10 < until:
                yield Point(at / 10, value, value, value, 1.0)
    places = {number: fields.index(field) for number, fields in _layouts(connection) if field in fields}
    for at, layout, data in connection.execute(
        "SELECT time, layout, data FROM recent WHERE time >= ? AND time < ?", (since, until)
    ):
        place = places.get(layout)
        if place is None:
            continue
        values = array("d")
        values.frombytes(data[8 * place : 8 * place + 8])
        if values and values[0] == values[0]:
            yield Point(at, values[0], values[0], values[0], 1.0)


def _layouts(connection: sqlite3.Connection) -> Iterator[tuple[int, list[int]]]:
    numbers = {name: number for number, name in connection.execute("SELECT id, name FROM fields")}
    for number, names in connection.execute("SELECT id, fields FROM layouts").fetchall():
        yield number, [numbers.get(name, -1) for name in names.split(",")]


def of_node(
    connection: sqlite3.Connection, node: int, name: str, since: float, until: float
) -> Iterator[Point]:
    """Yield the values of another node, minute by minute."""
    if name not in NODE_FIELDS:
        return
    least, mean, most = (f"{name}_min", name, f"{name}_max") if name in RANGED else (name, name, name)
    for at, low, middle, high in connection.execute(
        f"SELECT time, {least}, {mean}, {most} FROM nodes "  # noqa: S608 - fixed names
        f"WHERE node = ? AND time > ? AND time < ? AND {mean} IS NOT NULL",
        (node, since - 60, until),
    ):
        yield Point(max(since, at), low, middle, high, 60.0)
