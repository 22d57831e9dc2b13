"""
Stores rows with COPY, in a transaction of the caller's. Everything blocks.

Rows that only come once are copied into their table at once. When one of them is there already, and for rows
that may change, they are copied into a temporary table and merged from there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from psycopg import errors, sql

from gomd.history.postgresql.connecting import Connection
from gomd.history.postgresql.rows import Row
from gomd.history.postgresql.schema import SAMPLE_FIELDS


class Target(NamedTuple):
    """
    A table to copy into.

    :ivar columns: names and types, in the order of the rows. :ivar key: the names that make a row the same.
    :ivar changes: whether a row that is there is replaced; otherwise it stays.
    """

    columns: tuple[tuple[str, str], ...]
    key: tuple[str, ...]
    changes: bool = False


def _columns(*words: str) -> tuple[tuple[str, str], ...]:
    """Return columns from words such as ``time timestamptz``."""
    found = []
    for word in words:
        name, kind = word.split()
        found.append((name, kind))
    return tuple(found)


_SUMS: Final = _columns(
    "time timestamptz", "node int4", "field int4", "min float8", "mean float8", "max float8"
)
TARGETS: Final[Mapping[str, Target]] = {
    "samples": Target(
        (("time", "timestamptz"), ("node", "int4"), *((name, "float8") for name in SAMPLE_FIELDS)),
        ("node", "time"),
    ),
    "measures": Target(
        _columns("time timestamptz", "node int4", "field int4", "value float8"), ("node", "field", "time")
    ),
    "minutes": Target(_SUMS, ("node", "field", "time"), changes=True),
    "scans": Target(
        _columns("time timestamptz", "node int4", "source int4", "hidden bool"), ("node", "time")
    ),
    "scanned": Target(
        _columns(
            "time timestamptz", "node int4", "source int4", "process int8", "cpu_percent float4",
            "cpu_seconds float8", "rss int8", "vsize int8", "threads int4", "nice int2", "state text",
            "read_rate float4", "write_rate float4", "lock bool", "stuck bool",
        ),
        ("node", "time", "source", "process"),
    ),
    "processes": Target(
        _columns(
            "node int4", "source int4", "process int8", "identity text", "pid int4", "ppid int4", "home int4",
            "uid int8", "user text", "name text", "command text", "started int8", "start_time timestamptz",
            "cpu_seconds float8", "nmigs int4", "where int4", "job bool", "first_seen timestamptz",
            "ended timestamptz",
        ),
        ("node", "source", "process"), changes=True,
    ),
    "events": Target(
        _columns(
            "time timestamptz", "kind text", "node int4", "name text", "reason text", "by int4", "uid int8",
            "seconds float8", "stopped_seconds float8", "bytes int8", "hidden bool",
        ),
        (),
    ),
    "jobs": Target(
        _columns(
            "home int4", "job int8", "started timestamptz", "node int4", "pid int4", "user text", "uid int8",
            "state text", "exit int4", "command text", "ended timestamptz", "reason text", "nmigs int4",
            "identity text",
        ),
        ("home", "job", "started"), changes=True,
    ),
    "marks": Target(_columns("time timestamptz", "node int4", "name text"), ("node", "time", "name")),
    "nodes": Target(
        _columns(
            "time timestamptz", "node int4", "by int4", "name text", "address text", "status int4",
            *(f"{name} float8" for name in (
                "load_min", "load", "load_max", "speed", "cpus", "util_min", "util", "util_max", "mem_min",
                "mem", "mem_max", "rmem_min", "rmem", "rmem_max", "tmem",
            )),
        ),
        ("node", "time"), changes=True,
    ),
    "remembered": Target(
        _columns("node int4", "time timestamptz", "by int4", "hidden bool", "processes jsonb"),
        ("node", "time"),
    ),
}  # fmt: skip


def store(connection: Connection, table: str, rows: Sequence[Row]) -> None:
    """
    Store rows, whose partitions and fields are there. Blocks.

    :raises psycopg.Error: they could not be stored; nothing of them is.
    """
    target = TARGETS[table]
    if not target.changes and target.key:
        try:
            with connection.transaction():
                _copy(connection, sql.Identifier("gomd", table), target, rows)
            return
        except errors.UniqueViolation:
            pass  # two samples of one moment, or rows that are there already
    _merge(connection, table, target, rows)


def _copy(connection: Connection, into: sql.Composable, target: Target, rows: Sequence[Row]) -> None:
    names = sql.SQL(", ").join(sql.Identifier(name) for name, _type in target.columns)
    statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT BINARY)").format(into, names)
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        copy.set_types([kind for _name, kind in target.columns])
        for row in rows:
            copy.write_row(row)


def _merge(connection: Connection, table: str, target: Target, rows: Sequence[Row]) -> None:
    """Store rows of which some may be there."""
    if target.key:
        places = [at for at, (name, _type) in enumerate(target.columns) if name in target.key]
        newest: dict[tuple[Any, ...], Row] = {tuple(row[at] for at in places): row for row in rows}
        rows = list(newest.values())  # one statement changes a row once
    incoming = sql.Identifier(f"incoming_{table}")
    parent = sql.Identifier("gomd", table)
    connection.execute(
        sql.SQL("CREATE TEMPORARY TABLE IF NOT EXISTS {} (LIKE {}) ON COMMIT DELETE ROWS").format(
            incoming, parent
        )
    )
    _copy(connection, sql.Identifier("pg_temp", f"incoming_{table}"), target, rows)
    names = [sql.Identifier(name) for name, _type in target.columns]
    action: sql.Composable = sql.SQL("DO NOTHING")
    if target.changes:
        action = sql.SQL("({}) DO UPDATE SET {}").format(
            sql.SQL(", ").join(map(sql.Identifier, target.key)),
            sql.SQL(", ").join(
                sql.SQL("{0} = EXCLUDED.{0}").format(sql.Identifier(name))
                for name, _type in target.columns
                if name not in target.key
            ),
        )
    connection.execute(
        sql.SQL("INSERT INTO {0} ({1}) SELECT {1} FROM {2} ON CONFLICT {3}").format(
            parent, sql.SQL(", ").join(names), incoming, action
        )
    )
    connection.execute(sql.SQL("DELETE FROM {}").format(incoming))


def add_hours(connection: Connection, minutes: Sequence[Row]) -> None:
    """Sum up again the hours of the given rows of ``minutes``. Blocks."""
    if not minutes:
        return
    hours = sorted({(row[1], row[0].replace(minute=0, second=0, microsecond=0)) for row in minutes})
    connection.execute(
        "INSERT INTO gomd.hours(time, node, field, min, mean, max) "
        "SELECT h.time, m.node, m.field, min(m.min), avg(m.mean), max(m.max) "
        "FROM unnest(%s::int[], %s::timestamptz[]) AS h(node, time) JOIN gomd.minutes m "
        "ON m.node = h.node AND m.time >= h.time AND m.time < h.time + interval '1 hour' GROUP BY 1, 2, 3 "
        "ON CONFLICT (node, field, time) DO UPDATE "
        "SET min = EXCLUDED.min, mean = EXCLUDED.mean, max = EXCLUDED.max",
        ([node for node, _time in hours], [time for _node, time in hours]),
    )
