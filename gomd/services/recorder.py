"""Records nodes, events and jobs in the history; samples and scans come there by themselves."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import ClassVar

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from gomd.interfaces import IEvents, ISampleLog, IThreads
from libgomd.model import Event, Job, Node
from libgomd.shared_wakeups import SharedWakeups
from libgomd.wallclock import Wall

#: Seconds between two records of all nodes and jobs; the row of a node's minute has the values of several.
LOOK_PERIOD = 10.0
#: Seconds that one write may take where the history blocks.
WRITE_TIMEOUT = 10.0
#: The largest number of jobs that are remembered as written; more are only written again.
MAX_JOBS = 20_000


class Recorder(Service):
    """
    Records all nodes and jobs every few seconds, and follows events.

    :param nodes: gives all nodes. :param jobs: gives the jobs of this home.
    :param hidden: tells whether this node hides the jobs of other users now.
    """

    _log: ClassVar[Logger] = Logger()

    def __init__(
        self,
        history: ISampleLog,
        events: IEvents,
        nodes: Callable[[], Sequence[Node]],
        jobs: Callable[[], Sequence[Job]],
        hidden: Callable[[], bool],
        threads: IThreads,
        clock: IReactorTime,
        wall: Wall,
    ) -> None:
        self._history = history
        self._events = events
        self._nodes = nodes
        self._jobs = jobs
        self._hidden = hidden
        self._threads = threads
        self._wall = wall
        self._written: dict[str, Job] = {}
        self._following: Deferred[None] | None = None
        self._loop = LoopingCall(self.look)
        self._loop.clock = SharedWakeups(clock)

    def startService(self) -> None:
        """Begin to record."""
        super().startService()
        self._following = Deferred.fromCoroutine(self._follow())
        self._following.addErrback(self._ended)
        self._loop.start(LOOK_PERIOD, now=False)

    def stopService(self) -> None:
        """Record a last time, and stop."""
        super().stopService()
        if self._loop.running:
            self._loop.stop()
            self.look()
        following, self._following = self._following, None
        if following is not None:
            following.cancel()

    def look(self) -> None:
        """Write all nodes, and the jobs that have changed. Never raises."""
        try:
            now = self._wall()
            nodes = self._nodes()
            changed = self._changed_jobs()
            if self._history.blocks:
                self._on_thread(self._history.write_nodes, nodes, now)
                self._on_thread(self._history.write_jobs, changed, now)
            else:
                self._history.write_nodes(nodes, now)
                self._history.write_jobs(changed, now)
        except Exception:  # noqa: BLE001 - a bug: say so, and stay up
            self._log.failure("nodes and jobs were not recorded")

    def _changed_jobs(self) -> list[Job]:
        jobs = self._jobs()
        last, self._written = self._written, {job.name: job for job in jobs[:MAX_JOBS]}
        return [job for job in jobs if last.get(job.name) != job]

    async def _follow(self) -> None:
        followed = self._events.follow()
        try:
            async for event in followed:
                self._write_event(event)
        finally:
            if not sys.is_finalizing():  # a start that failed ends the process with this coroutine in it
                await followed.aclose()

    def _write_event(self, event: Event) -> None:
        hidden = self._hidden()
        if self._history.blocks:
            self._on_thread(self._history.write_event, event, hidden)
        else:
            self._history.write_event(event, hidden)

    def _on_thread(self, write: Callable[..., None], *values: object) -> None:
        async def run() -> None:
            try:
                await self._threads.run(WRITE_TIMEOUT, write, *values)
            except Exception as error:  # noqa: BLE001 - the store counts what it loses
                self._log.warn("a record was not written: {error}", error=error)

        Deferred.fromCoroutine(run())

    def _ended(self, failure: Failure) -> None:
        if not failure.check(CancelledError):
            self._log.failure("events are not recorded any more", failure=failure)
