"""The jobs of a node: those asked for here, wherever they run, and guests from other nodes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import ClassVar

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from gomd.interfaces import IEvents, IJobs, IMembership, IMigrator, IPeers, IPlacement, IThreads, JobHere
from gomd.jobs.counts import job_counters
from gomd.jobs.home.changes import JobChanges
from gomd.jobs.home.journal import Journal
from gomd.jobs.home.table import HomeTable
from gomd.jobs.lifecycle.admission import Admission
from gomd.jobs.lifecycle.carried_files import CarriedFiles, CarryLimits
from gomd.jobs.lifecycle.carried_sweep import CarriedSweep
from gomd.jobs.lifecycle.carry_server import CarryServer
from gomd.jobs.lifecycle.frame_stream import FrameStream
from gomd.jobs.lifecycle.local_rows import job_here
from gomd.jobs.lifecycle.output_quota import OutputLimits, OutputQuota
from gomd.jobs.lifecycle.remote_jobs import RemoteJobs
from gomd.jobs.lifecycle.shown_output import ShownOutput
from gomd.jobs.lifecycle.submit import JobSubmission
from gomd.jobs.lifecycle.supervisors import Supervisors
from gomd.jobs.lifecycle.tracked import TrackedJob, own_obstacle
from gomd.jobs.lifecycle.tracker import JobTracker
from gomd.jobs.migration.disabled import NoMigrator
from gomd.jobs.migration.location import JobLocations
from gomd.jobs.recovery import JobRecovery
from libgomd.deadlines import within
from libgomd.errors import (
    Conflict,
    GomdError,
    NotFound,
    NotPossible,
    PeerUnreachable,
    TimedOut,
)
from libgomd.model import Caller, Counter, Job, JobState
from libgomd.wallclock import Wall
from libgomd.wire import frames, job_messages
from libgomd.wire.job_name import JobName
from libgomd.wire.job_orders import LockOrder

#: Jobs under way at once, where the configuration does not say.
DEFAULT_MAX_JOBS = 1000
#: Seconds that stopping waits for the disk.
CLOSE_TIMEOUT = 5.0


@implementer(IJobs)
class Jobs(Service):
    """
    :param remote: makes what reaches other nodes, given a function that tells whether the daemon still runs,
        and the changes of jobs.
    :param supervisors: starts the jobs that run on this node. :param placement: chooses nodes.
    :param journal: of the home table; it is opened when the service starts.
    :param wall: gives the time of stamps.
    :param peers: tell the homes of guests where these are. :param own_uid: the user this daemon runs as.
    :param migrator: makes what moves jobs.
    :param admission: how many jobs may be under way at once, of this home and guests together.
    :param output: how much output of detached jobs is kept.
    :param carry: how much a job may carry along.
    :param disk: threads for the spool, so that a disk that hangs occupies no others; ``threads`` without it.
    """

    _log: ClassVar[Logger] = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        members: IMembership,
        threads: IThreads,
        events: IEvents,
        remote: Callable[[Callable[[], bool], JobChanges], RemoteJobs],
        supervisors: Supervisors,
        placement: IPlacement,
        journal: Journal,
        peers: IPeers,
        *,
        wall: Wall,
        own_uid: int,
        admission: Admission | None = None,
        output: OutputLimits | None = None,
        disk: IThreads | None = None,
        carry: CarryLimits | None = None,
        migrator: Callable[[JobTracker, HomeTable, JobLocations], IMigrator] | None = None,
    ) -> None:
        self._members = members
        self._clock = clock
        self._supervisors = supervisors
        self._journal = journal
        self._changes = JobChanges(clock)
        self._table = HomeTable(
            members.own_id, journal, forgotten=self._forget_output, changed=self._changes.notify
        )
        self.carried = CarriedFiles(
            clock, members, peers, disk or threads, supervisors, carry or CarryLimits(), own_uid
        )
        tracker = self._tracker = JobTracker(
            clock, members, disk or threads, events, remote, supervisors, self._table, self._changes, wall,
            self.carried,
        )  # fmt: skip
        self._carry_server = CarryServer(self.carried.steps, supervisors, int(members.own_id), tracker.jobs)
        self._locations = JobLocations(
            clock, members, peers, tracker, self._table, lambda: not tracker.stopping
        )
        self._recovery = JobRecovery(int(members.own_id), supervisors, self._table, tracker, self._locations)
        self.migrator: IMigrator = NoMigrator("this daemon does not move processes")
        if migrator is not None:
            self.migrator = migrator(tracker, self._table, self._locations)
        self._shown = ShownOutput(clock, supervisors)
        limits = output or OutputLimits(supervisors.spool_bytes, 1 << 30, 1 << 32, supervisors.spool_reserve)
        self._kept = OutputQuota(
            clock, disk or threads, supervisors, self._table, tracker.jobs, int(members.own_id), limits
        )
        self._submission = JobSubmission(
            clock, members, threads, supervisors, placement, journal, self._table, tracker, own_uid,
            admission or Admission(own_uid, DEFAULT_MAX_JOBS), self._kept, wall,
            self.carried,
        )  # fmt: skip
        self._sweep = CarriedSweep(clock, self.carried, self._is_over, wall)
        self._following: Deferred[None] | None = None

    def run(self, caller: Caller, stream: FrameStream, guest: str = "") -> None:
        """See `IJobs.run`."""
        self._submission.run(caller, stream, guest)

    def startService(self) -> None:
        """
        Read the journal and find the jobs again that ran on while no daemon was there. Blocks briefly.

        A job whose files cannot be understood is logged, and keeps no other from being found.

        :raises OSError: the journal or the spool cannot be used at all.
        """
        super().startService()
        self._tracker.stopping = False
        self._supervisors.open()
        self._journal.open()
        self.carried.load()
        names = self._supervisors.names()
        self._table.load(name.number for name in names if name.home == self._members.own_id)
        leaving, coming = self.migrator.load()
        self._recovery.recover(names, leaving, coming)
        self.migrator.start()
        self._following = Deferred.fromCoroutine(self._tracker.follow(self.migrator.node_down))
        self._following.addErrback(lambda failure: None)  # cancelled when the service stops
        self._kept.start()
        self._sweep.start()

    def stopService(self) -> Deferred[None]:
        """Let go of every job; they go on, and are found again. Fires when the journal is written."""
        super().stopService()
        self._tracker.stopping = True
        self.migrator.stop()
        self._kept.stop()
        self._sweep.stop()
        if self._following is not None:
            self._following.cancel()
        self._tracker.release_all()
        self._supervisors.close()

        def late(failure: Failure) -> None:
            failure.trap(TimedOut)
            self._log.error("the disk does not take the journal of jobs: its last lines may be missing")

        closing = within(self._clock, CLOSE_TIMEOUT, self._journal.close(), TimedOut("the disk hangs"))
        return closing.addErrback(late)

    def _is_over(self, name: JobName) -> bool:
        if str(name) in self._tracker.jobs:
            return False
        job = self._table.get(name.number) if name.home == self._members.own_id else None
        return job is None or job.state.over

    def carry(self, caller: Caller, name: str, step: str, stream: FrameStream) -> None:
        """See `IJobs.carry`."""
        self._carry_server.serve(name, step, caller, stream)

    def check_carry(self, caller: Caller, name: str, step: str, node: int) -> None:
        """See `IJobs.check_carry`."""
        self._carry_server.check(caller, name, step, node)

    async def bring_home(self, job: Job) -> str:
        """See `IJobs.bring_home`."""
        if not job.state.over:
            raise Conflict(f"job {job.job} is not over: its files come home at its end")
        if not self.carried.has(job.name):
            raise NotFound(f"all carried files of job {job.job} are at home already")
        told = await self.carried.bring_home(job, job.node)
        if self.carried.has(job.name):
            raise NotPossible(told)
        return told

    def _forget_output(self, job: Job) -> None:
        if job.detached:
            self._tracker.remove(job.name)

    def rows(self, caller: Caller) -> Sequence[Job]:
        """See `IJobs.rows`."""
        return [job for job in self._table if caller.owns(job.uid)]

    def find(self, number: int, caller: Caller) -> Job:
        """See `IJobs.find`."""
        return self._table.find(number, caller)

    def of_pid(self, pid: int) -> Job | None:
        """See `IJobs.of_pid`."""
        return self._table.of_pid(pid)

    def pid_here(self, pid: int) -> int:
        """See `IJobs.pid_here`."""
        return self._table.pid_here(pid)

    def set_lock(self, name: str, lock: bool) -> None:
        """See `IJobs.set_lock`."""
        tracked = self._tracker.jobs.get(name)
        if tracked is None:
            raise NotFound(f"there is no job {name} here")
        if tracked.number is not None:
            self._table.change(tracked.number, lock=lock)
        if tracked.node == self._members.own_id:
            tracked.set_lock(lock)
            tracked.relay.to_job(job_messages.encode(LockOrder(lock)))

    def moved(self, name: str, node: int, nmigs: int) -> None:
        """See `IJobs.moved`."""
        self._locations.moved(name, node, nmigs)

    def written(self) -> Awaitable[None]:
        """See `IJobs.written`."""
        return self._table.written()

    def until(self, job: Job, condition: Callable[[], bool], timeout: float) -> Awaitable[bool]:
        """See `IJobs.until`."""
        return self._changes.until(job.job, condition, timeout)

    def here(self) -> Sequence[JobHere]:
        """See `IJobs.here`."""
        own = self._members.own_id
        tracked_here = [tracked for tracked in self._tracker.jobs.values() if tracked.runs_on(own)]
        return [job_here(tracked, self._table, self._cantmove(tracked)) for tracked in tracked_here]

    def _cantmove(self, tracked: TrackedJob) -> str:
        """Return why a job that runs here cannot be moved now, a clause; empty when nothing is known."""
        if tracked.leaving:
            return "it is being moved"
        known = "" if tracked.running is None else own_obstacle(tracked.running)
        return known or tracked.obstacle or self.migrator.cannot()

    def elsewhere(self) -> Sequence[Job]:
        """See `IJobs.elsewhere`."""
        own = self._members.own_id
        return [job for job in self._table if job.state is JobState.RUNNING and job.node != own]

    def check_attach(self, job: Job) -> None:
        """See `IJobs.check_attach`."""
        tracked = self._tracker.jobs.get(job.name)
        if tracked is not None and tracked.taken:
            raise Conflict(f"somebody is attached to job {job.job} already")
        if tracked is not None and tracked.number is None:
            raise Conflict(
                f"job {job.job} was begun when this node was node {job.home}: start gomd with [node] id = "
                f"{job.home} to reach it"
            )
        if tracked is None and not job.detached:
            raise NotFound(f"job {job.job} is over, exit {job.exit}: its output is not kept")
        if tracked is None and (gone := self._kept.why_gone(job)):
            raise NotFound(f"job {job.job} is over, exit {job.exit}: {gone}")

    def attach(self, job: Job, stream: FrameStream) -> None:
        """See `IJobs.attach`."""
        try:
            self.check_attach(job)
            tracked = self._tracker.jobs.get(job.name)
            if tracked is None or tracked.writer is not None:
                tracked = self._shown.show(job)
            self._tracker.attach(tracked, stream)
        except GomdError as error:
            stream.send(frames.failure(error))
            stream.close()

    def attach_guest(self, caller: Caller, name: str, stream: FrameStream) -> None:
        """See `IJobs.attach_guest`."""
        tracked = self._tracker.jobs.get(name)
        assert tracked is not None
        tracked.relay.drop_client()
        if tracked.running is not None:
            stream.send(job_messages.encode(tracked.running))
        tracked.relay.join_client(stream)
        if tracked.exit is not None and tracked.connected:
            stream.send(job_messages.encode(tracked.exit))

    def check_guest(self, caller: Caller, name: str) -> None:
        """See `IJobs.check_guest`."""
        self._locations.check_gone(name)
        tracked = self._tracker.jobs.get(name)
        if tracked is None or tracked.number is not None or not caller.owns(tracked.uid):
            raise NotFound(f"there is no job {name} of yours here")

    def signal(self, job: Job, number: int, group: bool) -> None:
        """See `IJobs.signal`."""
        tracked = self._tracker.jobs.get(job.name)
        if tracked is None or tracked.exit is not None:
            raise NotFound(f"job {job.job} is over, exit {job.exit}")
        if not tracked.connected:
            raise PeerUnreachable(f"job {job.job} on node {job.node} cannot be reached now: try again")
        tracked.relay.to_job(frames.encode_signal(number, group))

    def counters(self) -> Iterable[Counter]:
        """See `IJobs.counters`."""
        jobs = self._tracker.jobs
        kept, removed = self._kept.counts()
        return job_counters(
            self.migrator.counters(),
            started=self._tracker.jobs_started,
            held=len(jobs),
            running=sum(each.number is not None and each.exit is None for each in jobs.values()),
            known=len(tuple(self._table)),
            kept=kept,
            removed=removed,
            failed=self._journal.failed,
        )
