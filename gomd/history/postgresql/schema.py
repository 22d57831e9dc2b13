"""
The tables in PostgreSQL, all in the schema ``gomd``, as numbered steps; a released step never changes.

docs/history.md describes them for people who write their own SQL. Tables that grow with time are
partitioned by day of UTC (`partitions`); where the database has TimescaleDB they are `hypertables`.
"""

from __future__ import annotations

import re
from typing import Final

from gomd.history.postgresql import hypertables
from gomd.history.postgresql.connecting import Connection, DatabaseUnusable

#: Held while tables and partitions are made, so that two collectors do not make them at once.
LOCK: Final = 0x676F6D64

#: The values of a sample that are columns; others are rows of ``measures``.
SAMPLE_FIELDS: Final = (
    "load", "speed", "cpus", "util", "mem", "rmem", "tmem", "runnable", "load1", "load5", "load15",
    "busy_percent", "iowait_percent", "swap_total", "swap_free", "swapped_in", "swapped_out", "faults",
    "major_faults", "disk_read_bytes", "disk_written_bytes", "disk_busy_ms", "net_received_bytes",
    "net_received_packets", "net_received_errors", "net_sent_bytes", "net_sent_packets", "net_sent_errors",
    "cpu_some", "io_some", "io_full", "memory_some", "memory_full",
)  # fmt: skip
_SAMPLE_COLUMNS: Final = ", ".join(f'"{name}" double precision' for name in SAMPLE_FIELDS)

_FIRST: Final = """
CREATE TABLE gomd.sources(
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, node integer NOT NULL, file text NOT NULL,
    first_seen timestamptz NOT NULL DEFAULT now(), UNIQUE(node, file));
CREATE TABLE gomd.cursors(
    node integer NOT NULL, stream text NOT NULL, cursor text NOT NULL, collector integer NOT NULL,
    lease timestamptz NOT NULL, newest timestamptz, PRIMARY KEY(node, stream));
CREATE TABLE gomd.fields(
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL UNIQUE);
CREATE TABLE gomd.samples(
    time timestamptz NOT NULL, node integer NOT NULL, SAMPLE_COLUMNS,
    PRIMARY KEY(node, time)) PARTITION BY RANGE (time);
CREATE TABLE gomd.measures(
    time timestamptz NOT NULL, node integer NOT NULL, field integer NOT NULL, value double precision NOT NULL,
    PRIMARY KEY(node, field, time)) PARTITION BY RANGE (time);
CREATE TABLE gomd.minutes(
    time timestamptz NOT NULL, node integer NOT NULL, field integer NOT NULL, min double precision,
    mean double precision, max double precision, PRIMARY KEY(node, field, time)) PARTITION BY RANGE (time);
CREATE TABLE gomd.hours(
    time timestamptz NOT NULL, node integer NOT NULL, field integer NOT NULL, min double precision,
    mean double precision, max double precision, PRIMARY KEY(node, field, time));
CREATE TABLE gomd.nodes(
    time timestamptz NOT NULL, node integer NOT NULL, by integer NOT NULL, name text NOT NULL,
    address text NOT NULL, status integer NOT NULL, load_min double precision, load double precision,
    load_max double precision, speed double precision, cpus double precision, util_min double precision,
    util double precision, util_max double precision, mem_min double precision, mem double precision,
    mem_max double precision, rmem_min double precision, rmem double precision, rmem_max double precision,
    tmem double precision, PRIMARY KEY(node, time)) PARTITION BY RANGE (time);
CREATE TABLE gomd.scans(
    time timestamptz NOT NULL, node integer NOT NULL, source integer NOT NULL, hidden boolean NOT NULL,
    PRIMARY KEY(node, time)) PARTITION BY RANGE (time);
CREATE TABLE gomd.scanned(
    time timestamptz NOT NULL, node integer NOT NULL, source integer NOT NULL, process bigint NOT NULL,
    cpu_percent real, cpu_seconds double precision, rss bigint, vsize bigint, threads integer, nice smallint,
    state text NOT NULL, read_rate real, write_rate real, lock boolean NOT NULL, stuck boolean NOT NULL,
    PRIMARY KEY(node, time, source, process)) PARTITION BY RANGE (time);
CREATE TABLE gomd.processes(
    node integer NOT NULL, source integer NOT NULL, process bigint NOT NULL, identity text NOT NULL,
    pid integer NOT NULL, ppid integer NOT NULL, home integer NOT NULL, uid bigint NOT NULL,
    "user" text NOT NULL, name text NOT NULL, command text NOT NULL, started bigint NOT NULL,
    start_time timestamptz, cpu_seconds double precision, nmigs integer NOT NULL,
    "where" integer NOT NULL, job boolean NOT NULL, first_seen timestamptz NOT NULL, ended timestamptz,
    PRIMARY KEY(node, source, process));
CREATE INDEX processes_by_end ON gomd.processes(node, ended);
CREATE TABLE gomd.events(
    time timestamptz NOT NULL, kind text NOT NULL, node integer NOT NULL, name text NOT NULL,
    reason text NOT NULL, by integer NOT NULL, uid bigint, seconds double precision,
    stopped_seconds double precision, bytes bigint, hidden boolean NOT NULL);
CREATE UNIQUE INDEX events_once ON gomd.events(time, kind, node, by, md5(reason));
CREATE TABLE gomd.jobs(
    home integer NOT NULL, job bigint NOT NULL, started timestamptz NOT NULL, node integer NOT NULL,
    pid integer, "user" text NOT NULL, uid bigint NOT NULL, state text NOT NULL, exit integer,
    command text NOT NULL, ended timestamptz, reason text NOT NULL, nmigs integer NOT NULL,
    identity text NOT NULL,
    PRIMARY KEY(home, job, started));
CREATE TABLE gomd.marks(
    time timestamptz NOT NULL, node integer NOT NULL, name text NOT NULL, PRIMARY KEY(node, time, name));
CREATE TABLE gomd.remembered(
    node integer NOT NULL, time timestamptz NOT NULL, by integer NOT NULL, hidden boolean NOT NULL,
    processes jsonb NOT NULL, PRIMARY KEY(node, time));
CREATE VIEW gomd.by_minute AS
    SELECT m.time, m.node, f.name AS field, m.min, m.mean, m.max
    FROM gomd.minutes m JOIN gomd.fields f ON f.id = m.field;
CREATE VIEW gomd.by_hour AS
    SELECT h.time, h.node, f.name AS field, h.min, h.mean, h.max
    FROM gomd.hours h JOIN gomd.fields f ON f.id = h.field;
CREATE VIEW gomd.measured AS
    SELECT m.time, m.node, f.name AS field, m.value FROM gomd.measures m JOIN gomd.fields f ON f.id = m.field;
CREATE VIEW gomd.busiest AS
    SELECT s.time, s.node, p.pid, p.identity, p."user", p.uid, p.name, p.command, p.job, s.cpu_percent,
        s.cpu_seconds, s.rss, s.vsize, s.threads, s.nice, s.state, s.read_rate, s.write_rate
    FROM gomd.scanned s JOIN gomd.processes p
        ON p.node = s.node AND p.source = s.source AND p.process = s.process
"""

STEPS: Final = (_FIRST.replace("SAMPLE_COLUMNS", _SAMPLE_COLUMNS),)
#: Ends the statement of a table that grows with time.
_PARTITIONED: Final = " PARTITION BY RANGE (time)"
#: What this gomd writes into its table ``version``.
VERSION: Final = len(STEPS)


def upgrade(connection: Connection) -> None:
    """
    Have the tables, all steps in one transaction. Blocks.

    :raises DatabaseUnusable: they are a newer gomd's, or the schema is another program's.
    :raises psycopg.Error: they cannot be made now.
    """
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK,))
        version = _version(connection)
        if version == VERSION:
            return
        if version > VERSION:
            raise DatabaseUnusable(
                f"its tables were made by a newer gomd (version {version}, this gomd knows {VERSION}): "
                "install that gomd on this node too, or name another [history] database"
            )
        if version == 0:
            connection.execute("CREATE SCHEMA IF NOT EXISTS gomd")
            connection.execute("CREATE TABLE gomd.version(version integer NOT NULL)")
            connection.execute("INSERT INTO gomd.version VALUES (0)")
        timescaledb = hypertables.extension_schema(connection) if version == 0 else None
        for step in STEPS[version:]:
            for statement in step.split(";"):
                if timescaledb is not None and statement.endswith(_PARTITIONED):
                    connection.execute(statement.removesuffix(_PARTITIONED))
                    [table] = re.findall(r"CREATE TABLE gomd\.(\w+)", statement)
                    hypertables.make(connection, timescaledb, [table])
                else:
                    connection.execute(statement)
        connection.execute("UPDATE gomd.version SET version = %s", (VERSION,))


def _version(connection: Connection) -> int:
    [there] = connection.execute("SELECT to_regclass('gomd.version') IS NOT NULL").fetchone() or (False,)
    if there:
        found = connection.execute("SELECT version FROM gomd.version").fetchone()
        return int(found[0]) if found else 0
    [others] = connection.execute(
        "SELECT count(*) FROM pg_catalog.pg_tables WHERE schemaname = 'gomd'"
    ).fetchone() or (0,)
    if others:
        raise DatabaseUnusable(
            "it has a schema gomd that is another program's: name another [history] database"
        )
    return 0
