"""Connects again to jobs whose connection has ended: on other nodes, and to the supervisors of this node."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any, ClassVar, Final, Protocol

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from gomd.jobs.home.table import HomeTable
from gomd.jobs.lifecycle.frame_stream import FrameStream
from gomd.jobs.lifecycle.job_phase import Phase
from gomd.jobs.lifecycle.remote_jobs import RemoteJobs
from gomd.jobs.lifecycle.supervisors import GONE, Supervisors
from gomd.jobs.lifecycle.tracked import TrackedJob
from libgomd.wire.job_messages import JobExit

#: Seconds until a supervisor is tried again that could not be asked: no descriptor is free, it is busy.
RETRY_INTERVAL: Final = 1.0


class ReconnectionListener(Protocol):
    """
    Decides what becomes of jobs that are not found.

    :ivar stopping: the daemon stops, and no job is looked for any more.
    """

    stopping: bool

    def is_tracked(self, tracked: TrackedJob) -> bool:
        """Whether this job is still looked after."""

    def lose(self, tracked: TrackedJob, why: str) -> None:
        """Give a job of another node up."""

    def supervisor_gone(self, tracked: TrackedJob, exit: JobExit | None) -> None:
        """:param exit: what its supervisor has written before it ended, None when it has not."""

    def soon(self, waited: Awaitable[Any]) -> None:
        """Run something that nobody waits for; a failure is logged."""


class Reconnection:
    """
    :param own_id: this node's id. :param remote: reaches other nodes. :param listener: takes the outcomes.
    """

    _log: ClassVar[Logger] = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        own_id: int,
        table: HomeTable,
        remote: RemoteJobs,
        supervisors: Supervisors,
        listener: ReconnectionListener,
    ) -> None:
        self._clock = clock
        self._own_id = own_id
        self._table = table
        self._remote = remote
        self._supervisors = supervisors
        self._listener = listener

    def find(self, tracked: TrackedJob) -> None:
        """Find a job again where it should be, or have the listener give it up."""
        if tracked.number is not None and tracked.node != self._own_id:
            if not tracked.seeking_node:
                self._listener.soon(self._find_on_node(tracked, tracked.number))
        else:
            self.to_supervisor(tracked)

    async def _find_on_node(self, tracked: TrackedJob, number: int) -> None:
        """Find a job on another node again, or give it up."""
        job = self._table.get(number)
        assert job is not None
        tracked.note_seeking(True)
        try:
            found = await self._remote.find(job, lambda: self._table.get(number) or job)
        finally:
            tracked.note_seeking(False)
        if not self._listener.is_tracked(tracked) or tracked.node == self._own_id:
            if isinstance(found, FrameStream):
                found.close()
        elif isinstance(found, FrameStream):
            tracked.connect(found)
            tracked.resume()
        elif tracked.phase is not Phase.ARRIVING:
            self._listener.lose(tracked, found)
            await self._remote.end_leftover(job)

    def to_supervisor(self, tracked: TrackedJob) -> None:
        """Connect to the supervisor of a job of this node, or else find what it has left behind."""
        exit = None
        try:
            stream = self._supervisors.connect(tracked.name)
        except OSError as error:
            try:
                if error.errno not in GONE:
                    raise
                exit = self._supervisors.read_exit(tracked.name)
            except OSError as trouble:  # that says nothing about the job
                if not tracked.supervisor_silent:
                    self._log.warn(
                        "the supervisor of job {job} cannot be asked now, trying again: {error}",
                        job=tracked.name, error=trouble,
                    )  # fmt: skip
                tracked.note_silent(True)
                self._clock.callLater(RETRY_INTERVAL, self._reconnect_later, tracked)
                return
            tracked.note_silent(False)
            self._listener.supervisor_gone(tracked, exit)
        else:
            tracked.connect(stream)
            tracked.resume()

    def _reconnect_later(self, tracked: TrackedJob) -> None:
        if not self._listener.stopping and self._listener.is_tracked(tracked) and not tracked.connected:
            self.to_supervisor(tracked)
