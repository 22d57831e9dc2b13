"""
Numbers that say in which order rows were written, and what a file and its rows belong to.

A clock may step; these numbers only grow, and none is given twice, also after the newest rows were removed. A
collector of the history asks for what has a higher number than what it has. They are given out of a reserve
that stands in the file, so that a transaction seldom has to write it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Final

#: Numbers that are reserved at once, and that a restart may leave out.
RESERVE: Final = 1000


class Numbers:
    """
    Gives the next number. One that a rolled back transaction has taken is not given again by a new object.

    :param connection: an open history.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._last = self._end = 0

    def next(self) -> int:
        """Return the next number, inside a transaction of the caller's. Blocks."""
        if self._last >= self._end:
            self._connection.execute("UPDATE sequence SET reserved = reserved + ?", (RESERVE,))
            [reserved] = self._connection.execute("SELECT reserved FROM sequence").fetchone()
            self._end = int(reserved)
            self._last = self._end - RESERVE
        self._last += 1
        return self._last


def note_owner(connection: sqlite3.Connection, own_id: int, now: float) -> None:
    """Note that from now on the file has the past of node ``own_id``; nothing when it has already. Blocks."""
    found = connection.execute("SELECT node FROM owners ORDER BY id DESC LIMIT 1").fetchone()
    if found == (own_id,):
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        number = Numbers(connection).next() if found else 0
        since = now if found else 0.0  # what the first node wrote before it was noted is its own, too
        connection.execute("INSERT INTO owners VALUES (?, ?, ?)", (number, own_id, since))
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def owned_times(connection: sqlite3.Connection, node: int) -> Iterator[tuple[float, float]]:
    """Yield when the machine of this file had the id ``node``: from, and until. Blocks."""
    found = connection.execute("SELECT node, since FROM owners ORDER BY id").fetchall()
    for at, (owner, since) in enumerate(found):
        if owner == node:
            yield since, found[at + 1][1] if at + 1 < len(found) else float("inf")
