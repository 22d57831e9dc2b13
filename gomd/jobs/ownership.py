"""Which processes belong to which job, and how the process table shows them under their home node."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from zope.interface import implementer

from gomd.interfaces import ICollector, IJobOwnership, IJobs, JobHere
from libgomd.errors import NotFound
from libgomd.model import Job, Process, ProcessTable
from libgomd.wire.process_identity import ProcessIdentity

#: Maximum number of generations that are followed; no tree of processes is that deep on purpose.
MAX_GENERATIONS: Final = 1000
#: Attempts to follow the parents of a process, of which some may end meanwhile.
_MAX_ATTEMPTS: Final = 3
#: Seconds that the process table may be old in which a whole job is looked up.
TABLE_MAX_AGE: Final = 1.0


class JobTrees:
    """
    Which job a process belongs to: its first process and all that descend from it, or from its supervisor
    (to which orphans fall); the supervisor itself belongs to none.
    """

    def __init__(self, jobs: Sequence[JobHere]) -> None:
        self.supervisors = frozenset(job.supervisor for job in jobs)
        self.roots = {job.supervisor: job for job in jobs} | {job.pid: job for job in jobs}
        self._found: dict[int, JobHere | None] = {}

    def job_of(self, pid: int, parents: Mapping[int, int]) -> JobHere | None:
        """
        Return the job of process ``pid``, None when it is no job's.

        :param parents: the parent of each process: the same ones from call to call.
        """
        if pid in self.supervisors:
            return None
        way: list[int] = []
        while (
            pid not in self._found and pid not in self.roots and pid in parents and len(way) < MAX_GENERATIONS
        ):
            way.append(pid)
            pid = parents[pid]
        job = self.roots.get(pid) or self._found.get(pid)
        self._found.update(dict.fromkeys(way, job))
        return job


async def line_of(collector: ICollector, pid: int, trees: JobTrees) -> list[Process]:
    """
    Return process ``pid``, its parent, and so on, up to the first that tells whose job it is.

    :raises NotFound: there is no such process.
    """
    for _attempt in range(_MAX_ATTEMPTS):
        line = [await collector.process(pid)]
        try:
            while trees.roots and line[-1].pid not in trees.roots and len(line) < MAX_GENERATIONS:
                if (parent := line[-1].ppid) <= 1:
                    break
                line.append(await collector.process(parent))
            break
        except NotFound:
            pass  # it ended just now, its children have another parent
    return line


@implementer(IJobOwnership)
class JobOwnership:
    """Follows the parents of processes as they are now."""

    def __init__(self, jobs: IJobs, collector: ICollector) -> None:
        self._jobs = jobs
        self._collector = collector

    async def job_of(self, pid: int) -> JobHere | None:
        """See `IJobOwnership.job_of`."""
        trees = JobTrees(self._jobs.here())
        line = await line_of(self._collector, pid, trees)
        return trees.job_of(pid, {process.pid: process.ppid for process in line})

    async def processes_of(self, job: JobHere) -> Sequence[Process]:
        """See `IJobOwnership.processes_of`."""
        table = (await self._collector.processes(TABLE_MAX_AGE)).processes
        trees = JobTrees(self._jobs.here())
        parents = {process.pid: process.ppid for process in table}
        return [process for process in table if trees.job_of(process.pid, parents) == job]


class Annotations:
    """
    Shows the processes of jobs under their homes.

    It keeps what it made from the last table: of a thousand jobs hardly one changes from one `ps` to the
    next, and to make all of them again delayed every other caller for a tenth of a second.
    """

    def __init__(self) -> None:
        self._made: dict[int, tuple[Process, JobHere, Process]] = {}

    def annotate(
        self, processes: Sequence[Process], trees: JobTrees, parents: Mapping[int, int], own_id: int
    ) -> list[Process]:
        """
        Return ``processes`` of node ``own_id``; those of jobs, and their descendants, name their home.

        A process that gomd did not start is returned as it is.

        :param trees: of the jobs here. :param parents: the parent of each process.
        """
        if not trees.roots:
            return list(processes)
        last, self._made = self._made, {}
        return [
            process
            if (job := trees.job_of(process.pid, parents)) is None
            else self._annotated(process, job, own_id, last.get(process.pid))
            for process in processes
        ]

    def _annotated(
        self, process: Process, job: JobHere, own_id: int, last: tuple[Process, JobHere, Process] | None
    ) -> Process:
        # A process at rest is the same object from scan to scan.
        if last is None or last[0] is not process or last[1] != job:
            last = (process, job, _as_of(process, job, own_id))
        self._made[process.pid] = last
        return last[2]


def _as_of(process: Process, job: JobHere, own_id: int) -> Process:
    if job.nmigs and process.pid == job.pid:  # this kernel knows it only since it came
        began = job.began or process.start_time
        process = replace(process, cpu_seconds=(process.cpu_seconds or 0.0) + job.used, start_time=began)
    identity = ProcessIdentity(job.home, process.pid, process.started)
    if process.pid == job.pid and job.identity:
        identity = ProcessIdentity.parse(job.identity)
    return replace(
        process,
        home=job.home,
        started=identity.started,
        identity=str(identity),
        where=0 if job.home == own_id else own_id,
        nmigs=job.nmigs,
        lock=process.lock or job.lock,
        cantmove=job.cantmove,
    )


def whole(processes: Sequence[Process], jobs: Sequence[JobHere], own_id: int) -> list[Process]:
    """
    Return a process for each of ``jobs``: its first one, with what all of them use. So balancing sees them.

    It does not run (state S) only when none of them does; times of processes that ended are not in it.
    """
    trees = JobTrees(jobs)
    parents = {process.pid: process.ppid for process in processes}
    members: dict[int, list[Process]] = {}
    for process in processes:
        if (job := trees.job_of(process.pid, parents)) is not None:
            members.setdefault(job.pid, []).append(process)
    found = []
    for job in jobs:
        of_job = members.get(job.pid, [])
        first = next((process for process in of_job if process.pid == job.pid), None)
        if first is None:
            continue
        shares = [process.cpu_percent for process in of_job if process.cpu_percent is not None]
        first = replace(
            first,
            state="R" if any(process.state[:1] == "R" for process in of_job) else first.state,
            threads=sum(process.threads or 1 for process in of_job),
            cpu_percent=sum(shares) if shares else None,
            cpu_seconds=sum(process.cpu_seconds or 0.0 for process in of_job),
            rss=sum(process.rss or 0 for process in of_job),
            vsize=sum(process.vsize or 0 for process in of_job),
        )
        found.append(_as_of(first, job, own_id))
    return found


def elsewhere(job: Job, process: Process | None) -> Process:
    """
    Return how the home of ``job``, which runs on another node, shows it.

    :param process: what that node says of it; None when it did not answer.
    """
    assert job.pid is not None
    if process is None:
        process = Process(
            job.node, job.home, job.pid, 0, job.uid, job.user, "?", 0, None, None, 0.0, 0, 0,
            job.started, job.node, job.nmigs, job.lock, job.cantmove, job.command, 0,
        )  # fmt: skip
    identity = ProcessIdentity.find(job.identity) or ProcessIdentity(job.home, job.pid, process.started)
    return replace(
        process, node=job.node, home=job.home, pid=job.pid, ppid=0, user=job.user, where=job.node,
        nmigs=job.nmigs, lock=job.lock, cantmove=job.cantmove, started=identity.started,
        identity=str(identity),
    )  # fmt: skip


class AnnotatedTables:
    """Shows the processes of whole tables under their homes, and tells which of them belong to jobs."""

    def __init__(self, jobs: IJobs, own_id: int) -> None:
        self._jobs = jobs
        self._own_id = own_id
        self._annotations = Annotations()

    def __call__(self, table: ProcessTable) -> tuple[ProcessTable, frozenset[str]]:
        """Return ``table`` with its processes under their homes, and the identities of those of jobs."""
        trees = JobTrees(self._jobs.here())
        if not trees.roots:
            return table, frozenset()
        parents = {process.pid: process.ppid for process in table.processes}
        shown = self._annotations.annotate(table.processes, trees, parents, self._own_id)
        in_jobs = frozenset(each.identity for each in shown if trees.job_of(each.pid, parents) is not None)
        return replace(table, processes=tuple(shown)), in_jobs
