"""Stores pages of several nodes and their cursors in one transaction. Everything blocks."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar, Final

from psycopg import errors
from twisted.logger import Logger

from gomd.history.postgresql import copying
from gomd.history.postgresql.connecting import Connection
from gomd.history.postgresql.partitions import KEPT_DAYS, Partitions
from gomd.history.postgresql.rows import TableRows, rows_in
from gomd.interfaces import AskedPage
from libgomd.wallclock import Wall

#: Seconds for which a node is one collector's.
LEASE: Final = 30.0
#: Tables in the order in which they are stored.
_ORDER: Final = (
    "samples", "measures", "minutes", "processes", "scans", "scanned", "events", "jobs", "marks", "nodes",
    "remembered",
)  # fmt: skip
_FIRST_DAY: Final = datetime(1970, 1, 1).toordinal()


class PageStore:
    """
    Stores pages, and knows the numbers of fields, files and partitions that it has seen.

    :param own_id: id of the collector. :param wall: gives its time.
    """

    _log: ClassVar[Logger] = Logger()

    def __init__(self, own_id: int, wall: Wall) -> None:
        self._own_id = own_id
        self._wall = wall
        self._partitions = Partitions()
        self._fields: dict[str, int] = {}
        self._sources: dict[tuple[int, str], int] = {}

    def forget(self) -> None:
        """Look everything up again: a transaction was undone, or somebody has removed something."""
        self._partitions.forget()
        self._fields.clear()
        self._sources.clear()

    def store(self, connection: Connection, pages: Sequence[AskedPage]) -> list[int | None]:
        """
        Store pages; return for each the number of its rows, or None when it is not this collector's to store.

        :raises psycopg.Error: nothing is stored.
        """
        try:
            return self._try(connection, pages)
        except (errors.CheckViolation, errors.UndefinedTable, errors.DeadlockDetected):
            # Somebody has dropped a partition, or two collectors have stored the same event.
            return self._try(connection, pages)

    def _try(self, connection: Connection, pages: Sequence[AskedPage]) -> list[int | None]:
        try:
            with connection.transaction():
                return self._in_transaction(connection, pages)
        except BaseException:
            self.forget()
            raise

    def _in_transaction(self, connection: Connection, pages: Sequence[AskedPage]) -> list[int | None]:
        nodes, streams = [page.node for page in pages], [page.stream for page in pages]
        # In this order, because another collector that asks for leases locks the same rows.
        connection.execute(
            "SELECT 1 FROM gomd.cursors WHERE (node, stream) IN "
            "(SELECT * FROM unnest(%s::int[], %s::text[])) ORDER BY node, stream FOR UPDATE",
            (nodes, streams),
        )
        mine = {
            (node, stream): float(now)
            for node, stream, now in connection.execute(
                "UPDATE gomd.cursors AS known SET cursor = new.cursor, "
                "lease = now() + make_interval(secs => %s) FROM "
                "unnest(%s::int[], %s::text[], %s::text[], %s::text[]) AS new(node, stream, asked, cursor) "
                "WHERE known.node = new.node AND known.stream = new.stream AND known.cursor = new.asked "
                "AND known.collector = %s RETURNING known.node, known.stream, extract(epoch FROM now())",
                (
                    LEASE, nodes, streams, [page.asked_with for page in pages],
                    [page.page.cursor for page in pages], self._own_id,
                ),
            ).fetchall()
        }  # fmt: skip
        results: list[int | None] = []
        every = TableRows()
        newest: list[tuple[float, int, str]] = []
        for asked in pages:
            theirs = mine.get((asked.node, asked.stream))
            if theirs is None:
                results.append(None)
                continue
            clocks = (theirs, self._wall())
            found = rows_in(asked.page.lines, asked.node, self._own_id, asked.stream == "own", clocks)
            self._complete(connection, asked.node, asked.page.cursor.partition(".")[0], found)
            results.append(sum(len(rows) for rows in found.by_table.values()))
            if found.newest is not None:
                newest.append((found.newest, asked.node, asked.stream))
            for table, rows in found.by_table.items():
                every.by_table.setdefault(table, []).extend(rows)
            self._tell(asked.node, found.left_out)
        for table in _ORDER:
            rows = every.by_table.get(table, [])
            if not rows:
                continue
            if table in KEPT_DAYS:
                days = {row[0].toordinal() - _FIRST_DAY for row in rows}
                self._partitions.have(connection, table, sorted(days))
            copying.store(connection, table, rows)
        copying.add_hours(connection, every.by_table.get("minutes", ()))
        if newest:
            connection.cursor().executemany(
                "UPDATE gomd.cursors SET newest = to_timestamp(%s) WHERE node = %s AND stream = %s", newest
            )
        return results

    def _tell(self, node: int, left_out: int) -> None:
        if left_out:
            self._log.warn(
                "{count} rows of node {node} were left out: they are no rows, or their time is far from now",
                count=left_out, node=node,
            )  # fmt: skip

    def _complete(self, connection: Connection, node: int, file: str, found: TableRows) -> None:
        """Put the numbers of fields, and of the node's file, into the rows."""
        tables = found.by_table
        for table in ("measures", "minutes"):
            rows = tables.get(table)
            if rows:
                self._number_fields(connection, {row[2] for row in rows})
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
