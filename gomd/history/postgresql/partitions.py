"""
Partitions by day of UTC: made when rows of that day come, and dropped when all of it is too old.

A partition is made as a table of its own and attached, which does not wait for programs that read. One that a
program reads cannot be dropped: that is given up after a moment and tried again at the next time. Where the
tables are hypertables (`hypertables`), TimescaleDB makes the parts, and here they are only dropped.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta, timezone
from typing import Final

from psycopg import errors, sql

from gomd.history.postgresql import hypertables
from gomd.history.postgresql.connecting import Connection
from gomd.history.postgresql.schema import LOCK

DAY: Final = 86400.0
#: Days for which each partitioned table is kept; the times are those of a node's own file.
KEPT_DAYS: Final[Mapping[str, int]] = {
    "samples": 1, "measures": 1, "scans": 3, "scanned": 3, "minutes": 30, "nodes": 30,
}  # fmt: skip
#: Days for which rows of the other tables are kept, by the time in that column.
KEPT_ROWS: Final[Mapping[str, tuple[str, int]]] = {
    "hours": ("time", 730), "processes": ("ended", 3), "events": ("time", 90), "jobs": ("ended", 90),
    "marks": ("time", 90), "remembered": ("time", 7),
}  # fmt: skip
#: Days before and after those that are kept, in which rows are still taken: clocks differ.
SLACK_DAYS: Final = 2


def is_taken(table: str, moment: float, clocks: Iterable[float]) -> bool:
    """
    Return whether a row of that time may be stored: a clock that is wrong by years makes no partitions.

    :param clocks: the time of now by several clocks, of which one is right.
    """
    kept = KEPT_DAYS.get(table)
    return kept is None or any(
        now - (kept + SLACK_DAYS) * DAY <= moment <= now + SLACK_DAYS * DAY for now in clocks
    )


class Partitions:
    """Makes partitions, and knows those that it has seen. One connection's thread uses it."""

    def __init__(self) -> None:
        self._seen: set[tuple[str, int]] = set()
        self._others: set[str] = set()

    def forget(self) -> None:
        """Look again: somebody may have dropped a partition."""
        self._seen.clear()
        self._others.clear()

    def have(self, connection: Connection, table: str, days: Iterable[int]) -> None:
        """Have the partitions of these days, inside a transaction of the caller's. Blocks."""
        for day in days:
            if table not in self._others and (table, day) not in self._seen:
                if not hypertables.is_partitioned(connection, table):
                    self._others.add(table)
                    continue
                _make(connection, table, day)
                self._seen.add((table, day))


def _name(table: str, day: int) -> str:
    return f"{table}_{_start(day):%Y%m%d}"


def _start(day: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(days=day)


def _make(connection: Connection, table: str, day: int) -> None:
    name = _name(table, day)
    if _is_there(connection, name):
        return
    connection.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK,))
    if _is_there(connection, name):
        return
    parent, child = sql.Identifier("gomd", table), sql.Identifier("gomd", name)
    connection.execute(sql.SQL("CREATE TABLE IF NOT EXISTS {} (LIKE {} INCLUDING ALL)").format(child, parent))
    connection.execute(
        sql.SQL("ALTER TABLE {} ATTACH PARTITION {} FOR VALUES FROM ({}) TO ({})").format(
            parent, child, sql.Literal(_start(day)), sql.Literal(_start(day + 1))
        )
    )


def _is_there(connection: Connection, name: str) -> bool:
    """Return whether the table is a partition now; one that was detached by hand is not."""
    found = connection.execute(
        "SELECT 1 FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid "
        "JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
        "WHERE n.nspname = 'gomd' AND c.relname = %s",
        (name,),
    ).fetchone()
    return found is not None


def expire(connection: Connection, now: float) -> int:
    """
    Drop the partitions or chunks, and delete the rows, that are too old; return how many of the former.

    One that is in use stays until the next time. Blocks; each one is a transaction.
    """
    dropped = _drop_chunks(connection, now)
    for table, name in connection.execute(
        "SELECT p.relname, c.relname FROM pg_catalog.pg_inherits i "
        "JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid "
        "JOIN pg_catalog.pg_class p ON p.oid = i.inhparent "
        "JOIN pg_catalog.pg_namespace n ON n.oid = p.relnamespace "
        "WHERE n.nspname = 'gomd' AND p.relkind = 'p'"
    ).fetchall():
        kept = KEPT_DAYS.get(table)
        day = _day_in(name, table)
        if kept is None or day is None or (day + 1 + kept) * DAY > now:
            continue
        try:
            with connection.transaction():
                connection.execute("SET LOCAL lock_timeout = '1s'")
                connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(sql.Identifier("gomd", name)))
        except errors.LockNotAvailable:
            continue
        dropped += 1
    for table, (column, days) in KEPT_ROWS.items():
        with connection.transaction():
            connection.execute(
                sql.SQL("DELETE FROM {} WHERE {} < to_timestamp(%s)").format(
                    sql.Identifier("gomd", table), sql.Identifier(column)
                ),
                (now - days * DAY,),
            )
    return dropped


def _drop_chunks(connection: Connection, now: float) -> int:
    schema = hypertables.extension_schema(connection)
    dropped = 0
    for table, days in KEPT_DAYS.items():
        if schema is None or not hypertables.is_hypertable(connection, table):
            continue
        try:
            dropped += hypertables.drop_old_chunks(connection, schema, table, now - days * DAY)
        except errors.LockNotAvailable:
            continue
    return dropped


def _day_in(name: str, table: str) -> int | None:
    """Return the day of a partition of gomd's own; None for one that somebody else has made."""
    digits = name.removeprefix(f"{table}_")
    if len(digits) != 8 or not digits.isdigit():
        return None
    try:
        start = datetime.strptime(digits, "%Y%m%d").replace(tzinfo=timezone.utc)
    except ValueError:
        return None
    return int(start.timestamp() // DAY)
