"""The last scan before a moment, in either of the tables that have scans. Blocks."""

from __future__ import annotations

import sqlite3

from gomd.history.sqlite.scans import Scan, last_before, plain


def scan_at(connection: sqlite3.Connection, moment: float) -> Scan | None:
    """Return the last scan that is not later than ``moment``. :raises ValueError: it is damaged."""
    found: list[Scan] = []
    row = connection.execute(
        "SELECT data FROM recent_scans WHERE time <= ? ORDER BY time DESC LIMIT 1", (moment,)
    ).fetchone()
    if row is not None and (scan := last_before(row[0], moment)) is not None:
        found.append(scan)
    row = connection.execute(
        # A clock that was set back has left blocks that overlap: the one that comes nearest to the moment.
        "SELECT data FROM scans WHERE start <= ?1 ORDER BY min(finish, ?1) DESC, start DESC LIMIT 1",
        (moment,),
    ).fetchone()
    if row is not None and (scan := last_before(plain(row[0]), moment)) is not None:
        found.append(scan)
    return max(found, key=lambda each: each.time, default=None)
