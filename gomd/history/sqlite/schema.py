"""
The tables of the history, as numbered steps: a file of an older gomd is given the missing ones.

docs/history.md describes them for people who write their own SQL. A step that was released never changes.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Sequence
from typing import Final

#: Marks a file as a history of gomd (``PRAGMA application_id``): "gomd".
APPLICATION_ID: Final = 0x676F6D64

_FIRST: Final = """
CREATE TABLE fields(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE layouts(id INTEGER PRIMARY KEY, fields TEXT NOT NULL UNIQUE);
CREATE TABLE recent(id INTEGER PRIMARY KEY, time REAL NOT NULL, layout INTEGER NOT NULL, data BLOB NOT NULL);
CREATE TABLE seconds(
    field INTEGER NOT NULL, start REAL NOT NULL, finish REAL NOT NULL, layout INTEGER NOT NULL,
    data BLOB NOT NULL, PRIMARY KEY(field, start)) WITHOUT ROWID;
CREATE TABLE minutes(
    field INTEGER NOT NULL, time INTEGER NOT NULL, min REAL, mean REAL, max REAL,
    PRIMARY KEY(field, time)) WITHOUT ROWID;
CREATE TABLE hours(
    field INTEGER NOT NULL, time INTEGER NOT NULL, min REAL, mean REAL, max REAL,
    PRIMARY KEY(field, time)) WITHOUT ROWID;
CREATE TABLE nodes(
    node INTEGER NOT NULL, time INTEGER NOT NULL, name TEXT NOT NULL, address TEXT NOT NULL,
    status INTEGER NOT NULL, load_min INTEGER, load REAL, load_max INTEGER, speed INTEGER, cpus INTEGER,
    util_min INTEGER, util REAL, util_max INTEGER, mem_min INTEGER, mem REAL, mem_max INTEGER,
    rmem_min INTEGER, rmem REAL, rmem_max INTEGER, tmem INTEGER,
    PRIMARY KEY(node, time)) WITHOUT ROWID;
CREATE TABLE processes(
    id INTEGER PRIMARY KEY, node INTEGER NOT NULL, identity TEXT NOT NULL, pid INTEGER NOT NULL,
    ppid INTEGER NOT NULL, home INTEGER NOT NULL, uid INTEGER NOT NULL, user TEXT NOT NULL,
    name TEXT NOT NULL, command TEXT NOT NULL, started INTEGER NOT NULL, start_time REAL, cpu_seconds REAL,
    nmigs INTEGER NOT NULL, "where" INTEGER NOT NULL, job INTEGER NOT NULL,
    first_seen REAL NOT NULL, ended REAL);
CREATE INDEX processes_by_end ON processes(ended, first_seen);
CREATE TABLE recent_scans(id INTEGER PRIMARY KEY, time REAL NOT NULL, data BLOB NOT NULL);
CREATE TABLE scans(
    id INTEGER PRIMARY KEY, start REAL NOT NULL, finish REAL NOT NULL, data BLOB NOT NULL);
CREATE INDEX scans_by_start ON scans(start);
CREATE TABLE remembered(
    node INTEGER NOT NULL, time REAL NOT NULL, hidden INTEGER NOT NULL, data BLOB NOT NULL,
    PRIMARY KEY(node, time)) WITHOUT ROWID;
CREATE TABLE events(
    id INTEGER PRIMARY KEY, time REAL NOT NULL, kind TEXT NOT NULL, node INTEGER NOT NULL, name TEXT NOT NULL,
    reason TEXT NOT NULL, by INTEGER NOT NULL, uid INTEGER, seconds REAL, stopped_seconds REAL, bytes INTEGER,
    hidden INTEGER NOT NULL);
CREATE INDEX events_by_time ON events(time);
CREATE TABLE jobs(
    home INTEGER NOT NULL, job INTEGER NOT NULL, started REAL NOT NULL, node INTEGER NOT NULL, pid INTEGER,
    user TEXT NOT NULL, uid INTEGER NOT NULL, state TEXT NOT NULL, exit INTEGER, command TEXT NOT NULL,
    ended REAL, reason TEXT NOT NULL, nmigs INTEGER NOT NULL, identity TEXT NOT NULL,
    PRIMARY KEY(home, job, started)) WITHOUT ROWID;
CREATE TABLE marks(id INTEGER PRIMARY KEY, time REAL NOT NULL, name TEXT NOT NULL);
CREATE VIEW by_minute AS
    SELECT f.name AS field, m.time, m.min, m.mean, m.max FROM minutes m JOIN fields f ON f.id = m.field;
CREATE VIEW by_hour AS
    SELECT f.name AS field, h.time, h.min, h.mean, h.max FROM hours h JOIN fields f ON f.id = h.field;
"""

#: The order in which rows were written, for those who collect them; and whose past a file has.
_SECOND: Final = """
CREATE TABLE owners(id INTEGER PRIMARY KEY, node INTEGER NOT NULL, since REAL NOT NULL);
CREATE TABLE blocks(
    last INTEGER PRIMARY KEY, first INTEGER NOT NULL, layout INTEGER NOT NULL, start REAL NOT NULL,
    ids BLOB NOT NULL);
CREATE TABLE merges(id INTEGER PRIMARY KEY, start REAL NOT NULL, finish REAL NOT NULL);
CREATE TABLE looks(id INTEGER PRIMARY KEY, minute INTEGER NOT NULL);
ALTER TABLE scans ADD COLUMN ids BLOB;
ALTER TABLE processes ADD COLUMN change INTEGER NOT NULL DEFAULT 0;
UPDATE processes SET change = id;
CREATE INDEX processes_by_change ON processes(change);
ALTER TABLE jobs ADD COLUMN change INTEGER NOT NULL DEFAULT 0;
ALTER TABLE remembered ADD COLUMN change INTEGER NOT NULL DEFAULT 0;
CREATE INDEX remembered_by_change ON remembered(change);
INSERT INTO merges(start, finish) SELECT DISTINCT time, time + 3599 FROM hours ORDER BY time;
CREATE TABLE sequence(file TEXT NOT NULL, reserved INTEGER NOT NULL);
INSERT INTO sequence SELECT lower(hex(randomblob(16))), 1 + max(
    (SELECT ifnull(max(id), 0) FROM recent), (SELECT ifnull(max(id), 0) FROM recent_scans),
    (SELECT ifnull(max(id), 0) FROM scans), (SELECT ifnull(max(id), 0) FROM events),
    (SELECT ifnull(max(id), 0) FROM marks), (SELECT ifnull(max(id), 0) FROM merges),
    (SELECT ifnull(max(id), 0) FROM processes));
"""

STEPS: Final = (_FIRST, _SECOND)
#: What this gomd writes as ``PRAGMA user_version``.
VERSION: Final = len(STEPS)
_MADE: Final = re.compile(r"^CREATE (?:TABLE|INDEX|VIEW) (\w+)", re.MULTILINE)


def names_in(steps: Sequence[str]) -> set[str]:
    """Return the names of the tables, indexes and views that steps make."""
    return {name for step in steps for name in _MADE.findall(step)}


def upgrade(connection: sqlite3.Connection) -> None:
    """
    Bring the tables up to date, all in one transaction. Blocks.

    :raises sqlite3.Error: it could not be written; the file is as it was.
    """
    [version] = connection.execute("PRAGMA user_version").fetchone()
    if version >= VERSION:
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        for step in STEPS[version:]:
            for statement in step.split(";"):
                if statement.strip():
                    connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
