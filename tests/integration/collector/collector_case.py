"""A history that a collector stores in the database, for tests of what becomes of it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest
from twisted.trial.unittest import SynchronousTestCase

from gomd.history.postgresql.collected import CollectedHistory
from gomd.history.postgresql.connecting import connector
from gomd.history.postgresql.conninfo import parse_conninfo
from gomd.history.sqlite import SqliteHistory
from libgomd.errors import SourceUnavailable
from libgomd.wallclock import wall_clock
from tests.integration.postgresql import Postgres
from tests.unit.history.contract import NODE, SAMPLE, TABLE


class WithServer(SynchronousTestCase):
    """A test that has the server from before `setUp`."""

    server: Postgres

    @pytest.fixture(autouse=True)
    def _has_server(self, server: Postgres) -> None:
        self.server = server


class CollectorCase(WithServer):
    """A history of the last hour, node 7's, and the way of one collector to the database."""

    def setUp(self) -> None:
        self.server.clear()
        self.parent = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.parent)
        self.start = wall_clock() - 3600
        ticks = count()
        self.log = SqliteHistory(
            str(self.parent / "state" / "history.sqlite"), 7, 1 << 26, wall_clock,
            monotonic=lambda: float(next(ticks)),
        )  # fmt: skip
        self.addCleanup(self.log.close)
        self.collected = self.make()

    def make(self, own_id: int = 7, database: str = "", password_file: str = "") -> CollectedHistory:
        """Return one collector's way to the database."""
        connect = connector(parse_conninfo(database or self.server.database), password_file)
        made = CollectedHistory(own_id, connect, wall_clock)
        self.addCleanup(made.close)
        return made

    def write(self, first: int, last: int) -> None:
        """Write a sample a second, of the last hour."""
        for at in range(first, last):
            self.log.write(replace(NODE, load=at), replace(SAMPLE, taken_at=self.start + at))
            if at % 5 == 0:
                self.log.write_processes(NODE, replace(TABLE, taken_at=self.start + at), False, frozenset())

    def count(self, table: str) -> int:
        [[found]] = self.server.sql(f"SELECT count(*) FROM gomd.{table}")
        return int(found)

    def counts(self, *tables: str) -> list[int]:
        return [self.count(table) for table in tables]

    def refusal(self, work: Callable[[], object]) -> str:
        """Return the sentence with which something is refused for now."""
        return str(self.assertRaises(SourceUnavailable, work))
