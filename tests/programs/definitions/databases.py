"""Databases in a file."""

from __future__ import annotations

from typing import Final

from tests.programs.definition import Program


def _sql(journal: str) -> str:
    return f"""
.bail on
PRAGMA journal_mode={journal};
PRAGMA cache_size=60;
PRAGMA temp_store=FILE;
CREATE TABLE kept (id INTEGER PRIMARY KEY, name TEXT, value INTEGER);
BEGIN;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 400000)
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


PROGRAMS: Final = (
    Program("sqlite", "a database with a rollback journal", ("sh", "-c", "sqlite3 data.db <work.sql"),
            {"sqlite3": "sqlite3"}, {"work.sql": _sql("DELETE")}, light=True),
    Program("sqlite WAL", "the same with a write-ahead log, which is mapped", ("sh", "-c", "sqlite3 data.db <work.sql"),
            {"sqlite3": "sqlite3"}, {"work.sql": _sql("WAL")}),
    Program("sqlite in tmp", "a database in /tmp", ("sh", "-c", "sqlite3 /tmp/data.db <work.sql; rm /tmp/data.db"),
            {"sqlite3": "sqlite3"}, {"work.sql": _sql("DELETE")}),
)  # fmt: skip
