"""The database: what stays when disks fill up, files are damaged, clocks step and daemons are killed."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
import tempfile
import threading
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

from twisted.logger import ILogObserver, LogEvent, formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from gomd.history.sqlite import SqliteHistory
from gomd.history.sqlite.expiry_times import ExpiryTimes
from gomd.history.sqlite.file import Unusable, file_system_of, on_network, take_lock
from gomd.history.sqlite.retention import Retention
from gomd.history.sqlite.schema import VERSION
from gomd.interfaces import IHistory, ISampleLog
from libgomd.errors import NotPossible, SourceUnavailable
from libgomd.model import Measure, ProcessTable
from tests.unit.history.contract import (
    EVENT,
    JOB,
    NODE,
    OTHER,
    SAMPLE,
    TABLE,
    HistoryContract,
    SampleLogContract,
    process,
)

LOCAL = "22 1 0:20 / / rw,relatime - ext4 /dev/sda1 rw\n"
NETWORK = "23 22 0:21 / /srv/my\\040data rw - nfs4 server:/export rw\n"


@implementer(ILogObserver)
class Listener:
    """Notes what the history says in the daemon's log."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def __call__(self, event: LogEvent) -> None:
        if event.get("log_namespace", "").startswith("gomd.history"):
            self.said.append(formatEvent(event))


@implementer(ILogObserver)
class Listening:
    """:ivar heard: is set once the log has said ``words``."""

    def __init__(self, words: str) -> None:
        self.heard = threading.Event()
        self._words = words

    def __call__(self, event: LogEvent) -> None:
        if self._words in formatEvent(event):
            self.heard.set()


class SqliteTests(SampleLogContract, HistoryContract, SynchronousTestCase):
    """`kind = sqlite`. What was written is there when the writer has closed."""

    def setUp(self) -> None:
        self.parent = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.parent)
        self.path = self.parent / "state" / "history.sqlite"
        self.now = 1_700_000_000.0
        self.ticks = count()  # a second each time that somebody looks at a clock
        listener = Listener()
        self.said = listener.said
        globalLogPublisher.addObserver(listener)
        self.addCleanup(globalLogPublisher.removeObserver, listener)

    def make(self, max_bytes: int = 1 << 26, mounts: Callable[[], str] = lambda: LOCAL) -> SqliteHistory:
        start = float(next(self.ticks))
        log = SqliteHistory(
            str(self.path), 7, max_bytes, lambda: self.now + float(next(self.ticks)) - start,
            monotonic=lambda: float(next(self.ticks)), read_mounts=mounts,
        )  # fmt: skip
        self.addCleanup(log.close)
        return log

    def make_log(self) -> ISampleLog:
        return self.make()

    def make_history(self) -> tuple[ISampleLog, IHistory]:
        log = self.make()
        return log, log.reader

    def counter(self, log: ISampleLog, name: str) -> float:
        return next(float(each.value) for each in log.counters() if each.name == name)

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        """Return what people's own SQL finds."""
        connection = sqlite3.connect(self.path)
        try:
            return connection.execute(statement).fetchall()
        finally:
            connection.close()

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
        self.write_samples(log, 1_699_999_200.0, 1500)
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

    def test_a_damaged_file_is_set_aside(self) -> None:
        """It keeps its content under a name that the log says, and a new one is begun at once."""
        self.path.parent.mkdir(mode=0o700)
        self.path.write_bytes(b"this was a database once" * 1000)
        log = self.make()
        log.write(NODE, SAMPLE)
        log.close()
        log = self.make()
        log.write(NODE, SAMPLE)
        log.close()
        self.assertEqual(self.query("SELECT count(*) FROM recent"), [(1,)])
        [aside] = self.path.parent.glob("history.sqlite.damaged-20231114T*Z")
        self.assertTrue(aside.read_bytes().startswith(b"this was"))
        self.assertIn(f"it is kept as {aside}, and a new one is begun", self.said[0])

    def test_damage_in_the_middle_is_found_by_a_reader(self) -> None:
        """The answer says so, and the writer sets the file aside with its next record."""
        log = self.make()
        self.write_samples(log, 1_699_999_200.0, 1500)
        log.close()
        size = self.path.stat().st_size
        with self.path.open("r+b") as file:
            for page in range(8192, size, 4096):
                file.seek(page)
                file.write(b"\xee" * 200)
        log = self.make()
        self.assertRaises(
            SourceUnavailable, log.reader.values, 7, ["load"], 1_699_999_200.0, 1_700_000_700.0, 100
        )
        log.write_event(EVENT, False)
        log.close()
        again = self.make()
        again.write_event(EVENT, False)
        again.close()
        self.assertEqual(self.query("SELECT count(*) FROM events"), [(1,)])
        self.assertEqual(len([*self.path.parent.glob("history.sqlite.damaged-*")]), 1)

    def test_tables_that_are_not_all_there(self) -> None:
        """Whatever took one away, or the number of their version: the file is set aside as damaged."""
        for statement, reason in (
            ("DROP TABLE minutes", "its table minutes is missing"),
            ("PRAGMA user_version = 0", "it has tables, but their version is 0"),
            ("PRAGMA user_version = -5", "it has tables, but their version is -5"),
        ):
            log = self.make()
            log.write(NODE, SAMPLE)
            log.close()
            connection = sqlite3.connect(self.path)
            connection.execute(statement)
            connection.close()
            for _daemon in range(2):
                log = self.make()
                log.write(NODE, SAMPLE)
                log.close()
            self.assertEqual(self.query("SELECT count(*) FROM recent"), [(1,)])
            self.assertIn(reason, self.said[-1])

    def test_a_file_of_a_newer_gomd_is_refused(self) -> None:
        """Nothing in it changes, and whoever asks is told what to do."""
        log = self.make()
        log.write(NODE, SAMPLE)
        log.close()
        connection = sqlite3.connect(self.path)
        connection.execute(f"PRAGMA user_version = {VERSION + 1}")
        connection.close()
        log = self.make()
        log.write(NODE, SAMPLE)
        log.close()
        self.assertEqual(self.query("SELECT count(*) FROM recent"), [(1,)])
        self.assertIn("was written by a newer gomd", self.said[-1])
        self.assertIn("install that gomd again", self.said[-1])
        error = self.assertRaises(NotPossible, log.reader.values, 7, ["load"], 0.0, 1.0, 1)
        self.assertIn("was written by a newer gomd", str(error))

    def test_the_database_of_another_program_is_left_alone(self) -> None:
        """A wrong path costs nobody their data."""
        self.path.parent.mkdir(mode=0o700)
        connection = sqlite3.connect(self.path)
        connection.execute("CREATE TABLE theirs(x)")
        connection.close()
        log = self.make()
        log.write(NODE, SAMPLE)
        log.close()
        self.assertEqual(self.query("SELECT name FROM sqlite_master"), [("theirs",)])
        self.assertIn("is a database of another program", self.said[-1])

    def test_two_daemons_do_not_write_one_file(self) -> None:
        """The second one is told to use another file; when the first has ended, it may."""
        first = take_lock(str(self.path))
        error = self.assertRaises(Unusable, take_lock, str(self.path))
        self.assertIn("another daemon writes the history", str(error))
        os.close(first)
        os.close(take_lock(str(self.path)))

    def test_a_disk_that_cannot_be_written_costs_history_only(self) -> None:
        """What is lost is counted; the log says it once, and again when it is over."""
        self.path.parent.touch()
        log = self.make()
        log.write(NODE, SAMPLE)
        log.close()
        self.assertEqual(self.counter(log, "history_lost"), 1)
        self.assertIn("the history is not kept in", self.said[0])

    def test_another_programs_lock_costs_nothing(self) -> None:
        """What it kept from being written is written when the lock is gone."""
        log = self.make()
        log.write_event(EVENT, False)
        log.close()
        other = sqlite3.connect(self.path, isolation_level=None)
        self.addCleanup(other.close)
        other.execute("BEGIN EXCLUSIVE")
        log = self.make()
        self.addCleanup(log.close)
        listener = Listening("waits: another program has locked it")
        globalLogPublisher.addObserver(listener)
        self.addCleanup(globalLogPublisher.removeObserver, listener)
        log.write_event(EVENT, False)
        self.assertTrue(listener.heard.wait(30.0))
        other.execute("ROLLBACK")
        log.write_event(EVENT, False)
        log.close()
        self.assertEqual(self.query("SELECT count(*) FROM events"), [(3,)])
        self.assertEqual(self.counter(log, "history_lost"), 0)

    def test_a_lock_that_could_not_be_taken_at_the_start(self) -> None:
        """It is taken when the disk can be written, so that no second daemon comes in."""
        self.path.parent.touch()
        log = SqliteHistory(
            str(self.path), 7, 1 << 26, lambda: self.now, monotonic=lambda: 10.0 * next(self.ticks),
            read_mounts=lambda: LOCAL, locks_later=True,
        )  # fmt: skip
        self.addCleanup(log.close)
        self.path.parent.unlink()
        listener = Listening("is not kept in")
        log.write(NODE, SAMPLE)
        for _try in range(200):
            if self.path.exists():
                break
            listener.heard.wait(0.05)
        self.assertRaises(Unusable, take_lock, str(self.path))
        log.close()
        os.close(take_lock(str(self.path)))

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

    def test_a_reader_that_holds_a_transaction(self) -> None:
        """Nothing waits for it and nothing is lost, until the log has its largest size; then it is named."""
        log = self.make(max_bytes=1 << 20)
        log.write_event(EVENT, False)
        log.close()
        other = sqlite3.connect(self.path, isolation_level=None)
        self.addCleanup(other.close)
        other.execute("BEGIN")
        other.execute("SELECT count(*) FROM events").fetchone()
        log = self.make(max_bytes=1 << 20)
        self.write_samples(log, 1_699_999_200.0, 1000)
        log.close()
        self.assertEqual(self.counter(log, "history_lost"), 0)
        self.assertEqual(len(log.reader.values(7, ["load"], 1_699_999_200.0, 1_700_000_200.0, 1000)), 1000)
        for _chunk in range(10):
            log = self.make(max_bytes=1 << 20)
            for _at in range(200):
                log.write_event(replace(EVENT, time=2.0, reason="x" * 5000), False)
            log.close()
            if self.counter(log, "history_lost"):
                break
        self.assertGreater(self.counter(log, "history_lost"), 0)
        self.assertIn("another program holds a transaction open", " ".join(self.said))
        self.assertLess(Path(f"{self.path}-wal").stat().st_size, 6 << 20)
        other.execute("COMMIT")
        log = self.make(max_bytes=1 << 20)
        log.write_event(EVENT, False)
        log.close()
        self.assertEqual(self.counter(log, "history_lost"), 0, self.said)

    def test_a_clock_that_comes_to_the_same_time_again(self) -> None:
        """Blocks that begin at the same moment stand side by side, and minutes have both times."""
        start = 1_699_999_200.0
        for first in (0, 5000):
            log = self.make()
            for at in range(700):
                log.write(replace(NODE, load=first + at), replace(SAMPLE, taken_at=start + at))
            log.close()
            log = self.make()
            self.write_samples(log, start - 50_000, 700)
            log.close()
        [row] = log.reader.values(7, ["load"], start, start + 600, 1)
        self.assertEqual((row.min, row.max), (0, 5599))
        [(least, most)] = self.query(
            "SELECT min, max FROM by_minute WHERE field = 'load' AND time = 1699999260"
        )
        self.assertEqual((least, most), (60, 5119))
        [(blocks,)] = self.query("SELECT count(*) FROM seconds WHERE field < 0")
        self.assertEqual(blocks, self.query("SELECT count(*) FROM blocks")[0][0])

    def test_a_clock_that_was_ahead_hides_nothing_of_now(self) -> None:
        """What was not summed up yet is found beside the rows of a time that is still to come."""
        start = 1_699_999_200.0
        log = self.make()
        self.write_samples(log, start + 365 * 86400.0, 700)
        self.write_samples(log, start, 900)
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
            self.write_samples(log, self.now, 60)
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

    def test_after_a_burst_the_times_come_back(self) -> None:
        """Within hours: what made them short is gone, and the file has room."""
        log = self.make()
        self.write_samples(log, self.now, 10)
        log.close()
        connection = sqlite3.connect(self.path, isolation_level=None)
        self.addCleanup(connection.close)
        retention = Retention(1 << 24)
        retention.factor = retention.others = 0.001
        for _hour in range(3):
            retention.expire(connection, self.now + 10.0, 7)
        self.assertEqual((retention.factor, retention.others), (1.0, 1.0))

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
            self.write_samples(log, self.now, 700)
        log.close()
        self.assertGreater(before, 4_000_000)
        self.assertLess(self.path.stat().st_size, 2_000_000)
        self.assertEqual(self.counter(log, "history_lost"), 0)

    def test_what_is_old_is_removed(self) -> None:
        """Seconds after a day, processes after three; minutes stay."""
        log = self.make()
        self.write_samples(log, 1_699_999_200.0, 1500)
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

    def test_a_file_that_is_taken_away_is_begun_again(self) -> None:
        """Where it was, so that the rest of the history is not written into nowhere."""
        log = self.make()
        log.write(NODE, SAMPLE)
        log.close()
        log = self.make()
        log.write_event(EVENT, False)
        log.close()
        self.path.rename(self.parent / "elsewhere")
        log = self.make()
        log.write_event(EVENT, False)
        log.close()
        self.assertEqual(self.query("SELECT count(*) FROM events"), [(1,)])

    def test_no_write_ahead_log_on_a_network_disk(self) -> None:
        """It needs memory that nodes do not share; the log says it."""
        log = self.make(mounts=lambda: LOCAL + f"24 22 0:22 / {self.parent} rw - nfs4 server:/export rw\n")
        log.write(NODE, SAMPLE)
        log.close()
        self.assertEqual(self.query("PRAGMA journal_mode"), [("delete",)])
        self.assertIn("lies on a network file system", self.said[0])

    def test_where_a_file_lies(self) -> None:
        """The longest mount point that contains it decides, spaces and later mounts included."""
        self.assertEqual(file_system_of("/var/lib/gomd", LOCAL + NETWORK), "ext4")
        self.assertEqual(file_system_of("/srv/my data/gomd", LOCAL + NETWORK), "nfs4")
        self.assertEqual(file_system_of("/srv/my database", LOCAL + NETWORK), "ext4")
        self.assertEqual(file_system_of("/x", LOCAL + "25 1 0:23 / / rw - overlay none rw\n"), "overlay")
        self.assertEqual(file_system_of("/x", "nonsense\n- - -\n"), "")

        def unreadable() -> str:
            raise FileNotFoundError("/proc is not mounted")

        self.assertFalse(on_network("/x/y", unreadable))
