"""Reads the history from the database. Every method blocks, and makes a connection of its own."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from operator import itemgetter
from typing import Any, Final

import psycopg
from psycopg import errors
from zope.interface import implementer

from gomd.history.answers import Steps, Summed, ValueRows, by_step
from gomd.history.fields import NODE_FIELDS
from gomd.history.moments import (
    KINDS,
    MAX_EVENTS,
    NODE_GAP,
    READ_TIMEOUT,
    ScannedRow,
    node_in,
    process_in,
)
from gomd.history.postgresql.connecting import (
    Connect,
    Connection,
    DatabaseAway,
    broken_off_after,
    reason_of,
)
from gomd.history.postgresql.levels import values_of
from gomd.history.postgresql.schema import SAMPLE_FIELDS
from gomd.interfaces import HistoryPage, IHistory, RememberedEvent, RememberedTable
from libgomd.errors import MalformedReply, NotPossible, SourceUnavailable, TimedOut
from libgomd.model import Event, EventKind, HistoryRow, Node, Process, Status
from libgomd.wire.values import decode

_NODE: Final = (
    "extract(epoch FROM time)::float8, name, address, status, load, speed, cpus, util, mem, rmem, tmem"
)
_PROCESS: Final = (
    'p.process, p.node, p.identity, p.pid, p.ppid, p.home, p.uid, p."user", p.name, p.command, p.started, '
    'extract(epoch FROM p.start_time)::float8, p.nmigs, p."where", p.job, s.process, s.cpu_percent, '
    "s.cpu_seconds, s.rss, s.vsize, s.threads, s.nice, s.state, s.read_rate, s.write_rate, s.lock, s.stuck"
)
#: Seconds that a connection may take and be used. The server ends a statement after `READ_TIMEOUT`, if it
#: can.
_READ_LIMIT: Final = 13.0
_DESCRIBED: Final = 15  # columns of the process itself, before those of the scan


@implementer(IHistory)
class DatabaseReader:
    """
    Reads what collectors have stored.

    :param own_id: the id of this node. :param gap: seconds for which a scan answers about a later moment.
    :param connect: makes a connection.
    """

    def __init__(self, own_id: int, gap: float, connect: Connect) -> None:
        self._own_id = own_id
        self._gap = gap
        self._connect = connect

    @contextmanager
    def _open(self) -> Iterator[Connection]:
        """Give a connection in a transaction that only reads."""
        connection: Connection | None = None
        end = time.monotonic() + _READ_LIMIT
        try:
            connection = self._connect(READ_TIMEOUT)
            with broken_off_after(connection, end - time.monotonic()):
                connection.read_only = True
                connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
                yield connection
        except errors.QueryCanceled as error:
            raise TimedOut("reading the history takes too long: ask for less of it") from error
        except errors.UndefinedTable as error:
            raise SourceUnavailable("the database has no history yet: ask again in a minute") from error
        except DatabaseAway as error:
            raise SourceUnavailable(f"the history cannot be read now: {error}") from error
        except (psycopg.Error, OSError) as error:
            raise SourceUnavailable(f"the history cannot be read now: {reason_of(error)}") from error
        except (ValueError, MalformedReply) as error:
            raise SourceUnavailable(f"the history is damaged: {error}") from error
        finally:
            if connection is not None:
                connection.close()

    def fields(self, node: int) -> Sequence[str]:
        """See `IHistory.fields`."""
        with self._open() as connection:
            found = connection.execute(
                "SELECT f.name FROM gomd.fields f WHERE "
                "EXISTS (SELECT 1 FROM gomd.minutes m WHERE m.node = %(node)s AND m.field = f.id) OR "
                "EXISTS (SELECT 1 FROM gomd.measures m WHERE m.node = %(node)s AND m.field = f.id)",
                {"node": node},
            ).fetchall()
            samples = connection.execute(
                "SELECT 1 FROM gomd.samples WHERE node = %s LIMIT 1", (node,)
            ).fetchone()
            own = {*(name for (name,) in found), *(SAMPLE_FIELDS if samples else ())}
            return sorted(own or NODE_FIELDS)

    def find_node(self, key: str) -> Node | None:
        """See `IHistory.find_node`."""
        with self._open() as connection:
            found = connection.execute(
                f"SELECT DISTINCT ON (node) node, {_NODE} FROM gomd.nodes "  # noqa: S608
                "WHERE node::text = %(key)s OR name = %(key)s ORDER BY node, time DESC",
                {"key": key},
            ).fetchone()
            if found is None:
                return None
            known = node_in(found[0], found[1:], found[1])
            return Node(known.id, known.name, known.address, Status.CONFIGURED)

    def values(
        self, node: int, fields: Sequence[str], since: float, until: float, points: int
    ) -> Sequence[HistoryRow]:
        """See `IHistory.values`."""
        if until <= since:
            return ()
        with self._open() as connection:
            steps = Steps(since, until, (until - since) / points)
            found: list[tuple[int, int, Summed]] = []
            for order, field in enumerate(fields):
                values = sorted(values_of(connection, node, field, steps), key=itemgetter(0))
                found += [(one[0], order, one) for one in by_step(values, points - 1)]
            found.sort(key=itemgetter(0, 1))
            return ValueRows(found, tuple(fields), steps, node, self._own_id)

    def nodes_at(self, moment: float) -> Sequence[Node]:
        """See `IHistory.nodes_at`."""
        with self._open() as connection:
            found = connection.execute(
                f"SELECT DISTINCT ON (node) node, {_NODE} FROM gomd.nodes "  # noqa: S608
                "WHERE time <= to_timestamp(%s) AND time > to_timestamp(%s) ORDER BY node, time DESC",
                (moment, moment - NODE_GAP),
            ).fetchall()
            return [node_in(row[0], row[1:], moment) for row in found]

    def processes_at(self, node: int, moment: float) -> RememberedTable | None:
        """See `IHistory.processes_at`."""
        with self._open() as connection:
            scan = connection.execute(
                "SELECT time, source, hidden FROM gomd.scans WHERE node = %s AND time <= to_timestamp(%s) "
                "AND time > to_timestamp(%s) ORDER BY time DESC LIMIT 1",
                (node, moment, moment - self._gap - 0.001),
            ).fetchone()
            if scan is None:
                return self._of_another(connection, node, moment)
            time, source, hidden = scan
            found = connection.execute(
                f"SELECT {_PROCESS} FROM gomd.processes p LEFT JOIN gomd.scanned s "  # noqa: S608
                "ON s.node = p.node AND s.source = p.source AND s.process = p.process AND s.time = %(time)s "
                "WHERE p.node = %(node)s AND p.source = %(source)s AND p.first_seen <= %(time)s "
                "AND (p.ended IS NULL OR p.ended > %(time)s)",
                {"node": node, "source": source, "time": time},
            ).fetchall()
            processes = sorted(
                (
                    process_in(
                        row[:_DESCRIBED],
                        None if row[_DESCRIBED] is None else ScannedRow(*row[_DESCRIBED:]),
                    )
                    for row in found
                ),
                key=lambda each: each.pid,
            )
            return RememberedTable(
                node, self._own_id, _seconds(time), hidden, processes,
                frozenset(row[2] for row in found if row[14]),
            )  # fmt: skip

    def _of_another(self, connection: Connection, node: int, moment: float) -> RememberedTable | None:
        row = connection.execute(
            "SELECT time, hidden, processes FROM gomd.remembered WHERE node = %s "
            "AND time <= to_timestamp(%s) AND time > to_timestamp(%s) ORDER BY time DESC LIMIT 1",
            (node, moment, moment - NODE_GAP),
        ).fetchone()
        if row is None:
            return None
        said: Any = row[2]
        try:
            processes = [decode(Process, each) for each in said]
            in_jobs = frozenset(each["identity"] for each in said if each.get("in_job"))
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"processes of node {node}: {error}") from error
        return RememberedTable(node, self._own_id, _seconds(row[0]), row[1], processes, in_jobs)

    def events(self, since: float, until: float, kinds: Collection[str] = ()) -> Sequence[RememberedEvent]:
        """See `IHistory.events`."""
        wanted = list(kinds) or None
        with self._open() as connection:
            found = connection.execute(
                "SELECT extract(epoch FROM time)::float8, kind, node, name, reason, by, uid, seconds, "
                "stopped_seconds, bytes, hidden FROM gomd.events WHERE time >= to_timestamp(%s) "
                "AND time <= to_timestamp(%s) AND (%s::text[] IS NULL OR kind = ANY(%s::text[])) "
                "ORDER BY time DESC LIMIT %s",
                (since, until, wanted, wanted, MAX_EVENTS),
            ).fetchall()
            return [
                RememberedEvent(Event(row[0], EventKind(row[1]), *row[2:10]), row[10])
                for row in reversed(found)
                if row[1] in KINDS
            ]

    def page(self, cursor: str, stream: str) -> HistoryPage:
        """Refuse: what is in a database is collected already."""
        raise NotPossible("the history of this node is in a database already")


def _seconds(time: datetime) -> float:
    return round(time.timestamp(), 3)
