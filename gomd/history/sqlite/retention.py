"""
What is removed, and when: each kind of row after its time, and earlier when the file would become too large.

The times are shortened together, by one factor, until the file fits: the oldest go first, nothing fails.
"""

from __future__ import annotations

import sqlite3
from typing import Final

DAY: Final = 86400.0
#: Seconds for which each kind of row is kept.
KEEP_SECONDS: Final = DAY
KEEP_MINUTES: Final = 30 * DAY
KEEP_HOURS: Final = 730 * DAY
KEEP_PROCESSES: Final = 3 * DAY
KEEP_OTHER_NODES: Final = 7 * DAY
KEEP_EVENTS: Final = 90 * DAY
#: Free pages that are given back to the disk at once.
PAGES_GIVEN_BACK: Final = 4000
#: How the factor shrinks from try to try, grows from hour to hour at least, and how small it becomes.
_SHRINK: Final = 0.85
_GROW: Final = 1.05
_LEAST_FACTOR: Final = 0.001
#: The part of the allowed size to which a file that is too large is thinned, and above which nothing grows.
_THINNED: Final = 0.9
_ROOMY: Final = 0.8
#: The part of the allowed size that rows of nodes may take, and about the bytes of one.
_MOST_OF_NODES: Final = 0.3
_NODE_ROW_BYTES: Final = 140


class Retention:
    """
    Removes what is too old from a database.

    :param max_bytes: the size that the file may have.
    :ivar factor: the part of the usual times for which rows are kept; 1.0 as long as the file fits.
    :ivar others: the same for rows of other nodes, which may be most of the file in a large cluster.
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.factor = self.others = 1.0

    def limit(self, connection: sqlite3.Connection) -> None:
        """Let SQLite itself refuse to make the file larger than it may be. Blocks."""
        [page] = connection.execute("PRAGMA page_size").fetchone()
        connection.execute(f"PRAGMA max_page_count = {max(64, self.max_bytes // page)}").fetchone()

    def expire(self, connection: sqlite3.Connection, now: float, own_id: int) -> None:
        """Remove what is too old, and give free pages back. Blocks; each statement is a transaction."""
        # What is stored grows with the factor: where a burst has made it small, it comes back soon after it.
        room = _ROOMY * self.max_bytes / max(1, used_by(connection))
        if room > 1.0:
            grow = max(_GROW, room)
            self.factor, self.others = min(1.0, self.factor * grow), min(1.0, self.others * grow)
        self._remove(connection, now, own_id)
        if size_of(connection) > self.max_bytes:
            self.thin(connection, now, own_id, _THINNED * self.max_bytes)

    def thin(self, connection: sqlite3.Connection, now: float, own_id: int, wanted: float) -> None:
        """
        Remove the oldest rows until at most ``wanted`` bytes of the file are in use. Blocks.

        Where the clock is behind most rows, that does not make room: then the times stay what they were, so
        that nothing more is removed by them when the clock is right again.
        """
        before = self.factor, self.others
        while used_by(connection) > wanted:
            if self.others > _LEAST_FACTOR and self._share_of_nodes(connection) > _MOST_OF_NODES:
                self.others *= _SHRINK
            elif self.factor > _LEAST_FACTOR:
                self.factor *= _SHRINK
            else:
                self.factor, self.others = before
                return
            self._remove(connection, now, own_id)

    def _share_of_nodes(self, connection: sqlite3.Connection) -> float:
        """Return which part of the allowed size the rows of nodes take, about."""
        [rows] = connection.execute("SELECT count(*) FROM nodes").fetchone()
        return float(rows * _NODE_ROW_BYTES / self.max_bytes)

    def _remove(self, connection: sqlite3.Connection, now: float, own_id: int) -> None:
        def before(seconds: float) -> float:
            return now - seconds * self.factor

        for (field,) in connection.execute("SELECT id FROM fields").fetchall():
            for table, key, seconds in (
                ("seconds", "start", KEEP_SECONDS),
                ("minutes", "time", KEEP_MINUTES),
                ("hours", "time", KEEP_HOURS),
            ):
                connection.execute(
                    f"DELETE FROM {table} WHERE field = ? AND {key} < ?",  # noqa: S608 - fixed names
                    (field, before(seconds)),
                )
        for (layout,) in connection.execute("SELECT id FROM layouts").fetchall():
            connection.execute(
                "DELETE FROM seconds WHERE field = ? AND start < ?", (-layout, before(KEEP_SECONDS))
            )
        connection.execute("DELETE FROM blocks WHERE start < ?", (before(KEEP_SECONDS),))
        connection.execute("DELETE FROM merges WHERE finish < ?", (before(KEEP_MINUTES),))
        connection.execute("DELETE FROM looks WHERE minute < ?", (before(KEEP_MINUTES),))
        for (node,) in connection.execute(DISTINCT_NODES.format(table="nodes")).fetchall():
            kept = KEEP_MINUTES if node == own_id else KEEP_OTHER_NODES * self.others
            connection.execute("DELETE FROM nodes WHERE node = ? AND time < ?", (node, before(kept)))
        for (node,) in connection.execute(DISTINCT_NODES.format(table="remembered")).fetchall():
            connection.execute(
                "DELETE FROM remembered WHERE node = ? AND time < ?", (node, before(KEEP_OTHER_NODES))
            )
        old = before(KEEP_PROCESSES)
        connection.execute("DELETE FROM scans WHERE start < ?", (old,))
        connection.execute("DELETE FROM processes WHERE ended < ?", (old,))
        old = before(KEEP_EVENTS)
        connection.execute("DELETE FROM events WHERE time < ?", (old,))
        connection.execute("DELETE FROM marks WHERE time < ?", (old,))
        connection.execute("DELETE FROM jobs WHERE ended < ?", (old,))
        give_back(connection)


def give_back(connection: sqlite3.Connection) -> None:
    """Give free pages back to the disk, some at a time, so that commits do not wait for long. Blocks."""
    # `execute` would stop behind the first page, because the statement has no columns.
    connection.executescript(f"PRAGMA incremental_vacuum({PAGES_GIVEN_BACK})")


#: The ids in the first column of a key, found by as many steps in its index as there are ids.
DISTINCT_NODES: Final = (
    "WITH RECURSIVE each(node) AS (SELECT min(node) FROM {table} UNION ALL "
    "SELECT (SELECT min(node) FROM {table} WHERE node > each.node) FROM each WHERE each.node IS NOT NULL) "
    "SELECT node FROM each WHERE node IS NOT NULL"
)


def size_of(connection: sqlite3.Connection) -> int:
    """Return the bytes of the file, free pages included. Blocks."""
    [pages] = connection.execute("PRAGMA page_count").fetchone()
    [page] = connection.execute("PRAGMA page_size").fetchone()
    return int(pages * page)


def used_by(connection: sqlite3.Connection) -> int:
    """Return the bytes of the pages that are in use. Blocks."""
    [free] = connection.execute("PRAGMA freelist_count").fetchone()
    [page] = connection.execute("PRAGMA page_size").fetchone()
    return size_of(connection) - int(free * page)
