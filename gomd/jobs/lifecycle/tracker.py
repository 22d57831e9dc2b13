"""The jobs whose streams pass through this daemon: what happens when one starts, ends or is lost."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, ClassVar, Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from gomd.interfaces import IEvents, IMembership, IThreads
from gomd.jobs.home.changes import JobChanges
from gomd.jobs.home.output_writer import OutputWriter
from gomd.jobs.home.table import HomeTable
from gomd.jobs.lifecycle.carried_files import CarriedFiles
from gomd.jobs.lifecycle.frame_stream import FrameStream
from gomd.jobs.lifecycle.job_ends import JobEnds
from gomd.jobs.lifecycle.job_events import JobEvents
from gomd.jobs.lifecycle.job_phase import Phase
from gomd.jobs.lifecycle.reconnection import Reconnection
from gomd.jobs.lifecycle.remote_jobs import RemoteJobs
from gomd.jobs.lifecycle.removal import DirectoryRemoval
from gomd.jobs.lifecycle.supervisors import Supervisors
from gomd.jobs.lifecycle.tracked import TrackedJob, own_obstacle
from libgomd.errors import GomdError, InternalError, error_for
from libgomd.model import EventKind, Job, JobState
from libgomd.wallclock import Wall
from libgomd.wire import frames, job_messages
from libgomd.wire.job_messages import AttachedJob, JobExit, JobReport, StartFailure

_NO_WORD: Final = "its supervisor ended without a word"


class JobTracker:
    """
    Tracks jobs, as their observer (`gomd.jobs.lifecycle.tracked.JobObserver`).

    :param threads: for the disk.
    :param remote: makes what reaches other nodes, given a function that tells whether the daemon still
        runs.
    :param wall: gives the time of stamps. :param carried: brings home what jobs carry along; None:
        nothing does.
    :ivar events: where what happens to jobs is told. :ivar jobs: the jobs, by their names.
    :ivar jobs_started: how many of this home have begun.
    :ivar stopping: the daemon stops: connections that end now say nothing about jobs.
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
        table: HomeTable,
        changes: JobChanges,
        wall: Wall,
        carried: CarriedFiles | None = None,
    ) -> None:
        self.carried = carried
        self._clock = clock
        self._members = members
        self._threads = threads
        self._events = events
        self.remote = remote(self._is_running, changes)
        self._supervisors = supervisors
        self._table = table
        self.events = JobEvents(members, events, wall)
        own_id = int(members.own_id)
        self._ends = JobEnds(own_id, table, self.events, threads, supervisors, carried, wall, self)
        self._reconnection = Reconnection(clock, own_id, table, self.remote, supervisors, self)
        self._changes = changes
        self._removal = DirectoryRemoval(threads, supervisors, self._is_running)
        self.jobs: dict[str, TrackedJob] = {}
        self.jobs_started = 0
        self.stopping = False

    def _is_running(self) -> bool:
        return not self.stopping

    # -- which jobs

    def new(self, job: Job, phase: Phase = Phase.STARTING) -> TrackedJob:
        """Return a job of this home, which is not tracked yet."""
        return TrackedJob(self._clock, self, job.name, job.uid, job.node, number=job.job, phase=phase)

    def new_guest(
        self, name: str, uid: int, phase: Phase = Phase.STARTING, running: JobReport | None = None
    ) -> TrackedJob:
        """Return a job of another home on this node, which is not tracked yet."""
        return TrackedJob(self._clock, self, name, uid, self._members.own_id, phase=phase, running=running)

    def track(self, tracked: TrackedJob) -> None:
        """Track a job from here on."""
        self.jobs[tracked.name] = tracked

    def is_tracked(self, tracked: TrackedJob) -> bool:
        """Whether it is this one, and not another one of its name, that is tracked."""
        return self.jobs.get(tracked.name) is tracked

    def release(self, tracked: TrackedJob) -> None:
        """Track a job no more; its connections are closed."""
        self.jobs.pop(tracked.name, None)
        tracked.release()

    def release_all(self) -> None:
        """The daemon stops: close all connections; the jobs go on."""
        for tracked in tuple(self.jobs.values()):
            tracked.relay.close()
        self.jobs.clear()

    def remove(self, name: str) -> None:
        """Have the directory of a job that is over removed in its turn."""
        self._removal.remove(name)

    def recover(self, tracked: TrackedJob) -> None:
        """Track a job that ran on while no daemon was there, and find it."""
        self.track(tracked)
        if tracked.number is not None and tracked.node != self._members.own_id:
            self.keep_output_if_detached(tracked)
            self.job_disconnected(tracked)
        else:
            self._reconnection.to_supervisor(tracked)

    async def follow(self, node_down: Callable[[int], None]) -> None:
        """
        Look after the jobs of a node that goes down, as their connections may not tell. Ends when
        cancelled.

        :param node_down: called with the id of that node afterwards.
        """
        following = self._events.follow()
        try:
            async for event in following:
                if event.kind is EventKind.DOWN and event.node != self._members.own_id:
                    for tracked in tuple(self.jobs.values()):
                        if tracked.number is not None and tracked.node == event.node:
                            tracked.relay.abort_job()
                    node_down(event.node)
        finally:
            await following.aclose()

    # -- callers and kept output

    def attach(self, tracked: TrackedJob, client: FrameStream, asked: bool = False) -> None:
        """
        Tell the caller at ``client`` what it is attached to, and let its frames through.

        :param asked: the first of them is an ATTACH that went to the job's end with the description of the
            job. It is passed on again unless that end has answered it.
        """
        assert tracked.number is not None
        job = self._table.get(tracked.number)
        assert job is not None
        tty = tracked.running is not None and tracked.running.tty
        client.send(job_messages.encode(AttachedJob(job.job, job.home, job.node, job.pid, job.detached, tty)))
        if tracked.writer is not None:
            client.close()  # its output is kept; `attach` shows it
            return
        running = tracked.running
        if asked and running is not None and running.attached and not tracked.relay.unheard:
            client.drop_early_frame()
        client.pause_reading(False)
        tracked.relay.join_client(client)
        if client.gone:
            tracked.relay.drop_client()
            tracked.on_client_lost()

    def keep_output_if_detached(self, tracked: TrackedJob) -> None:
        """Let the output of a detached job that runs on another node be written to files here."""
        job = None if tracked.number is None else self._table.get(tracked.number)
        if job is not None and job.detached and tracked.node != self._members.own_id:
            tracked.keep_output(
                OutputWriter(
                    self._threads, self._supervisors.directory(tracked.name), self._supervisors.spool_bytes,
                    self._supervisors.spool_reserve,
                )
            )  # fmt: skip

    # -- what the jobs tell

    def job_started(self, tracked: TrackedJob, first_time: bool) -> None:
        """See `JobObserver.job_started`."""
        running = tracked.running
        if tracked.number is None or running is None:
            return
        tracked.relay.holds_exit = self._ends.carries(tracked)
        cantmove = own_obstacle(running)
        job = self._table.started(tracked.number, tracked.node, running.pid, cantmove, running.identity)
        if first_time:
            self.jobs_started += 1
            self.events.started(job)

    def job_failed(self, tracked: TrackedJob, failure: StartFailure) -> None:
        """See `JobObserver.job_failed`."""
        if tracked.phase is Phase.STARTING and not tracked.begun.called:
            tracked.fail(_error(failure))
            if tracked.number is None:
                self.release(tracked)
        elif tracked.number is not None:
            self.lose(tracked, failure.text)

    def job_ended(self, tracked: TrackedJob) -> None:
        """See `JobObserver.job_ended`."""
        assert tracked.exit is not None
        if tracked.number is None:
            if tracked.orphaned:
                tracked.collect()
            return  # its home says when it has written the exit status down
        self._ends.ended(tracked)

    def job_collected(self, tracked: TrackedJob) -> None:
        """See `JobObserver.job_collected`. Its end may forget it once it is written here how it ended."""
        if tracked.number is None:
            tracked.collect()
            return

        async def collect() -> None:
            await self._table.written()
            tracked.collect()

        self.soon(collect())

    def job_connected(self, tracked: TrackedJob) -> None:
        """See `JobObserver.job_connected`."""
        if tracked.number is not None:
            self._changes.notify(tracked.number)

    def job_disconnected(self, tracked: TrackedJob) -> None:
        """See `JobObserver.job_disconnected`: it has ended as it should, or is to be found again."""
        if self.stopping or not self.is_tracked(tracked) or tracked.supervisor_lost():
            return
        if tracked.phase is Phase.STARTING:
            failure = StartFailure(500, "the connection to the job ended before it began")
            if tracked.number is None:  # no supervisor has told its home, which would wait without end
                tracked.relay.to_client(job_messages.encode(failure))
            self.job_failed(tracked, failure)
        elif tracked.exit is not None:
            if not tracked.bringing:
                self.release(tracked)
        else:
            self.find_again(tracked)

    def client_lost(self, tracked: TrackedJob) -> None:
        """See `JobObserver.client_lost`: a job that is not detached ends with its caller."""
        if self.stopping:
            return
        tracked.relay.to_job(frames.encode_attach(frames.AttachRequest(detach=True)))
        job = None if tracked.number is None else self._table.get(tracked.number)
        if job is None:
            return
        if tracked.exit is not None:
            self.job_collected(tracked)
        elif not job.detached:
            tracked.hang_up()

    def lose(self, tracked: TrackedJob, why: str) -> None:
        """Give a job up, and say so."""
        self._ends.lost(tracked, why)

    # -- finding jobs again

    def find_again(self, tracked: TrackedJob) -> None:
        """Find a job again where it should be, or give it up."""
        self._reconnection.find(tracked)

    def supervisor_gone(self, tracked: TrackedJob, exit: JobExit | None) -> None:
        """See `ReconnectionListener.supervisor_gone`."""
        if tracked.supervisor_lost():
            return
        if tracked.number is None:
            tracked.relay.to_client(frames.failure(InternalError(_NO_WORD)))
            self.release(tracked)
            self.remove(tracked.name)  # on a thread: its temporary files may be many
            if self.carried is not None:
                self.soon(self.carried.moves.left(tracked.name))
        elif exit is not None and self._ends.carries(tracked):
            tracked.end(exit)
            self.job_ended(tracked)
        elif exit is not None:
            self._ends.note(tracked.number, JobState.DONE, exit.exit, exit.reason)
            self.release(tracked)
        else:
            self.lose(tracked, _NO_WORD)
            self.remove(tracked.name)

    def soon(self, waited: Awaitable[Any]) -> None:
        """Run something that nobody waits for; a failure is logged."""

        async def wait() -> None:
            await waited

        Deferred.fromCoroutine(wait()).addErrback(
            lambda failure: self._log.failure("looking after a job failed", failure=failure)
        )


def _error(failure: StartFailure) -> GomdError:
    """Return the error that a supervisor tells. 126 and 127 are a shell's, and stay what they are."""
    if failure.code >= 400:
        return error_for(failure.code, failure.text)
    error = InternalError(failure.text)
    error.code = failure.code
    return error
