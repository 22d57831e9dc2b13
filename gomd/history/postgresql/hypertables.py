"""
TimescaleDB, where the database has it: hypertables take the place of partitions by day. Everything blocks.

Only what its Apache edition has is used: a chunk for each day, and chunks that are dropped as a whole.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from psycopg import sql

from gomd.history.postgresql.connecting import Connection

#: What PostgreSQL calls a table that is divided by its own means (`pg_class.relkind`).
_PARTITIONED: Final = "p"


def extension_schema(connection: Connection) -> str | None:
    """Return the schema with TimescaleDB's functions; None when this database does not have the extension."""
    found = connection.execute(
        "SELECT n.nspname FROM pg_catalog.pg_extension e "
        "JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'timescaledb'"
    ).fetchone()
    return None if found is None else str(found[0])


def make(connection: Connection, schema: str, tables: Iterable[str]) -> None:
    """Make hypertables of empty tables of gomd's. :param schema: as `extension_schema` returns it."""
    for table in tables:
        connection.execute(
            sql.SQL(
                "SELECT {}(%s::regclass, 'time'::name, chunk_time_interval => interval '1 day', "
                "create_default_indexes => false)"
            ).format(sql.Identifier(schema, "create_hypertable")),
            (f"gomd.{table}",),
        )


def is_partitioned(connection: Connection, table: str) -> bool:
    """Return whether a table of gomd's has partitions of PostgreSQL's own, which gomd makes and drops."""
    found = connection.execute(
        "SELECT c.relkind::text FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n "
        "ON n.oid = c.relnamespace WHERE n.nspname = 'gomd' AND c.relname = %s",
        (table,),
    ).fetchone()
    return found is not None and found[0] == _PARTITIONED


def drop_old_chunks(connection: Connection, schema: str, table: str, before: float) -> int:
    """
    Drop the chunks all of whose rows are older than a time; return how many.

    :raises psycopg.errors.LockNotAvailable: somebody reads one of them.
    """
    with connection.transaction():
        connection.execute("SET LOCAL lock_timeout = '1s'")
        return connection.execute(
            sql.SQL("SELECT {}(%s::regclass, older_than => to_timestamp(%s))").format(
                sql.Identifier(schema, "drop_chunks")
            ),
            (f"gomd.{table}", before),
        ).rowcount


def is_hypertable(connection: Connection, table: str) -> bool:
    """Return whether a table of gomd's is a hypertable. The extension has to be there."""
    found = connection.execute(
        "SELECT 1 FROM timescaledb_information.hypertables "
        "WHERE hypertable_schema = 'gomd' AND hypertable_name = %s",
        (table,),
    ).fetchone()
    return found is not None
