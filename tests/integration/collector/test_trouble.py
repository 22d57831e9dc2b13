"""What goes wrong in a database costs delay, and one sentence."""

from __future__ import annotations

import os
import subprocess
import time

from libgomd.errors import NotPossible
from tests.integration.collected import collect_all, store
from tests.integration.collector.collector_case import CollectorCase
from tests.integration.postgresql import PASSWORD, needs_postgresql
from tests.integration.test_history import until

pytestmark = needs_postgresql


class TroubleTests(CollectorCase):
    """The server, its disk, its passwords and its tables."""

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
