"""The home table: numbers, states, whose a job is, and what is remembered."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from twisted.trial.unittest import SynchronousTestCase

from gomd.jobs.home.journal import Journal
from gomd.jobs.home.process_ids import FIRST_FOREIGN_PID, can_run, lives
from gomd.jobs.home.table import HomeTable
from libgomd.errors import NotAllowed, NotFound
from libgomd.model import Caller, Job, JobState, Role
from tests.unit.jobs.memory_parts import AtOnce
from tests.unit.scratch import scratch

ANNA = Caller(Role.USER, "anna", 1000, "unix")
BERT = Caller(Role.USER, "bert", 1001, "unix")
ROOT = Caller(Role.ADMIN, "root", 0, "unix")


class _Table(SynchronousTestCase):
    """A table, and its journal."""

    def setUp(self) -> None:
        self.path = str(Path(scratch(self)) / "journal")
        self.forgotten: list[Job] = []
        self.table = self.open()

    def open(self, keep: int = 500) -> HomeTable:
        journal = Journal(self.path, AtOnce())
        journal.open()
        self.addCleanup(journal.close)
        table = HomeTable(1, journal, keep, self.forgotten.append)
        table.load()
        return table

    def new(self, uid: int = 1000, node: int = 1) -> Job:
        return self.table.new(node, "anna", uid, "sleep 5", 100.0)


class HomeTableTests(_Table):
    """What is asked of it, before and after a restart."""

    def test_a_job_is_there_after_a_restart(self) -> None:
        """With everything that was known of it, and its number is not given again."""
        job = self.new()
        self.table.started(job.job, 1, 4711, "")
        again = self.open()
        found = again.find(job.job, ANNA)
        self.assertEqual((found.state, found.pid, found.home), (JobState.RUNNING, 4711, 1))
        self.assertEqual(again.new(1, "anna", 1000, "true", 101.0).job, job.job + 1)

    def test_a_job_elsewhere_has_a_number_no_process_has(self) -> None:
        """Its pid at home is above all that a kernel gives; the other node's own is kept beside it."""
        job = self.new(node=2)
        started = self.table.started(job.job, 2, 4711, "")
        self.assertEqual((started.pid, started.pid_there), (FIRST_FOREIGN_PID + job.job, 4711))
        self.assertEqual(self.table.of_pid(FIRST_FOREIGN_PID + job.job), started)

    def test_whose_it_is(self) -> None:
        """Another user's job is refused, an admin may, and what is not there is not found."""
        job = self.new()
        self.assertRaises(NotAllowed, self.table.find, job.job, BERT)
        self.assertEqual(self.table.find(job.job, ROOT), job)
        self.assertRaises(NotFound, self.table.find, 99, ROOT)

    def test_an_end_is_final(self) -> None:
        """What is over stays as it ended, and its pid may be another process's."""
        job = self.new()
        self.table.started(job.job, 1, 4711, "")
        self.table.change(job.job, state=JobState.DONE, exit=3)
        self.table.change(job.job, state=JobState.LOST, exit=143)
        self.assertEqual(self.table.find(job.job, ANNA).exit, 3)
        self.assertIsNone(self.table.of_pid(4711))

    def test_it_remembers_so_many(self) -> None:
        """The oldest that are over are forgotten; one that runs never is."""
        self.table = self.open(keep=3)
        runs = self.new()
        for _ in range(5):
            self.table.change(self.new().job, state=JobState.DONE, exit=0)
        self.assertEqual([job.job for job in self.table], [runs.job, 4, 5, 6])
        self.assertEqual([job.job for job in self.forgotten], [2, 3])
        self.assertEqual(self.table.running(), 1)

    def test_no_number_is_given_twice(self) -> None:
        """Not that of one that never began, nor of a forgotten one, nor of a directory, after a restart."""
        self.table = self.open(keep=1)
        self.table.drop(self.new().job)
        self.table = self.open(keep=1)
        self.assertEqual(self.new().job, 2)
        for _ in range(3):
            self.table.change(self.new().job, state=JobState.DONE, exit=0)
        self.table.drop(self.new().job)
        self.table = self.open(keep=1)
        self.assertEqual(self.new().job, 7)
        journal = Journal(self.path, AtOnce())
        journal.open()
        table = HomeTable(1, journal)
        table.load([9, 4])
        self.assertEqual(table.new(1, "anna", 1000, "sleep 5", 100.0).job, 10)

    def test_a_damaged_entry_is_no_job_and_keeps_its_number(self) -> None:
        """It is told apart from one that never was, also after the next restart."""
        kept, damaged = self.new(), self.new()
        self.table.started(damaged.job, 1, 4711, "")
        path = Path(self.path)
        data = path.read_bytes()
        path.write_bytes(data[:-9] + b"#" + data[-8:])
        for _ in range(2):
            self.table = self.open()
            self.assertEqual([job.job for job in self.table], [kept.job])
            self.assertTrue(self.table.is_damaged(damaged.job))
            with self.assertRaisesRegex(NotFound, "damaged on the disk"):
                self.table.find(damaged.job, ROOT)
        self.assertEqual(self.new().job, damaged.job + 1)
        self.table.recover(damaged)
        self.assertEqual(self.open().get(damaged.job), damaged)

    def test_a_line_that_is_no_job(self) -> None:
        """An entry of another version is dropped, the others stay."""
        job = self.new()
        journal = Journal(self.path, AtOnce())
        journal.open()
        journal.put(7, {"job": "seven"})
        journal.close()
        self.assertEqual([found.job for found in self.open()], [job.job])


class MovedTests(_Table):
    """Jobs that move: the numbers they have at home, and had."""

    def open(self, keep: int = 500) -> HomeTable:
        journal = Journal(self.path, AtOnce())
        journal.open()
        self.addCleanup(journal.close)
        table = HomeTable(1, journal, keep, self.forgotten.append, lambda pid: pid in self.processes)
        table.load()
        return table

    def setUp(self) -> None:
        self.processes: set[int] = set()
        super().setUp()

    def test_it_goes_and_comes_home(self) -> None:
        """Its number at home stays while it is away; home again it has the one the kernel gave."""
        number = self.new().job
        self.table.started(number, 1, 4711, "")
        there = self.table.went(number, 2, 1)
        self.assertEqual((there.node, there.nmigs, there.pid, there.pid_there), (2, 1, 4711, None))
        self.assertEqual(self.table.started(number, 2, 88, "").pid, 4711)
        self.assertEqual(self.table.went(number, 2, 1).pid_there, 88)
        self.assertIsNone(self.table.went(number, 3, 2).pid_there)
        self.assertEqual(self.table.went(number, 4, 3, 99).pid_there, 99)
        self.assertEqual(self.table.went(number, 4, 3).pid_there, 99)
        home = self.table.came(number, 4800, 4)
        self.assertEqual((home.node, home.nmigs, home.pid, home.pid_there), (1, 4, 4800, 4800))
        self.assertEqual(list(home.former), [4711])
        self.assertEqual(self.open().find(number, ANNA), home)

    def test_a_former_number_means_it_as_long_as_nobody_else_has_it(self) -> None:
        """`signal 4711` goes on to work; a process that the kernel gave that number to is that process."""
        job = self.new()
        self.table.started(job.job, 1, 4711, "")
        self.table.went(job.job, 2, 1)
        self.assertEqual(self.table.pid_here(4711), 4711)
        self.table.came(job.job, 4800, 2)
        for number in (4711, 4800, FIRST_FOREIGN_PID + job.job):
            found = self.table.of_pid(number)
            self.assertIsNotNone(found, number)
            self.assertEqual(self.table.pid_here(number), 4800)
        self.processes.add(4711)
        self.assertIsNone(self.table.of_pid(4711))
        self.assertEqual(self.table.pid_here(4711), 4711)
        self.table.change(job.job, state=JobState.DONE, exit=0)
        self.processes.clear()
        self.assertIsNone(self.table.of_pid(4711))

    def test_the_number_of_one_that_is_away_may_be_given_anew(self) -> None:
        """Then it is that process's; the job still has the number that no kernel gives."""
        job = self.new()
        self.table.started(job.job, 1, 4711, "")
        self.processes.add(4711)
        self.assertIsNotNone(self.table.of_pid(4711), "it is here")
        self.table.went(job.job, 2, 1)
        self.assertIsNone(self.table.of_pid(4711))
        self.assertIsNotNone(self.table.of_pid(FIRST_FOREIGN_PID + job.job))
        self.processes.clear()
        self.assertIsNotNone(self.table.of_pid(4711))

    def test_a_stopped_process_has_no_number_of_a_job_that_went(self) -> None:
        """A job's stopped copy is there until all is settled; an ended process is not waited for."""
        self.assertTrue(lives(os.getpid()))
        self.assertFalse(lives(1 << 30))
        child = os.fork()
        if child == 0:
            os.kill(os.getpid(), signal.SIGSTOP)
            os._exit(0)
        try:
            os.waitpid(child, os.WUNTRACED)
            self.assertFalse(lives(child))
        finally:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)

    def test_of_two_that_had_a_number_it_is_the_newer_ones(self) -> None:
        """And one that has it now goes before any that had it."""
        first, second = self.new(), self.new()
        for job in (first, second):
            self.table.started(job.job, 1, 4711, "")
            self.table.went(job.job, 2, 1)
            self.table.came(job.job, 4800 + job.job, 2)
        found = self.table.of_pid(4711)
        assert found is not None
        self.assertEqual(found.job, second.job)
        self.table.came(first.job, 4711, 4)
        found = self.table.of_pid(4711)
        assert found is not None
        self.assertEqual(found.job, first.job)

    def test_a_job_that_began_elsewhere_has_no_number_but_its_own(self) -> None:
        """When it comes home it gets one, and keeps answering to the other."""
        number = self.new(node=2).job
        self.table.started(number, 2, 88, "")
        home = self.table.came(number, 4800, 1)
        self.assertEqual((home.pid, list(home.former)), (4800, []))
        found = self.table.of_pid(FIRST_FOREIGN_PID + number)
        assert found is not None
        self.assertEqual((found.job, self.table.pid_here(FIRST_FOREIGN_PID + number)), (number, 4800))

    def test_however_often_it_moves_little_is_remembered(self) -> None:
        """No number twice, and a bounded number of them."""
        number = self.new().job
        self.table.started(number, 1, 1, "")
        for times in range(1, 500):
            self.table.went(number, 2, 2 * times - 1)
            job = self.table.came(number, times % 200 + 1, 2 * times)
        self.assertLessEqual(len(job.former), 64)
        self.assertEqual(len(set(job.former)), len(job.former))
        self.assertNotIn(job.pid, job.former)

    def test_one_that_is_over_does_not_move(self) -> None:
        """Late word changes nothing."""
        number = self.new().job
        self.table.started(number, 1, 4711, "")
        over = self.table.change(number, state=JobState.DONE, exit=0)
        self.assertEqual(self.table.went(number, 2, 1), over)
        self.assertEqual(self.table.came(number, 9, 2), over)


@pytest.mark.parametrize(
    ("state", "pending", "shared", "able"),
    [
        ("S (sleeping)", 0, 0, True), ("R (running)", 1 << 14, 0, True), ("D (disk sleep)", 0, 0, True),
        ("T (stopped)", 0, 0, False), ("t (tracing stop)", 0, 0, False), ("Z (zombie)", 0, 0, False),
        ("R (running)", 0, 1 << 8, False), ("D (disk sleep)", 1 << 8, 0, False),
    ],
)  # fmt: skip
def test_what_is_left_of_a_job_that_moved_cannot_run(
    state: str, pending: int, shared: int, able: bool
) -> None:
    """It is stopped, then killed, then gone: its number means the job, wherever that is."""
    text = f"Name:\tsim\nState:\t{state}\nSigPnd:\t{pending:016x}\nShdPnd:\t{shared:016x}\nSigBlk:\t0\n"
    assert can_run(text.encode()) is able
