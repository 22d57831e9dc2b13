"""The size of the database: it has a limit, and what is old goes."""

from __future__ import annotations

from dataclasses import replace

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
