"""The home table: numbers, states, whose a job is, and what is remembered."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from gomd.jobs.journal import Journal
from gomd.jobs.table import FIRST_FOREIGN_PID, HomeTable
from libgomd.errors import NotAllowed, NotFound
from libgomd.model import Caller, Job, JobState, Role
from tests.unit.scratch import scratch

ANNA = Caller(Role.USER, "anna", 1000, "unix")
BERT = Caller(Role.USER, "bert", 1001, "unix")
ROOT = Caller(Role.ADMIN, "root", 0, "unix")


class HomeTableTests(SynchronousTestCase):
    """What is asked of it, before and after a restart."""

    def setUp(self) -> None:
        self.path = str(Path(scratch(self)) / "journal")
        self.forgotten: list[Job] = []
        self.table = self.open()

    def open(self, keep: int = 500) -> HomeTable:
        journal = Journal(self.path)
        journal.open()
        self.addCleanup(journal.close)
        table = HomeTable(1, journal, keep, self.forgotten.append)
        table.load()
        return table

    def new(self, uid: int = 1000, node: int = 1) -> Job:
        return self.table.new(node, "anna", uid, "sleep 5", 100.0)

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

    def test_a_line_that_is_no_job(self) -> None:
        """An entry of another version is dropped, the others stay."""
        job = self.new()
        journal = Journal(self.path)
        journal.open()
        journal.put(7, {"job": "seven"})
        journal.close()
        self.assertEqual([found.job for found in self.open()], [job.job])
