"""The history in a PostgreSQL with TimescaleDB; skipped where that is not installed, as on plain Debian."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from twisted.trial.unittest import SynchronousTestCase

from gomd.history.postgresql.collected import CollectedHistory
from gomd.history.postgresql.connecting import connector
from gomd.history.postgresql.conninfo import parse_conninfo
from libgomd.wallclock import wall_clock
from tests.integration.collected import CollectedContract, Collecting
from tests.integration.postgresql import Postgres, has_timescaledb, needs_postgresql
from tests.unit.history.contract import NODE, SAMPLE

pytestmark = [
    needs_postgresql,
    pytest.mark.skipif(not has_timescaledb(), reason="this machine's PostgreSQL has no TimescaleDB"),
]
_server: list[Postgres] = []
GROWING = ["measures", "minutes", "nodes", "samples", "scanned", "scans"]


@pytest.fixture(scope="module", autouse=True)
def server() -> Iterator[Postgres]:
    """One server for all tests here; its database has the extension before gomd comes."""
    found = Postgres("shared_preload_libraries = 'timescaledb'\ntimescaledb.telemetry_level = off\n")
    found.sql("CREATE EXTENSION timescaledb")
    _server.append(found)
    yield found
    _server.clear()
    found.close()


class HypertableTests(CollectedContract, SynchronousTestCase):
    """The contract with hypertables, and what differs from partitions."""

    def setUp(self) -> None:
        [self.server] = _server
        super().setUp()

    def hypertables(self) -> list[str]:
        return [
            name
            for (name,) in self.server.sql(
                "SELECT hypertable_name FROM timescaledb_information.hypertables "
                "WHERE hypertable_schema = 'gomd' ORDER BY 1"
            )
        ]

    def chunks(self, table: str) -> int:
        [[found]] = self.server.sql(
            f"SELECT count(*) FROM timescaledb_information.chunks WHERE hypertable_name = '{table}'"
        )
        return int(found)

    def test_old_chunks_are_dropped(self) -> None:
        """A day that is too old goes as a whole; rows of today stay."""
        self.now = wall_clock()
        connect = connector(parse_conninfo(self.server.database), "")
        collected = CollectedHistory(7, connect, lambda: self.now)
        self.addCleanup(collected.close)
        collected.lease([], "own")
        self.assertEqual(self.hypertables(), GROWING)
        log = Collecting(
            collected, str(self.parent / "state" / "history.sqlite"), 7, 1 << 26, lambda: self.now
        )  # fmt: skip
        log.write(NODE, SAMPLE)
        log.close()
        self.server.sql(
            "INSERT INTO gomd.samples(time, node) VALUES (now() - interval '5 days', 9), (now(), 9)"
        )
        before = self.chunks("samples")
        self.assertGreaterEqual(before, 2)
        self.assertGreaterEqual(collected.expire(), 1)
        self.assertLess(self.chunks("samples"), before)
        [[left]] = self.server.sql("SELECT count(*) FROM gomd.samples WHERE node = 9")
        self.assertEqual(left, "1")
        self.assertEqual(collected.expire(), 0)

    def test_tables_that_were_there_before_stay_partitions(self) -> None:
        """An extension that comes later changes nothing: rows are stored and dropped as before."""
        self.server.sql("DROP EXTENSION timescaledb CASCADE")
        try:
            connect = connector(parse_conninfo(self.server.database), "")
            collected = CollectedHistory(7, connect, wall_clock)
            self.addCleanup(collected.close)
            collected.lease([], "own")
        finally:
            self.server.sql("CREATE EXTENSION timescaledb")
        self.assertEqual(self.hypertables(), [])
        self.assertIsNotNone(collected.lease([8], "own"))
        self.assertEqual(collected.expire(), 0)
