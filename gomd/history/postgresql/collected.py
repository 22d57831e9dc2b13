"""
What a collector stores in the database: pages of nodes' histories, each with its cursor in one transaction.

Theory of operation. The table ``cursors`` has, for each node and stream, the cursor of the last page that
was stored, and which collector may store the next one: a lease of half a minute, by the database's clock. A
page is stored together with its cursor, and only if the cursor is still the one that the page was asked with.
So a page is stored once or not at all, whatever ends in mid-write: this daemon, the server, or the way
between. Of two collectors each takes the nodes that the other one does not have, and all of them when the
other is gone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timezone
from threading import Lock
from typing import Any, ClassVar, Final, TypeVar

import psycopg
from psycopg import errors
from twisted.logger import Logger
from zope.interface import implementer

from gomd.history.postgresql import copying
from gomd.history.postgresql.connecting import Connect, Connection, DatabaseAway, DatabaseUnusable, reason_of
from gomd.history.postgresql.partitions import KEPT_DAYS, Partitions, day_of, expire
from gomd.history.postgresql.rows import TableRows, rows_in
from gomd.history.postgresql.schema import upgrade
from gomd.interfaces import HistoryPage, ICollectedHistory
from libgomd.errors import NotPossible, SourceUnavailable
from libgomd.wallclock import Wall

R = TypeVar("R")
#: Seconds that one statement may take.
STATEMENT_TIMEOUT: Final = 30.0
#: Seconds for which a node is this collector's.
LEASE: Final = 30.0
#: Seconds by which the clocks of this node and of the database may differ for old rows to be removed.
MAX_SKEW: Final = 3600.0
#: Tables in the order in which they are stored.
_ORDER: Final = (
    "samples", "measures", "minutes", "processes", "scans", "scanned", "events", "jobs", "marks", "nodes",
    "remembered",
)  # fmt: skip


@implementer(ICollectedHistory)
class CollectedHistory:
    """
    Stores pages. Every method blocks; one thread at a time may use an object.

    :param own_id: id of this node, the collector. :param connect: makes a connection.
    :param wall: gives the time of this node.
    """

    _log: ClassVar[Logger] = Logger()

    def __init__(self, own_id: int, connect: Connect, wall: Wall) -> None:
        self._own_id = own_id
        self._connect = connect
        self._wall = wall
        self._connection: Connection | None = None
        self._busy = Lock()
        self._closed = False
        self._partitions = Partitions()
        self._fields: dict[str, int] = {}
        self._sources: dict[tuple[int, str], int] = {}

    def lease(self, nodes: Sequence[int], stream: str) -> Mapping[int, str]:
        """See `ICollectedHistory.lease`."""
        return self._run(lambda connection: self._lease(connection, nodes, stream))

    def _lease(self, connection: Connection, nodes: Sequence[int], stream: str) -> Mapping[int, str]:
        with connection.transaction():
            found = connection.execute(
                "INSERT INTO gomd.cursors AS known (node, stream, cursor, collector, lease) "
                "SELECT node, %s, '', %s, now() + make_interval(secs => %s) FROM unnest(%s::int[]) AS node "
                "ORDER BY node ON CONFLICT (node, stream) DO UPDATE "
                "SET collector = EXCLUDED.collector, lease = EXCLUDED.lease "
                "WHERE known.collector = EXCLUDED.collector OR known.lease < now() RETURNING node, cursor",
                (stream, self._own_id, LEASE, list(nodes)),
            ).fetchall()
        return dict(found)

    def store(self, node: int, stream: str, asked_with: str, page: HistoryPage) -> int | None:
        """See `ICollectedHistory.store`."""
        try:
            return self._run(lambda connection: self._store(connection, node, stream, asked_with, page))
        except (psycopg.DataError, OverflowError, ValueError, TypeError) as error:
            # A page that the database does not take would stop this node's stream for ever.
            self._log.error(
                "a page of node {node} was left out, because the database does not take it: {error}",
                node=node, error=reason_of(error),
            )  # fmt: skip
            skipped = HistoryPage(page.cursor, page.more, ())
            return self._run(lambda connection: self._store(connection, node, stream, asked_with, skipped))

    def _store(
        self, connection: Connection, node: int, stream: str, asked_with: str, page: HistoryPage
    ) -> int | None:
        try:
            return self._store_once(connection, node, stream, asked_with, page)
        except (errors.CheckViolation, errors.UndefinedTable):  # somebody has dropped a partition
            self._partitions.forget()
            return self._store_once(connection, node, stream, asked_with, page)

    def _store_once(
        self, connection: Connection, node: int, stream: str, asked_with: str, page: HistoryPage
    ) -> int | None:
        fields, sources = self._fields, self._sources
        try:
            with connection.transaction():
                mine = connection.execute(
                    "UPDATE gomd.cursors SET cursor = %s, lease = now() + make_interval(secs => %s) "
                    "WHERE node = %s AND stream = %s AND cursor = %s AND collector = %s "
                    "RETURNING extract(epoch FROM now())",
                    (page.cursor, LEASE, node, stream, asked_with, self._own_id),
                ).fetchone()
                if mine is None:
                    return None
                clocks = (float(mine[0]), self._wall())
                found = rows_in(page.lines, node, self._own_id, stream == "own", clocks)
                self._complete(connection, node, page.cursor.partition(".")[0], found)
                for table in _ORDER:
                    rows = found.by_table.get(table)
                    if rows:
                        if table in KEPT_DAYS:
                            self._partitions.have(connection, table, sorted({_day(row[0]) for row in rows}))
                        copying.store(connection, table, rows)
                copying.add_hours(connection, node, found.by_table.get("minutes", ()))
                if found.newest is not None:
                    connection.execute(
                        "UPDATE gomd.cursors SET newest = to_timestamp(%s) WHERE node = %s AND stream = %s",
                        (found.newest, node, stream),
                    )
        except BaseException:
            # What was made in the transaction is gone with it.
            self._partitions.forget()
            fields.clear()
            sources.clear()
            raise
        if found.left_out:
            self._log.warn(
                "{count} rows of node {node} were left out: they are no rows, or their time is far from now",
                count=found.left_out, node=node,
            )  # fmt: skip
        return sum(len(rows) for rows in found.by_table.values())

    def _complete(self, connection: Connection, node: int, file: str, found: TableRows) -> None:
        """Put the numbers of fields, and of the node's file, into the rows."""
        tables = found.by_table
        for table in ("measures", "minutes"):
            rows = tables.get(table)
            if rows:
                names = {row[2] for row in rows}
                self._number_fields(connection, names)
                tables[table] = [[row[0], row[1], self._fields[row[2]], *row[3:]] for row in rows]
        if any(tables.get(table) for table in ("scans", "scanned", "processes")):
            source = self._source(connection, node, file)
            for table in ("scans", "scanned"):
                if table in tables:
                    tables[table] = [[row[0], row[1], source, *row[2:]] for row in tables[table]]
            if "processes" in tables:
                tables["processes"] = [[row[0], source, *row[1:]] for row in tables["processes"]]

    def _number_fields(self, connection: Connection, names: set[str]) -> None:
        unknown = sorted(names - self._fields.keys())
        if not unknown:
            return
        connection.execute(
            "INSERT INTO gomd.fields(name) SELECT unnest(%s::text[]) ON CONFLICT DO NOTHING", (unknown,)
        )
        self._fields.update(
            connection.execute("SELECT name, id FROM gomd.fields WHERE name = ANY(%s)", (unknown,)).fetchall()
        )

    def _source(self, connection: Connection, node: int, file: str) -> int:
        known = self._sources.get((node, file))
        if known is None:
            connection.execute(
                "INSERT INTO gomd.sources(node, file) VALUES (%s, %s) ON CONFLICT DO NOTHING", (node, file)
            )
            row = connection.execute(
                "SELECT id FROM gomd.sources WHERE node = %s AND file = %s", (node, file)
            ).fetchone()
            assert row is not None
            known = self._sources[node, file] = int(row[0])
        return known

    def expire(self) -> int:
        """See `ICollectedHistory.expire`."""
        return self._run(self._expire)

    def _expire(self, connection: Connection) -> int:
        row = connection.execute("SELECT extract(epoch FROM now())").fetchone()
        assert row is not None
        theirs, own = float(row[0]), self._wall()
        connection.commit()
        if abs(theirs - own) > MAX_SKEW:
            self._log.warn(
                "nothing old is removed from the database: its clock is {seconds:.0f} s from this node's",
                seconds=theirs - own,
            )
            return 0
        try:
            return expire(connection, theirs)
        finally:
            self._partitions.forget()

    def close(self) -> None:
        """See `ICollectedHistory.close`."""
        self._closed = True
        if self._busy.acquire(blocking=False):
            try:
                self._disconnect()
            finally:
                self._busy.release()

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                connection.close()
            except psycopg.Error:
                pass  # it is gone

    def _run(self, work: Callable[[Connection], R]) -> R:
        """Do some work on the connection, which is made if there is none. Errors close it."""
        with self._busy:
            try:
                return self._try(work)
            finally:
                if self._closed:
                    self._disconnect()

    def _try(self, work: Callable[[Connection], R]) -> R:
        try:
            if self._connection is None:
                self._connection = self._connect(STATEMENT_TIMEOUT)
                self._connection.autocommit = True
                upgrade(self._connection)
            return work(self._connection)
        except DatabaseUnusable as error:
            self._disconnect()
            raise NotPossible(f"the database cannot be used: {error}") from error
        except DatabaseAway as error:
            self._disconnect()
            raise SourceUnavailable(f"the database cannot be used now: {error}") from error
        except (psycopg.DataError, OverflowError):
            raise
        except (psycopg.Error, OSError) as error:
            self._disconnect()
            raise SourceUnavailable(f"the database cannot be used now: {reason_of(error)}") from error


def _day(time: Any) -> int:
    moment: datetime = time
    return day_of(moment.astimezone(timezone.utc).timestamp())
