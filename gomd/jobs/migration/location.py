"""Tracks on which node each job runs after a move, and tells the job's home."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import ClassVar, Final

from twisted.internet.defer import DeferredSemaphore
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from gomd.interfaces import IMembership, IPeers, MoveCost
from gomd.jobs.home.table import HomeTable
from gomd.jobs.lifecycle.frame_stream import FrameStream
from gomd.jobs.lifecycle.job_phase import Phase
from gomd.jobs.lifecycle.tracked import TrackedJob
from gomd.jobs.lifecycle.tracker import JobTracker
from libgomd.errors import Conflict, GomdError, NotFound, PeerUnreachable
from libgomd.model import Caller, EventKind, Job, Role
from libgomd.wire import frames
from libgomd.wire.job_messages import JobReport
from libgomd.wire.job_name import JobName
from libgomd.wire.lines import OK, Request

#: The request by which a home is told on which node its job is.
VERB: Final = "moved"
_DAEMON: Final = Caller(Role.ADMIN, "root", 0, "migration")
_KILL: Final = int(signal.SIGKILL)
#: Seconds between two attempts to tell a home.
RETRY_INTERVAL: Final = 5.0
#: Maximum number of jobs of which one home is told at the same time.
_MAX_CONCURRENT_NOTICES: Final = 4


class JobLocations:
    """
    Notes moves in the home's table and among the tracked jobs.

    :param running: tells whether the daemon still runs.
    """

    _log: ClassVar[Logger] = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        members: IMembership,
        peers: IPeers,
        tracker: JobTracker,
        table: HomeTable,
        running: Callable[[], bool],
    ) -> None:
        self._clock = clock
        self._members = members
        self._peers = peers
        self._tracker = tracker
        self._table = table
        self._running = running
        self._gone: dict[str, int] = {}
        self._expected: set[str] = set()
        self._telling: dict[str, DeferredSemaphore] = {}

    # -- where it was

    def went(self, name: str, node_id: int, nmigs: int, pid: int | None = None) -> None:
        """
        Note that it is decided that a job of this node runs on ``node_id``. May be called twice.

        :param pid: of its first process there; None: that is told when it is connected to.
        """
        tracked = self._tracker.jobs.get(name)
        if tracked is None or tracked.number is None:
            self._gone[name] = node_id
            return
        job = self._table.get(tracked.number)
        if job is not None and not job.state.over and job.nmigs < nmigs:
            tracked.moved_to(node_id)
            self._table.went(tracked.number, node_id, nmigs, pid)

    def announce(self, name: str, node_id: int, cost: MoveCost) -> None:
        """Publish that a job of this node runs on ``node_id`` now, and what the move took."""
        tracked = self._tracker.jobs.get(name)
        job = None if tracked is None or tracked.number is None else self._table.get(tracked.number)
        if job is not None:
            self._say(job, cost)
        elif tracked is None or tracked.number is None:
            text = f"guest {name} moved to node {node_id}"
            self._tracker.events.publish(EventKind.MIGRATED, node_id, text, None, cost)

    def left(self, name: str, node_id: int) -> None:
        """Reach a job on the node to which it went, or leave that to its home: nothing of it is left here."""
        tracked = self._tracker.jobs.get(name)
        if tracked is None:
            return
        tracked.stop_leaving()
        if tracked.number is None:
            self._tracker.release(tracked)
            return
        tracked.relay.drop_job()
        job = self._table.get(tracked.number)
        if job is not None and job.detached:
            tracked.relay.drop_client()
            self._tracker.keep_output_if_detached(tracked)
        self._tracker.find_again(tracked)

    def check_gone(self, name: str) -> None:
        """:raises Conflict: a guest of that name was here and runs elsewhere now, or is being moved here."""
        if name in self._expected:
            raise Conflict(f"job {name} is being moved here")
        if name in self._gone:
            raise Conflict(f"job {name} moved to node {self._gone[name]}")

    def forget(self, name: str, node_id: int) -> None:
        """Forget that a guest went to ``node_id``, now that its home knows."""
        if self._gone.get(name) == node_id:
            del self._gone[name]

    def expect(self, name: str, expected: bool) -> None:
        """Note that a stopped copy of a job is here that may be let run, or that this is settled."""
        (self._expected.add if expected else self._expected.discard)(name)

    # -- where it is

    def arrived(self, name: str, stream: FrameStream, running: JobReport, nmigs: int) -> None:
        """
        Note that a job runs on this node now.

        :param stream: the connection to its supervisor. :param running: how that describes it.
        """
        self._gone.pop(name, None)
        self.expect(name, False)
        job = JobName.parse(name)
        if job.home == self._members.own_id:
            self._came_home(job.number, stream, running, nmigs)
        else:
            tracked = self._tracker.new_guest(name, running.uid, Phase.RUNNING, running)
            self._tracker.track(tracked)
            tracked.connect(stream)
            text = f"guest {name} moved to node {tracked.node}"
            self._tracker.events.publish(EventKind.MIGRATED, tracked.node, text, tracked.uid)
            self.tell(tracked, nmigs)

    def _came_home(self, number: int, stream: FrameStream, running: JobReport, nmigs: int) -> None:
        job = self._table.get(number)
        tracked = None if job is None else self._tracker.jobs.get(job.name)
        if job is None or tracked is None or job.state.over:
            stream.send(frames.encode_signal(_KILL, True))  # its home has given it up meanwhile
            self._collect(stream)
            return
        tracked.came_home(self._members.own_id, running)
        if job.nmigs < nmigs:
            job = self._table.came(number, running.pid, nmigs)
            self._table.change(number, cantmove=running.cantmove)
            self._say(job)
        tracked.stop_keeping()
        tracked.connect(stream)
        tracked.resume()

    def _collect(self, stream: FrameStream) -> None:
        def take(frame: frames.Frame) -> None:
            if frame.kind == frames.EXIT:
                stream.send(frames.encode(frames.COLLECTED))
                stream.close()

        stream.listen(take)

    # -- the home, and what it is told

    def tell(self, tracked: TrackedJob, nmigs: int) -> None:
        """Tell the home of a guest that it is here; end the guest when its home does not know it any more."""

        async def work() -> None:
            if not await self.tell_home(tracked.name, self._members.own_id, nmigs):
                self._end_orphan(tracked)

        self._tracker.soon(work())

    async def tell_home(self, name: str, node_id: int, nmigs: int) -> bool:
        """Tell a home on which node its job is until it has answered. :returns: whether it knows the job."""
        home = str(JobName.parse(name).home)
        request = Request(VERB, (name, str(node_id), str(nmigs)))
        slots = self._telling.setdefault(home, DeferredSemaphore(_MAX_CONCURRENT_NOTICES))
        while self._running():
            try:
                await slots.acquire()
                try:
                    reply = await self._peers.ask(self._members.find(home), request, _DAEMON, False)
                finally:
                    slots.release()
                if reply.code in (OK, NotFound.code, Conflict.code):  # the last: it knows of a later move
                    return reply.code != NotFound.code
            except GomdError as error:
                self._log.debug(
                    "node {home} cannot be told now where its job is: {error}", home=home, error=error
                )
            await deferLater(self._clock, RETRY_INTERVAL)
        return True

    def _end_orphan(self, tracked: TrackedJob) -> None:
        if self._tracker.jobs.get(tracked.name) is tracked and tracked.relay.client is None:
            self._log.warn("job {job} is ended because its home does not know it any more", job=tracked.name)
            tracked.end_orphan(_KILL)

    def moved(self, name: str, node_id: int, nmigs: int) -> None:
        """See `IJobs.moved`."""
        if not self._running():
            raise PeerUnreachable(
                "this daemon is stopping"
            )  # it has let go of its jobs: NotFound would end the job
        number = JobName.parse(name).number
        job, tracked = self._table.get(number), self._tracker.jobs.get(name)
        if job is None and self._table.is_damaged(number):
            raise Conflict(f"the record of job {name} was damaged on the disk: the job runs on unattended")
        if job is None or tracked is None or job.name != name or job.state.over:
            raise NotFound(f"there is no job {name} any more")
        if tracked.leaving:
            return  # it moved from here: its own migration notes that when nothing of it is left here
        if job.nmigs >= nmigs:
            if job.node != node_id:
                raise Conflict(f"job {name} is on node {job.node}, after {job.nmigs} moves")
            return
        if (
            tracked.runs_on(self._members.own_id)
            and tracked.connected
            and tracked.phase is not Phase.ARRIVING
        ):
            # Its supervisor is connected: only this node moves it from here, and has not.
            raise Conflict(f"job {name} runs here, at its home: it has not moved to node {node_id}")
        tracked.moved_to(node_id)
        self._say(self._table.went(number, node_id, nmigs))
        tracked.relay.drop_job()
        self._tracker.find_again(tracked)

    def _say(self, job: Job, cost: MoveCost | None = None) -> None:
        text = f"job {job.job} of {job.user} moved to node {job.node}: {job.command}"
        self._tracker.events.publish(EventKind.MIGRATED, job.node, text, job.uid, cost)
