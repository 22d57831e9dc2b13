"""The history in an SQLite database: one file, which people can also read with their own SQL."""

from __future__ import annotations

from gomd.history.sqlite.store import SqliteHistory

__all__ = ["SqliteHistory"]
