"""The size of the database: it has a limit, and what is old goes."""

from __future__ import annotations

import sqlite3
from dataclasses import replace

from gomd.history.sqlite.expiry_times import ExpiryTimes
from gomd.history.sqlite.retention import Retention
from libgomd.model import ProcessTable
from tests.unit.history.contract import EVENT, NODE, OTHER, TABLE, process, write_samples
from tests.unit.history.sqlite_case import SqliteCase


class SizeTests(SqliteCase):
    """The oldest rows go first, and nothing that is new."""

    def test_the_size_has_a_limit_and_the_oldest_goes(self) -> None:
        """A file that would become too large loses its oldest rows, and nothing that is new."""
        for _chunk in range(20):
            log = self.make(max_bytes=1 << 20)
            for at in range(50):
                self.now += 5.0
                begun = (process(each, at / 7, f"{'x' * 200}", started=int(self.now)) for each in range(20))
                log.write_processes(NODE, ProcessTable(self.now, tuple(begun)), False, frozenset())
            log.close()
            self.assertLessEqual(self.path.stat().st_size, 1 << 20)
            self.assertEqual(self.counter(log, "history_lost"), 0)
        then = log.reader.processes_at(7, self.now)
        assert then is not None
        self.assertEqual(len(then.processes), 20)

    def test_many_other_nodes_do_not_push_out_the_past_of_this_one(self) -> None:
        """In a large cluster the rows of other nodes are shortened first."""
        others = [replace(OTHER, id=100 + at, name=f"node{at}") for at in range(200)]
        for _chunk in range(20):
            log = self.make(max_bytes=1 << 20)
            write_samples(log, self.now, 60)
            for _minute in range(5):
                self.now += 60.0
                log.write_nodes([NODE, *others], self.now)
            log.close()
            self.assertEqual(self.counter(log, "history_lost"), 0)
        rows = log.reader.values(7, ["load"], 1_700_000_000.0, 1_700_000_060.0, 1)
        self.assertEqual([row.max for row in rows], [59])
        self.assertEqual(self.counter(log, "history_kept"), 1.0)
        self.assertLessEqual(self.path.stat().st_size, 1 << 20)
        self.assertTrue(log.reader.values(150, ["load"], self.now - 600, self.now, 1))

    def test_a_smaller_limit_gives_the_disk_back(self) -> None:
        """The oldest rows go, and the file becomes smaller, not only emptier."""
        log = self.make()
        for each in range(1000):
            log.write_event(replace(EVENT, time=self.now - 3600 * each, reason="x" * 4000), False)
        log.close()
        before = self.path.stat().st_size
        log = self.make(max_bytes=1 << 20)
        for _hour in range(4):
            self.now += 1.0
            write_samples(log, self.now, 700)
        log.close()
        self.assertGreater(before, 4_000_000)
        self.assertLess(self.path.stat().st_size, 2_000_000)
        self.assertEqual(self.counter(log, "history_lost"), 0)

    def test_what_is_old_is_removed(self) -> None:
        """Seconds after a day, processes after three; minutes stay."""
        log = self.make()
        write_samples(log, 1_699_999_200.0, 1500)
        log.write_processes(NODE, TABLE, False, frozenset())
        log.write_processes(NODE, ProcessTable(1_700_000_700.0, ()), False, frozenset())
        log.close()
        self.now += 4 * 86400.0
        log = self.make()
        for at in range(1500):
            log.write_event(replace(EVENT, time=self.now + at), False)
        log.close()
        self.assertEqual(self.query("SELECT count(*) FROM seconds"), [(0,)])
        self.assertEqual(self.query("SELECT count(*) FROM processes"), [(0,)])
        rows = log.reader.values(7, ["load"], 1_699_999_200.0, 1_699_999_800.0, 10)
        self.assertEqual(len(rows), 10)

    def test_a_clock_far_behind_does_not_empty_a_full_file(self) -> None:
        """A machine that boots in 1970 with a full file has its past when its clock is right again."""
        log = self.make(max_bytes=1 << 20)
        for each in range(150):
            log.write_event(replace(EVENT, time=self.now - 10 * (150 - each), reason="x" * 4000), False)
        log.close()
        kept = self.query("SELECT count(*) FROM events WHERE time > 1000000000")[0][0]
        right, self.now = self.now, 1000.0
        log = self.make(max_bytes=1 << 20)
        for each in range(200):
            log.write_event(replace(EVENT, time=self.now, reason="y" * 4000), False)
            if each == 150:
                self.now = right
        log.close()
        self.assertEqual(self.counter(log, "history_kept"), 1.0)
        self.assertEqual(
            self.query("SELECT count(*) FROM events WHERE time > 1000000000")[0][0] >= kept, True
        )
        self.assertLessEqual(self.path.stat().st_size, 1 << 20)

    def test_a_full_file_is_thinned_by_a_clock_that_goes_steadily(self) -> None:
        """A clock that is set wrong for a moment, a year ahead or to 1970, makes no room at once."""
        start = 1_700_000_000.0
        for step in (365 * 86400.0, -start):
            times = ExpiryTimes(100.0)
            self.assertEqual(times.trusted(100.0, start), start)
            self.assertFalse(times.is_time(110.0, start + 10.0))
            self.assertEqual(times.trusted(120.0, start + 20.0 + step), start + 20.0)
            self.assertEqual(times.trusted(700.0, start + 600.0 + step), start + 600.0)
            self.assertEqual(times.trusted(721.0, start + 621.0 + step), start + 621.0 + step)
            self.assertEqual(times.trusted(730.0, start + 630.0), start + 630.0 + step)

    def test_after_a_burst_the_times_come_back(self) -> None:
        """Within hours: what made them short is gone, and the file has room."""
        log = self.make()
        write_samples(log, self.now, 10)
        log.close()
        connection = sqlite3.connect(self.path, isolation_level=None)
        self.addCleanup(connection.close)
        retention = Retention(1 << 24)
        retention.factor = retention.others = 0.001
        for _hour in range(3):
            retention.expire(connection, self.now + 10.0, 7)
        self.assertEqual((retention.factor, retention.others), (1.0, 1.0))
