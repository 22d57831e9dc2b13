"""How the jobs of this home end: what they carried comes home, then their end is written down and told."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any, ClassVar, Final, Protocol

from twisted.logger import Logger

from gomd.interfaces import IThreads
from gomd.jobs.home.table import LOST_EXIT, HomeTable
from gomd.jobs.lifecycle.carried_files import CarriedFiles
from gomd.jobs.lifecycle.job_events import JobEvents
from gomd.jobs.lifecycle.supervisors import Supervisors
from gomd.jobs.lifecycle.tracked import TrackedJob
from libgomd.errors import GomdError
from libgomd.model import JobState
from libgomd.wallclock import Wall
from libgomd.wire import job_messages
from libgomd.wire.job_messages import JobExit

#: Seconds that the disk may take for one small file.
DISK_TIMEOUT: Final = 60.0


class EndListener(Protocol):
    """
    Tracks the jobs that end.

    :ivar stopping: the daemon stops, and nothing is told any more.
    """

    stopping: bool

    def is_tracked(self, tracked: TrackedJob) -> bool:
        """Whether this job is still looked after."""

    def release(self, tracked: TrackedJob) -> None:
        """Track a job no more."""

    def job_collected(self, tracked: TrackedJob) -> None:
        """The end of this job has been told to everybody who waits for it."""

    def soon(self, waited: Awaitable[Any]) -> None:
        """Run something that nobody waits for; a failure is logged."""


class JobEnds:
    """
    :param own_id: this node's id. :param carried: brings home what jobs carry along; None: nothing does.
    :param wall: gives the time of stamps.
    """

    _log: ClassVar[Logger] = Logger()

    def __init__(
        self,
        own_id: int,
        table: HomeTable,
        events: JobEvents,
        threads: IThreads,
        supervisors: Supervisors,
        carried: CarriedFiles | None,
        wall: Wall,
        listener: EndListener,
    ) -> None:
        self._own_id = own_id
        self._table = table
        self._events = events
        self._threads = threads
        self._supervisors = supervisors
        self._carried = carried
        self._wall = wall
        self._listener = listener

    def carries(self, tracked: TrackedJob) -> bool:
        """Whether files that a job of this home has taken along are still to come home."""
        return self._carried is not None and tracked.number is not None and self._carried.has(tracked.name)

    def ended(self, tracked: TrackedJob) -> None:
        """A job of this home has ended, see `TrackedJob.exit`."""
        if self.carries(tracked):
            tracked.begin_bringing()
            self._listener.soon(self._bring_home(tracked))
        else:
            self._finish(tracked)

    async def _bring_home(self, tracked: TrackedJob) -> None:
        """Bring home what a job that has ended carried along, and then tell of its end."""
        assert self._carried is not None
        assert tracked.exit is not None
        exit, job = tracked.exit, self._table.get(tracked.number or 0)
        if job is not None:
            told = await self._carried.bring_home(job, tracked.node)
            exit = exit._replace(reason="; ".join(filter(None, (exit.reason, told))))
            if told and job.detached and tracked.node == self._own_id:
                await self._write_exit(tracked.name, exit)
        if self._listener.stopping:
            return  # the next daemon merges again, which changes nothing that is merged already
        tracked.brought_home(exit)
        self._finish(tracked)
        if self._listener.is_tracked(tracked) and not tracked.connected:
            self._listener.release(tracked)

    async def _write_exit(self, name: str, exit: JobExit) -> None:
        try:
            await self._threads.run(DISK_TIMEOUT, self._supervisors.write_exit, name, exit)
        except GomdError as error:
            self._log.warn("the end of job {job} is not written down: {error}", job=name, error=error)

    def _finish(self, tracked: TrackedJob) -> None:
        """Write down how a job has ended; its supervisor may go when nobody waits to hear of it."""
        assert tracked.exit is not None
        assert tracked.number is not None
        self.note(tracked.number, JobState.DONE, tracked.exit.exit, tracked.exit.reason)
        job = self._table.get(tracked.number)
        if tracked.relay.client is None and (tracked.hung_up or job is None or job.detached):
            self._listener.job_collected(tracked)

    def lost(self, tracked: TrackedJob, why: str) -> None:
        """Give a job up, and tell its caller."""
        assert tracked.number is not None
        if self._carried is not None and (told := self._carried.lost(tracked.name)):
            why = f"{why}; {told}"
        exit = JobExit(LOST_EXIT, f"job {tracked.number} is lost: {why}", lost=True)
        tracked.end(exit)
        self.note(tracked.number, JobState.LOST, LOST_EXIT, why)
        tracked.relay.to_client(job_messages.encode(exit))
        self._listener.release(tracked)

    def note(self, number: int, state: JobState, exit: int, reason: str) -> None:
        """Write down that a job is over, and publish it; does nothing when that is known."""
        job = self._table.get(number)
        if job is None or job.state.over:
            return
        job = self._table.change(number, state=state, exit=exit, reason=reason, ended=self._wall())
        self._events.ended(job)
