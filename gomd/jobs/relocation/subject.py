"""Finds the job that a caller wants to move or lock, once, from a process id, and checks their rights."""

from __future__ import annotations

from typing import NamedTuple

from gomd.interfaces import ICollector, IJobOwnership, IJobs, JobHere, MigrationSubject
from libgomd.errors import CannotMove, Conflict, NotAllowed
from libgomd.model import Caller, Job, Process


class Subject(NamedTuple):
    """
    A process of this node that is to be moved.

    :ivar asked: the process id by which the caller named it.
    :ivar reference: what the migrator is told. :ivar home: the id of its home node.
    :ivar node: the id of the node on which it runs now.
    :ivar job: the job it belongs to; None for a process that openMosix's kernel moves.
    """

    asked: int
    reference: MigrationSubject
    home: int
    node: int
    job: JobHere | None


class Subjects:
    """
    Finds out which job a process id names.

    :param ownership: tells which process belongs to which job.
    :param by_kernel: whether openMosix's kernel moves the processes of this node.
    """

    def __init__(
        self, own_id: int, jobs: IJobs, ownership: IJobOwnership, collector: ICollector, by_kernel: bool
    ) -> None:
        self._own_id = own_id
        self._jobs = jobs
        self._ownership = ownership
        self._collector = collector
        self._by_kernel = by_kernel

    def elsewhere(self, pid: int, caller: Caller) -> Job | None:
        """
        Return the job of this home with that process id which runs on another node, None when it does not.

        :raises NotAllowed: it is not the caller's.
        """
        job = self._jobs.of_pid(pid)
        if job is None or job.node == self._own_id:
            return None
        _check_owner(caller, job.uid, pid)
        return job

    async def here(self, asked: int, caller: Caller, started: int | None = None) -> Subject:
        """
        Return what is to be moved of this node.

        :param started: as in `IRelocation.migrate`. :raises Conflict: it is another process.
        :raises NotFound: there is no such process. :raises NotAllowed: it is not the caller's.
        :raises CannotMove: it belongs to no job.
        """
        pid = self._jobs.pid_here(asked)
        if self._by_kernel:
            process = await self._collector.process(pid)
            _check_owner(caller, process.uid, asked)
            _check_started(process, started)
            return Subject(asked, MigrationSubject(pid), process.home, process.node, None)
        job = await self._ownership.job_of(pid)
        if started is not None:  # after that: a process that is there now has been there before
            _check_started(await self._collector.process(pid), started)
        if job is None:
            _check_owner(caller, (await self._collector.process(pid)).uid, asked)
            raise CannotMove(
                f"process {asked} was not started by gomd and stays here; what `run` starts can be moved"
            )
        _check_owner(caller, job.uid, asked)
        return Subject(asked, reference_to(job), job.home, self._own_id, job)

    async def to_lock(self, asked: int, caller: Caller, started: int | None = None) -> MigrationSubject:
        """
        Return what is to be locked of this node: a job, or a process of openMosix's.

        :param started: as in `IRelocation.migrate`. :raises Conflict: it is another process.
        :raises NotFound: there is no such process. :raises NotAllowed: it is not the caller's.
        """
        pid = self._jobs.pid_here(asked)
        job = None if self._by_kernel else await self._ownership.job_of(pid)
        if started is not None:
            _check_started(await self._collector.process(pid), started)
        uid = job.uid if job is not None else (await self._collector.process(pid)).uid
        _check_owner(caller, uid, pid)
        return MigrationSubject(pid) if job is None else reference_to(job)


def reference_to(job: JobHere) -> MigrationSubject:
    """Return the description of a job here that a migrator is given."""
    return MigrationSubject(job.pid, job.name)


def _check_started(process: Process, started: int | None) -> None:
    if started is not None and process.started != started:
        raise Conflict(
            f"process {process.pid} is another process now, the one you mean has ended: `ps` lists what runs"
        )


def _check_owner(caller: Caller, uid: int, pid: int) -> None:
    if not caller.owns(uid):
        raise NotAllowed(f"process {pid} is not yours: you can move and lock only your own processes")
