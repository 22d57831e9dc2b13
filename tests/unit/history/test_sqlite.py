"""The database: what was written is found again, by its readers and by people's own SQL."""

from __future__ import annotations

import os
import sqlite3
import stat
from dataclasses import replace

from gomd.interfaces import IHistory, ISampleLog
from libgomd.model import Measure, ProcessTable
from tests.unit.history.contract import (
    EVENT,
    JOB,
    NODE,
    SAMPLE,
    TABLE,
    HistoryContract,
    SampleLogContract,
    process,
    write_samples,
)
from tests.unit.history.sqlite_case import SqliteCase


class SqliteTests(SampleLogContract, HistoryContract, SqliteCase):
    """`kind = sqlite`. What was written is there when the writer has closed."""

    def make_log(self) -> ISampleLog:
        return self.make()

    def make_history(self) -> tuple[ISampleLog, IHistory]:
        log = self.make()
        return log, log.reader

    def test_nobody_else_can_read_it(self) -> None:
        """The directory is 0700, the files 0600, whatever the umask."""
        self.addCleanup(os.umask, os.umask(0))
        log = self.make()
        log.write(NODE, SAMPLE)
        log.close()
        for path, mode in ((self.path.parent, 0o700), (self.path, 0o600)):
            self.assertEqual(stat.S_IMODE(path.stat().st_mode), mode)

    def test_seconds_become_blocks_minutes_and_hours(self) -> None:
        """After ten minutes the rows are small blocks, and people's own SQL finds minutes and hours."""
        log = self.make()
        write_samples(log, 1_699_999_200.0, 1500)
        log.close()
        self.assertLess(self.query("SELECT count(*) FROM recent")[0][0], 600)
        [(least, mean, most)] = self.query(
            "SELECT min, mean, max FROM by_minute WHERE field = 'load' AND time = 1699999260"
        )
        self.assertEqual((least, mean, most), (60.0, 89.5, 119.0))
        self.assertTrue(self.query("SELECT * FROM by_hour WHERE field = 'mem'"))
        rows = log.reader.values(7, ["load"], 1_699_999_200.0, 1_700_000_700.0, 1500)
        self.assertEqual([row.mean for row in rows], [float(at) for at in range(1500)])
        rows = log.reader.values(7, ["load"], 1_699_999_200.0, 1_700_000_700.0, 25)
        self.assertEqual([row.mean for row in rows], [59 / 2 + 60 * at for at in range(25)])

    def test_samples_and_measures_of_one_moment_have_blocks_of_their_own(self) -> None:
        """A block of measures, with fewer rows, that begins with one of samples takes nothing from it."""
        log = self.make()
        for at in range(1500):
            log.write(replace(NODE, load=at), replace(SAMPLE, taken_at=1_699_999_200.0 + at))
            if at % 15 == 0:
                log.write_measures([Measure("open_files", float(at), kept=True)], 1_699_999_200.0 + at)
        log.close()
        self.assertGreater(self.query("SELECT count(*) FROM seconds")[0][0], 0)
        rows = log.reader.values(7, ["load"], 1_699_999_200.0, 1_700_000_700.0, 1500)
        self.assertEqual([row.mean for row in rows], [float(at) for at in range(1500)])
        rows = log.reader.values(7, ["open_files"], 1_699_999_200.0, 1_700_000_700.0, 1500)
        self.assertEqual([row.mean for row in rows], [float(at) for at in range(0, 1500, 15)])

    def test_scans_become_blocks(self) -> None:
        """A process is found in any of hundreds of scans."""
        log = self.make()
        for at in range(300):
            table = ProcessTable(1_000_000.0 + 5 * at, (process(10, float(at)), process(100 + at, None)))
            log.write_processes(NODE, table, False, frozenset())
        log.close()
        self.assertLess(self.query("SELECT count(*) FROM recent_scans")[0][0], 120)
        for at in (0, 119, 120, 250, 299):
            then = log.reader.processes_at(7, 1_000_000.0 + 5 * at + 1)
            assert then is not None
            self.assertEqual([(each.pid, each.cpu_percent) for each in then.processes],
                             [(10, float(at)), (100 + at, None)])  # fmt: skip

    def test_the_largest_process_is_kept_beside_the_busiest(self) -> None:
        """What eats memory without processor time is found among hundreds of busy ones."""
        log = self.make()
        busy = [process(each, 50.0) for each in range(100, 400)]
        table = ProcessTable(1_000_000.0, (*busy, process(999, 0.0, "eater", rss=1 << 33)))
        log.write_processes(NODE, table, False, frozenset())
        log.close()
        then = log.reader.processes_at(7, 1_000_001.0)
        assert then is not None
        self.assertEqual(len(then.processes), 301)
        self.assertEqual([each.rss for each in then.processes if each.pid == 999], [1 << 33])
        self.assertEqual(sum(each.rss is not None for each in then.processes), 50)

    def test_a_process_has_its_birth_and_its_end(self) -> None:
        """Also one that ended while no daemon ran; its row keeps its identity, and its new command."""
        log = self.make()
        log.write_processes(NODE, TABLE, False, frozenset())
        changed = process(11, 9.0, "exec -y", cpu_seconds=7.0)
        log.write_processes(NODE, ProcessTable(1_700_000_006.0, (changed,)), False, frozenset())
        ending = replace(changed, command="[exec]", state="Z")
        log.write_processes(NODE, ProcessTable(1_700_000_006.0, (ending,)), False, frozenset())
        log.close()
        log = self.make()
        log.write_processes(NODE, ProcessTable(1_700_009_000.0, (process(12, 1.0),)), False, frozenset())
        log.close()
        self.assertEqual(
            self.query("SELECT pid, command, first_seen, ended FROM processes ORDER BY pid"),
            [
                (10, "sleep 1", 1_700_000_001.0, 1_700_000_006.0),
                (11, "exec -y", 1_700_000_001.0, 1_700_000_006.001),
                (12, "sleep 1", 1_700_009_000.0, None),
            ],
        )  # fmt: skip

    def test_a_process_that_is_known_to_be_of_a_job_later(self) -> None:
        """As after a restart, when jobs are found again behind the first scan."""
        log = self.make()
        identities = frozenset(each.identity for each in TABLE.processes)
        log.write_processes(NODE, TABLE, False, frozenset())
        log.write_processes(NODE, replace(TABLE, taken_at=1_700_000_006.0), False, identities)
        log.close()
        then = log.reader.processes_at(7, 1_700_000_007.0)
        assert then is not None
        self.assertEqual(then.in_jobs, identities)

    def test_jobs_and_marks_are_there_for_sql(self) -> None:
        """As they were last."""
        log = self.make()
        log.write_jobs([JOB], 1.0)
        log.write_jobs([replace(JOB, exit=0, ended=1_700_000_009.0)], 2.0)
        log.checkpoint("here", 3.0)
        log.close()
        self.assertEqual(self.query("SELECT job, exit, user FROM jobs"), [(3, 0, "alice")])
        self.assertEqual(self.query("SELECT time, name FROM marks"), [(3.0, "here")])

    def test_a_clock_that_comes_to_the_same_time_again(self) -> None:
        """Blocks that begin at the same moment stand side by side, and minutes have both times."""
        start = 1_699_999_200.0
        for first in (0, 5000):
            log = self.make()
            for at in range(700):
                log.write(replace(NODE, load=first + at), replace(SAMPLE, taken_at=start + at))
            log.close()
            log = self.make()
            write_samples(log, start - 50_000, 700)
            log.close()
        [row] = log.reader.values(7, ["load"], start, start + 600, 1)
        self.assertEqual((row.min, row.max), (0, 5599))
        [(least, most)] = self.query(
            "SELECT min, max FROM by_minute WHERE field = 'load' AND time = 1699999260"
        )
        self.assertEqual((least, most), (60, 5119))
        [(blocks,)] = self.query("SELECT count(*) FROM seconds WHERE field < 0")
        self.assertEqual(blocks, self.query("SELECT count(*) FROM blocks")[0][0])

    def test_events_of_a_newer_gomd(self) -> None:
        """After a downgrade those of a kind that is not known are not shown; the others are."""
        log = self.make()
        log.write_event(EVENT, False)
        log.close()
        other = sqlite3.connect(self.path)
        columns = "time, kind, node, name, reason, by, uid, seconds, stopped_seconds, bytes, hidden"
        other.execute(
            f"INSERT INTO events(id, {columns}) SELECT id + 1000000, "
            f"{columns.replace('kind', repr('conquered'), 1)} FROM events"
        )
        other.commit()
        other.close()
        found = log.reader.events(EVENT.time - 1, EVENT.time + 1)
        self.assertEqual([each.event for each in found], [EVENT])

    def test_a_process_that_changes_its_user(self) -> None:
        """What it did before stays the user's of then, also when the daemon was started anew meanwhile."""
        root = process(10, 1.0, "login secret", uid=0, user="root", read_rate=5.0, write_rate=1.0)
        alice = replace(root, uid=1000, user="alice", command="sh", read_rate=2.0)
        for between in (False, True):
            log = self.make()
            for at, each in ((0.0, root), (5.0, alice), (10.0, alice)):
                table = ProcessTable(1_700_000_001.0 + at, (each,))
                log.write_processes(NODE, table, False, frozenset())
                if between:
                    log.close()
                    log = self.make()
            log.close()
            for at, user, command, rate in ((1.0, "root", "login secret", 5.0), (6.0, "alice", "sh", 2.0)):
                then = log.reader.processes_at(7, 1_700_000_001.0 + at)
                assert then is not None
                found = [(each.user, each.command, each.read_rate) for each in then.processes]
                self.assertEqual(found, [(user, command, rate)], between)
            rows = self.query("SELECT uid, first_seen, ended FROM processes ORDER BY id")
            self.assertEqual(rows, [(0, 1_700_000_001.0, 1_700_000_006.0), (1000, 1_700_000_006.0, None)])
            self.path.unlink()

    def test_a_clock_that_was_ahead_hides_nothing_of_now(self) -> None:
        """What was not summed up yet is found beside the rows of a time that is still to come."""
        start = 1_699_999_200.0
        log = self.make()
        write_samples(log, start + 365 * 86400.0, 700)
        write_samples(log, start, 900)
        log.close()
        self.assertGreater(self.query("SELECT count(*) FROM recent")[0][0], 0)
        for points in (15, 1):
            rows = log.reader.values(7, ["load"], start, start + 900, points)
            self.assertEqual((len(rows), rows[0].min, rows[-1].max), (points, 0, 899))

    def test_scans_of_two_clocks_that_overlap(self) -> None:
        """A moment has the scan that is nearest before it, whichever block that is in."""
        start = 1_699_999_200.0
        log = self.make()
        for first, scans, command in ((0, 130, "first"), (100, 130, "again")):
            for at in range(scans):
                now = start + first + (5.0 if command == "first" else 1.0) * at
                table = ProcessTable(now, (process(10, float(at), command),))
                log.write_processes(NODE, table, False, frozenset())
        log.close()
        self.assertGreater(self.query("SELECT count(*) FROM scans")[0][0], 1)
        for at, taken in ((50, 50), (150, 150), (226, 226), (400, 400), (640, 640)):
            then = log.reader.processes_at(7, start + at + 0.5)
            assert then is not None, at
            self.assertEqual(then.taken_at, start + taken)
