"""Databases in a file."""

from __future__ import annotations

from typing import Final

from tests.programs.definition import Program, Refused
from tests.programs.steps import ONE_TRY, EndInput, Move, Seen, Step, Type


def _sql(journal: str) -> str:
    return f"""
.bail on
PRAGMA journal_mode={journal};
PRAGMA cache_size=60;
PRAGMA temp_store=FILE;
CREATE TABLE kept (id INTEGER PRIMARY KEY, name TEXT, value INTEGER);
BEGIN;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 700000)
INSERT INTO kept SELECT i, printf('%x', i * 7919 % 100003), i * 31 % 9973 FROM n;
CREATE INDEX by_name ON kept(name);
UPDATE kept SET value = value + 1 WHERE id % 3 = 0;
DELETE FROM kept WHERE id % 7 = 0;
COMMIT;
BEGIN;
UPDATE kept SET name = name || 'x' WHERE value % 5 = 0;
ROLLBACK;
SELECT count(*), sum(value), min(name), max(name) FROM kept;
SELECT sum(total) FROM (SELECT name, sum(value) AS total FROM kept GROUP BY name ORDER BY total DESC LIMIT 1000);
PRAGMA integrity_check;
"""


_NEEDS: Final = {"sqlite3": "sqlite3"}
_PART = """
BEGIN;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60000)
INSERT INTO kept(name, value) SELECT printf('%x', i * 7919 % 100003), i * 31 % 9973 FROM n;
COMMIT;
SELECT count(*), sum(value), max(name) FROM kept;
"""
_BEGIN = """
.bail on
CREATE TABLE kept (id INTEGER PRIMARY KEY, name TEXT, value INTEGER);
CREATE INDEX by_name ON kept(name);
"""


def _part(number: int) -> tuple[Step, Step]:
    """Return a transaction, and the row that comes of it."""
    return Type(_PART.encode()), Seen(rf"{60000 * number}\|\d+\|[0-9a-f]+\n".encode())


PROGRAMS: Final = (
    Program(
        "sqlite",
        "moved between two transactions of one connection",
        ("sqlite3", "data.db"),
        _NEEDS,
        steps=(
            Type(_BEGIN.encode()),
            *_part(1),
            Move(),
            *_part(2),
            Move(),
            *_part(3),
            Type(b"PRAGMA integrity_check;\n"),
            EndInput(),
        ),
        light=True,
    ),
    Program(
        "sqlite transaction",
        "in a transaction, with a rollback journal: its lock on the shared file holds it",
        ("sh", "-c", "sqlite3 data.db <work.sql"),
        _NEEDS,
        {"work.sql": _sql("DELETE")},
        steps=ONE_TRY,
        expect=Refused("holds a lock on"),
        light=True,
    ),
    Program(
        "sqlite WAL",
        "a write-ahead log, whose lock is held as long as the database is open",
        ("sh", "-c", "sqlite3 data.db <work.sql"),
        _NEEDS,
        {"work.sql": _sql("WAL")},
        steps=ONE_TRY,
        expect=Refused("holds a lock on"),
    ),
    Program(
        "sqlite in tmp",
        "the database and its rollback journal in /tmp: SQLite would not write to a copy",
        ("sh", "-c", "sqlite3 /tmp/data.db <work.sql; cp /tmp/data.db data.db; rm /tmp/data.db"),
        _NEEDS,
        {"work.sql": _sql("DELETE")},
        steps=ONE_TRY,
        expect=Refused("is an SQLite database"),
    ),
    Program(
        "sqlite WAL in tmp",
        "the same with a write-ahead log, which is mapped",
        ("sh", "-ec", "sqlite3 /tmp/data.db <work.sql; rm /tmp/data.db*"),
        _NEEDS,
        {"work.sql": _sql("WAL")},
    ),
)
