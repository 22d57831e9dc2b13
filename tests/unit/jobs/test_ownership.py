"""Processes of jobs in the table of all processes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from gomd.interfaces import JobHere
from gomd.jobs.disabled import NoJobs
from gomd.jobs.ownership import Annotations, JobOwnership, JobTrees, elsewhere
from libgomd.errors import NotFound
from libgomd.model import Job, JobState, Process, ProcessTable

PROCESS = Process(
    node=2, home=2, pid=1, ppid=0, uid=0, user="root", state="S", nice=0, threads=1, cpu_percent=None,
    cpu_seconds=0.5, rss=4096, vsize=8192, start_time=1.0, where=0, nmigs=0, lock=False, cantmove="foreign",
    command="[x]", started=7,
)  # fmt: skip
GUEST = JobHere(1, 7, 300, 299, 1000, 1000, "make", 5_000_007, 2, True, "")


def annotate(
    processes: Sequence[Process], jobs: Sequence[JobHere], annotations: Annotations | None = None
) -> list[Process]:
    """What `ps` on node 2 makes of a table."""
    parents = {process.pid: process.ppid for process in processes}
    return (annotations or Annotations()).annotate(processes, JobTrees(jobs), parents, 2)


def test_a_guest_and_its_children_are_shown_under_their_home() -> None:
    """Its supervisor and everything else stay what they are."""
    processes = [
        replace(PROCESS, pid=pid, ppid=ppid)
        for pid, ppid in ((1, 0), (299, 1), (300, 299), (301, 300), (302, 301), (303, 1), (304, 299))
    ]
    found = {process.pid: process for process in annotate(processes, [GUEST])}
    assert {pid for pid, process in found.items() if process.home == 1} == {300, 301, 302, 304}
    assert (found[302].where, found[302].nmigs, found[302].lock, found[302].cantmove) == (2, 2, True, "")
    assert found[303] == processes[5]


def test_without_jobs_nothing_changes() -> None:
    """The table is what the kernel says."""
    assert annotate([PROCESS], []) == [PROCESS]


def test_what_did_not_change_is_not_made_again() -> None:
    """The same job and a process at rest give the same value; either of them changed gives another one."""
    kept = Annotations()
    first, child = replace(PROCESS, pid=300, ppid=299), replace(PROCESS, pid=301, ppid=300)
    before = annotate([first, child], [GUEST], kept)
    again = annotate([first, replace(child, rss=8192)], [GUEST._replace()], kept)
    assert again[0] is before[0]
    assert (again[1].rss, again[1].home) == (8192, 1)
    unlocked = annotate([first], [GUEST._replace(lock=False, cantmove="it has a socket")], kept)
    assert (unlocked[0].lock, unlocked[0].cantmove) == (False, "it has a socket")
    assert annotate([first, child], [], kept) == [first, child], "the job has ended"
    another = GUEST._replace(job=8, home=3)
    assert [each.home for each in annotate([first, child], [another], kept)] == [3, 3]


def test_how_home_shows_a_job_on_another_node() -> None:
    """With the numbers of that node when it answers, and there all the same when it does not."""
    job = Job(7, 1, 2, 5_000_007, "anna", JobState.RUNNING, None, "make", 1000, 9.0, nmigs=2, pid_there=300)
    seen = elsewhere(job, replace(PROCESS, pid=300, uid=1000))
    assert (seen.pid, seen.node, seen.home, seen.where, seen.rss) == (5_000_007, 2, 1, 2, 4096)
    silent = elsewhere(job, None)
    assert (silent.pid, silent.node, silent.state, silent.command) == (5_000_007, 2, "?", "make")


class Collector:
    """Processes one by one, as they are when they are asked for; ``gone`` have ended in between."""

    def __init__(self, *pairs: tuple[int, int], gone: tuple[int, ...] = ()) -> None:
        self.processes_now = {pid: replace(PROCESS, pid=pid, ppid=ppid) for pid, ppid in pairs}
        self.gone = list(gone)
        self.asked: list[int] = []

    async def process(self, pid: int) -> Process:
        self.asked.append(pid)
        if pid in self.gone:
            self.gone.remove(pid)
            for child, process in self.processes_now.items():
                if process.ppid == pid:
                    self.processes_now[child] = replace(process, ppid=299)
        if pid not in self.processes_now or pid in self.gone:
            raise NotFound(f"there is no process {pid}")
        return self.processes_now[pid]

    async def processes(self, max_age: float) -> ProcessTable:
        return ProcessTable(0.0, tuple(self.processes_now.values()))


class Jobs(NoJobs):
    """One guest."""

    def here(self) -> list[JobHere]:
        return [GUEST]


class KinTests(SynchronousTestCase):
    """Which job a process belongs to, asked of the processes as they are now."""

    def job_of(self, collector: Collector, pid: int) -> JobHere | None:
        work = JobOwnership(Jobs(), collector).job_of(pid)  # type: ignore[arg-type]
        return self.successResultOf(Deferred.fromCoroutine(work))

    def test_by_any_of_its_processes(self) -> None:
        """A child, an orphan, the first one; its supervisor is gomd's own."""
        pairs = (299, 1), (300, 299), (301, 300), (302, 301), (304, 299), (400, 1), (401, 400), (500, 0)
        for pid, job in ((300, GUEST), (302, GUEST), (304, GUEST), (299, None), (401, None), (500, None)):
            self.assertEqual(self.job_of(Collector(*pairs), pid), job, pid)

    def test_the_first_process_is_known_at_once(self) -> None:
        """Its parents are not looked at."""
        collector = Collector((299, 1), (300, 299))
        self.job_of(collector, 300)
        self.assertEqual(collector.asked, [300])

    def test_a_parent_that_ends_meanwhile(self) -> None:
        """Its child has fallen to the supervisor, and is the job's all the same."""
        collector = Collector((299, 1), (300, 299), (302, 301), gone=(301,))
        self.assertEqual(self.job_of(collector, 302), GUEST)

    def test_parents_that_cannot_be_seen(self) -> None:
        """Nobody's job, after a few looks."""
        collector = Collector((700, 699))
        self.assertIsNone(self.job_of(collector, 700))
        self.assertLess(len(collector.asked), 10)

    def test_no_such_process(self) -> None:
        """It is said so."""
        work = JobOwnership(Jobs(), Collector()).job_of(77)  # type: ignore[arg-type]
        self.failureResultOf(Deferred.fromCoroutine(work), NotFound)

    def test_all_processes_of_a_job(self) -> None:
        """Without its supervisor, and without a ring of parents going round for ever."""
        collector = Collector((299, 1), (300, 299), (301, 300), (304, 299), (500, 501), (501, 500))
        work = JobOwnership(Jobs(), collector).processes_of(GUEST)  # type: ignore[arg-type]
        found = self.successResultOf(Deferred.fromCoroutine(work))
        self.assertEqual([process.pid for process in found], [300, 301, 304])
