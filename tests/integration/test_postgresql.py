"""The history in a real PostgreSQL: what a collector stores, what is read from it, and what goes wrong."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest
from twisted.trial.unittest import SynchronousTestCase

from gomd.history.postgresql.collected import CollectedHistory
from gomd.history.postgresql.connecting import connector
from gomd.history.postgresql.conninfo import parse_conninfo
from gomd.history.postgresql.reader import DatabaseReader
from gomd.history.sqlite import SqliteHistory
from gomd.interfaces import HistoryPage
from libgomd.errors import NotPossible, SourceUnavailable
from libgomd.wallclock import wall_clock
from tests.doc_blocks import BLOCKS
from tests.integration.collected import CollectedContract, collect_all, store
from tests.integration.daemon import Daemon
from tests.integration.postgresql import PASSWORD, Postgres, needs_postgresql
from tests.integration.test_history import GOM, OFTEN, rows, until
from tests.unit.history.contract import EVENT, NODE, SAMPLE, TABLE

pytestmark = needs_postgresql
_server: list[Postgres] = []


@pytest.fixture(scope="module", autouse=True)
def server() -> Iterator[Postgres]:
    """One server for all tests here."""
    found = Postgres()
    _server.append(found)
    yield found
    _server.clear()
    found.close()


class DatabaseTests(CollectedContract, SynchronousTestCase):
    """The contract with PostgreSQL's own partitions."""

    def setUp(self) -> None:
        [self.server] = _server
        super().setUp()


class FaultTests(SynchronousTestCase):
    """What goes wrong in a database costs delay, and one sentence."""

    def setUp(self) -> None:
        [self.server] = _server
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

    def test_a_server_that_stops_between_and_while(self) -> None:
        """The page is stored once, when the server is back; a day's worth of pages likewise."""
        self.write(0, 3000)
        self.log.close()
        [cursor] = self.collected.lease([7], "own").values()
        page = self.log.reader.page(cursor, "own")
        self.server.stop("immediate")
        self.assertIn("the database cannot be used now", self.refusal(
            lambda: store(self.collected, 7, "own", cursor, page)
        ))  # fmt: skip
        self.assertIn("cannot be used now", self.refusal(lambda: self.collected.lease([7], "own")))
        self.server.start()
        self.assertEqual(self.collected.lease([7], "own"), {7: ""})
        collect_all(self.collected, self.log.reader)
        self.assertEqual(
            (self.count("samples"), self.count("scans"), self.count("scanned")), (3000, 600, 1200)
        )
        [[least, most]] = self.server.sql("SELECT min(load), max(load) FROM gomd.samples")
        self.assertEqual((least, most), ("0", "2999"))
        self.assertGreater(self.count("by_minute"), 1000)
        self.assertGreater(self.count("by_hour"), 20)

    def test_what_history_md_asks_in_sql(self) -> None:
        """Each statement of docs/history.md is answered; Grafana puts expressions for its variables."""
        self.write(0, 10)
        self.log.close()
        collect_all(self.collected, self.log.reader)
        written = [block.text for block in BLOCKS if block.language == "postgresql"]
        [text] = [each for each in written if "timescaledb" not in each]
        for macro, sql in (
            (r"\$__timeGroup\(([\w.]+), \$__interval\)", r"date_trunc('minute', \1)"),
            (r"\$__timeFilter\(([\w.]+)\)", r"\1 > now() - interval '1 day'"),
        ):
            text = re.sub(macro, sql, text)
        statements = [each for each in re.sub("--.*", "", text).split(";") if each.strip()]
        self.assertEqual(len(statements), 3)
        for statement in statements:
            self.server.sql(statement)
        self.assertTrue(self.server.sql(statements[-1]))

    def test_two_collectors(self) -> None:
        """The second gets no lease while the first is there, and stores nothing; afterwards it goes on."""
        self.write(0, 100)
        self.log.close()
        other = self.make(own_id=8)
        self.assertEqual(self.collected.lease([7, 9], "own"), {7: "", 9: ""})
        self.assertEqual(other.lease([7, 9, 10], "own"), {10: ""})
        page = self.log.reader.page("", "own")
        self.assertIsNone(store(other, 7, "own", "", page))
        self.assertIsNotNone(store(self.collected, 7, "own", "", page))
        self.assertIsNone(store(self.collected, 7, "own", "", page), "it is stored already")
        self.server.sql("UPDATE gomd.cursors SET lease = now() - interval '1 second'")
        self.assertEqual(other.lease([7], "own"), {7: page.cursor})
        self.assertIsNone(store(self.collected, 7, "own", page.cursor, page))
        self.assertEqual(self.count("samples"), 100)

    def test_rows_that_are_there_already(self) -> None:
        """Somebody has emptied the table of cursors: everything comes again, and nothing is doubled."""
        self.write(0, 100)
        self.log.write_event(replace(EVENT, time=self.start), False)
        self.log.close()
        collect_all(self.collected, self.log.reader)
        before = self.counts("samples", "scanned", "processes", "events")
        self.server.sql("TRUNCATE gomd.cursors")
        collect_all(self.collected, self.log.reader)
        self.assertEqual(
            [self.count(table) for table in ("samples", "scanned", "processes", "events")], before
        )
        self.assertEqual(before, [100, 40, 2, 1])

    def test_a_partition_is_missing(self) -> None:
        """One that somebody has dropped or detached is made again when rows for it come."""
        self.write(0, 10)
        self.collected.lease([7], "own")
        time.sleep(0.01)
        reader = self.log.reader
        until(lambda: reader.page("", "own").lines)
        page = reader.page("", "own")
        self.assertIsNotNone(store(self.collected, 7, "own", "", page))
        for (name,) in self.server.sql(
            "SELECT relname FROM pg_class WHERE relname LIKE 'samples\\_2%' AND relkind = 'r'"
        ):
            self.server.sql(f"DROP TABLE gomd.{name}")
        for (name,) in self.server.sql(
            "SELECT relname FROM pg_class WHERE relname LIKE 'scans\\_2%' AND relkind = 'r'"
        ):
            self.server.sql(f"ALTER TABLE gomd.scans DETACH PARTITION gomd.{name}")
        self.write(10, 20)
        self.log.close()
        cursor = page.cursor
        while True:
            page = reader.page(cursor, "own")
            self.assertIsNotNone(store(self.collected, 7, "own", cursor, page))
            cursor = page.cursor
            if not page.more:
                break
        [[newest]] = self.server.sql("SELECT max(load) FROM gomd.samples")
        self.assertEqual(newest, "19")
        self.assertGreaterEqual(self.count("scans"), 2)

    def test_a_full_disk_of_the_server(self) -> None:
        """The server says so (here a trigger does), nothing of the page is stored, and it comes later."""
        self.write(0, 10)
        self.log.close()
        self.collected.lease([7], "own")
        self.server.sql(
            "CREATE FUNCTION gomd.full() RETURNS trigger LANGUAGE plpgsql AS "
            "$$BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = '53100'; END$$; "
            "CREATE TRIGGER full_disk BEFORE INSERT ON gomd.processes EXECUTE FUNCTION gomd.full()"
        )
        page = self.log.reader.page("", "own")
        said = self.refusal(lambda: store(self.collected, 7, "own", "", page))
        self.assertIn("its disk is full", said)
        self.assertEqual((self.count("samples"), self.count("scans")), (0, 0))
        self.server.sql("DROP TRIGGER full_disk ON gomd.processes")
        self.assertEqual(self.collected.lease([7], "own"), {7: ""})
        self.assertIsNotNone(store(self.collected, 7, "own", "", page))
        self.assertEqual(self.count("samples"), 10)

    def test_a_wrong_password_and_how_it_is_given(self) -> None:
        """A file of mode 0600 is read; another mode, owner or password is refused, and never shown."""
        file = self.parent / "password"
        file.write_text(f"{PASSWORD}\n")
        file.chmod(0o600)
        self.server.sql("GRANT ALL ON DATABASE gomd TO secret")
        secret = self.server.database.replace("user=gomd", "user=secret")
        self.assertEqual(self.make(database=secret, password_file=str(file)).lease([], "own"), {})
        file.write_text("hunter2\n")
        wrong = self.make(database=secret, password_file=str(file))
        said = self.refusal(lambda: wrong.lease([], "own"))
        self.assertIn("password authentication failed", said)
        self.assertNotIn("hunter2", said)
        file.chmod(0o640)
        self.assertIn("others may use it", self.refusal(lambda: wrong.lease([], "own")))
        os.environ["PGPASSWORD"] = PASSWORD
        self.addCleanup(os.environ.pop, "PGPASSWORD")
        none = self.make(database=secret)
        self.assertIn("password", self.refusal(lambda: none.lease([], "own")))

    def test_tables_of_a_newer_gomd(self) -> None:
        """They are left as they are, and the sentence says what to do."""
        self.collected.lease([7], "own")
        self.server.sql("UPDATE gomd.version SET version = 1000")
        error = self.assertRaises(NotPossible, self.make().lease, [7], "own")
        self.assertIn("newer gomd", str(error))
        self.server.clear()
        self.server.sql("CREATE SCHEMA gomd AUTHORIZATION gomd; CREATE TABLE gomd.mine(x int)")
        error = self.assertRaises(NotPossible, self.make().lease, [7], "own")
        self.assertIn("another program's", str(error))

    def test_old_partitions_go_although_somebody_reads(self) -> None:
        """One in which a reader holds a transaction stays until the next time; nothing waits for it."""
        self.write(0, 10)
        self.log.close()
        collect_all(self.collected, self.log.reader)
        for table in ("samples", "scans"):
            self.server.sql(
                f"CREATE TABLE gomd.{table}_20200101 PARTITION OF gomd.{table} "
                "FOR VALUES FROM ('2020-01-01 00:00+00') TO ('2020-01-02 00:00+00')"
            )
        held = subprocess.Popen(
            ["psql", "-h", str(self.server.directory), "-U", "boss", "-d", "gomd", "-q"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        try:
            assert held.stdin is not None
            assert held.stdout is not None
            held.stdin.write(b"BEGIN; SELECT count(*) FROM gomd.samples; \\echo held\n")
            held.stdin.flush()
            while b"held" not in held.stdout.readline():
                pass
            self.assertEqual(self.collected.expire(), 1)
            later = self.make()
            self.assertIsNotNone(later.lease([9], "own"))
        finally:
            held.kill()
            held.wait()
            held.communicate()
        until(lambda: self.collected.expire() == 1)
        self.assertEqual(self.count("samples"), 10)

    def test_what_another_machine_must_not_say(self) -> None:
        """Rows that are none, of far times and of other nodes are left out; the others of the page stay."""
        now = wall_clock()
        lines = [
            "no json", "[]", '{"kind":"samples"}', '{"kind":"nobody","rows":[]}',
            json.dumps({"kind": "samples", "fields": ["load", "x\0y"], "rows": [
                [now, 1, 2], [now + 1, "2", 3], [now + 4e8, 1, 2], [1e300, 1, 2], [None, 1, 2], [now], 7,
                [now + 2, 3, None],
            ]}),
            json.dumps({"kind": "jobs", "rows": [
                [9, 1, now, 9, 1, "a", 1, "running", None, "c", None, "", 0, ""]
            ]}),
            json.dumps({"kind": "remembered", "rows": [[9, now, 0, []]]}),
            json.dumps({"kind": "marks", "rows": [[now, "nul \0 and half \ud800"]]}),
            json.dumps({"kind": "events", "rows": [[now, "down", 9, "", "", 7, None, None, None, None, 0]]}),
        ]  # fmt: skip
        self.collected.lease([7], "own")
        self.assertEqual(store(self.collected, 7, "own", "", HistoryPage("f.1", False, lines)), 4)
        self.assertEqual(
            (self.count("samples"), self.count("measures"), self.count("jobs"), self.count("marks")),
            (2, 1, 0, 1),
        )

    def test_events_of_another_gomd(self) -> None:
        """Those of a kind that is not known here are not shown; a kind too long for an index is left out."""
        now = wall_clock()
        rows = [
            [now, kind, 7, "alpha", "why", 7, None, None, None, None, 0]
            for kind in ("down", "conquered", os.urandom(2000).hex())
        ]
        marks = {"kind": "marks", "rows": [[now, os.urandom(2000).hex()]]}
        lines = [json.dumps({"kind": "events", "rows": rows}), json.dumps(marks)]
        self.collected.lease([7], "own")
        self.assertEqual(store(self.collected, 7, "own", "", HistoryPage("f.1", False, lines)), 2)
        reader = DatabaseReader(7, 60.0, connector(parse_conninfo(self.server.database), ""))
        self.assertEqual([each.event.kind.value for each in reader.events(now - 1, now + 1)], ["down"])


def collecting(server: Postgres, *more: str) -> str:
    """Return the part of gomd.ini that makes a node a collector."""
    settings = "\n".join((f"database = {server.database}", *more))
    return f"[history]\nkind = postgresql\n{settings}\n[collector]\nperiod = 0.5\nprocesses_period = 0.5\n"


@pytest.fixture
def cluster(tmp_path: Path, server: Postgres) -> Iterator[list[Daemon]]:
    """Three nodes; the first two collect."""
    server.clear()
    key = tmp_path / "key"
    subprocess.run([GOM, "key", "new", str(key)], check=True, capture_output=True)
    started: list[Daemon] = []
    try:
        seeds = ""
        for number in (1, 2, 3):
            daemon = Daemon(
                tmp_path / f"n{number}", "--node-id", str(number), "--name", f"n{number}",
                "--key-file", str(key), *(("--seeds", seeds) if seeds else ()),
                ini=collecting(server) if number < 3 else OFTEN,
            ).start()  # fmt: skip
            started.append(daemon)
            if not seeds:
                ports = daemon.wait_for(r"PeerProtocol starting on (\d+)")
                seeds = f"127.0.0.1:{ports[1]}"
        yield started
    finally:
        for daemon in started:
            daemon.end()


def newest(server: Postgres, node: int) -> float:
    """Return the time of the newest sample of a node in the database."""
    try:
        found = server.sql(
            f"SELECT coalesce(extract(epoch FROM max(time)), 0) FROM gomd.samples WHERE node = {node}"
        )
    except AssertionError:
        return 0.0  # there are no tables yet, or no server
    return float(found[0][0])


def test_two_collectors_and_a_server_that_is_away(cluster: list[Daemon], server: Postgres) -> None:
    """
    Every node's past is there once. A stop in mid-write costs delay only, and nothing comes twice. Nobody but
    daemons may collect.

    Of a dead node the collector answers with all values, down to a second, and with all processes.
    """
    first, _second, third = cluster
    with first.connect_unix() as line:  # not root on the unix socket, and not through another node
        assert line.ask("collect -").code == 403
        assert line.ask("@3 collect -").code == 405
    until(lambda: all(newest(server, node) for node in (1, 2, 3)))
    server.stop("immediate")
    stopped = wall_clock()
    assert rows(first, "history", "1", "load", "--since", "1m")
    assert rows(first, "history", "3", "load", "--since", "1m")
    first.wait_for("the history is not collected now: the database cannot be used now")
    server.start()
    until(lambda: all(newest(server, node) > stopped for node in (1, 2, 3)))
    [[twice]] = server.sql(
        "SELECT count(*) FROM (SELECT 1 FROM gomd.scanned GROUP BY time, node, process HAVING count(*) > 1) t"
    )
    assert twice == "0"
    gaps = server.sql(
        "SELECT max(gap) FROM (SELECT extract(epoch FROM time - lag(time) "
        "OVER (PARTITION BY node ORDER BY time)) AS gap FROM gomd.samples) t"
    )
    assert float(gaps[0][0]) < 10.0, "what was written while the server was away is there too"
    assert server.sql("SELECT DISTINCT collector FROM gomd.cursors WHERE stream = 'own'")
    third.signal(signal.SIGKILL)
    until(lambda: not next(row for row in rows(first, "nodes") if row["id"] == 3)["up"])
    until(lambda: newest(server, 3) > wall_clock() - 60)
    values = rows(first, "history", "3", "load,runnable", "--since", "5m", "--points", "300")
    assert {row["field"] for row in values} == {"load", "runnable"}
    found = rows(first, "@3", "ps", "--at", "10s")
    assert len(found) > 20
    assert {row["node"] for row in found} == {3}
