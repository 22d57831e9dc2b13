"""Where jobs are after they moved: what their home, their old node and their new one note and tell."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from twisted.internet.defer import DeferredSemaphore
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from gomd.interfaces import IMembership, IPeers
from gomd.jobs.home.table import HomeTable
from gomd.jobs.lifecycle.frame_stream import FrameStream
from gomd.jobs.lifecycle.tracked import Phase, TrackedJob
from gomd.jobs.lifecycle.tracker import JobTracker
from libgomd.errors import Conflict, GomdError, NotFound, PeerUnreachable
from libgomd.model import Caller, EventKind, Job, Role
from libgomd.wire import frames
from libgomd.wire.job_messages import RunningJob
from libgomd.wire.job_name import JobName
from libgomd.wire.lines import OK, Request

#: The request by which a home is told where a job of it is.
VERB = "moved"
_DAEMON = Caller(Role.ADMIN, "root", 0, "migration")
_NOT_FOUND, _CONFLICT = 404, 409
_KILL = 9
#: Seconds between two attempts to tell a home.
AGAIN = 5.0
#: Jobs that one home is told of at the same time.
_TOLD_AT_ONCE = 4


class JobLocations:
    """:param running: tells whether the daemon still runs."""

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

    def went(self, name: str, node_id: int, nmigs: int) -> None:
        """It is decided that a job that ran here runs on ``node_id``. May be said twice."""
        tracked = self._tracker.jobs.get(name)
        if tracked is None or tracked.number is None:
            self._gone[name] = node_id
            self._tracker.publish(EventKind.MIGRATED, node_id, f"guest {name} moved to node {node_id}")
            return
        job = self._table.get(tracked.number)
        if job is not None and not job.state.over and job.nmigs < nmigs:
            tracked.moved_to(node_id)
            self._say(self._table.went(tracked.number, node_id, nmigs))

    def left(self, name: str, node_id: int) -> None:
        """Nothing of it is left here: reach it where it is, or let its home do so."""
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
        """See whether a guest was here that runs elsewhere now, or may come. :raises Conflict: so it is."""
        if name in self._expected:
            raise Conflict(f"job {name} is being moved here")
        if name in self._gone:
            raise Conflict(f"job {name} moved to node {self._gone[name]}")

    def forget(self, name: str, node_id: int) -> None:
        """Its home knows that it went to ``node_id``."""
        if self._gone.get(name) == node_id:
            del self._gone[name]

    def expect(self, name: str, expected: bool) -> None:
        """Take note that a copy of a job is here that may be let run, or that this is settled."""
        (self._expected.add if expected else self._expected.discard)(name)

    # -- where it is

    def arrived(self, name: str, stream: FrameStream, running: RunningJob, nmigs: int) -> None:
        """
        A job runs here now.

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
            self._tracker.publish(
                EventKind.MIGRATED, tracked.node, f"guest {name} moved to node {tracked.node}"
            )
            self.tell(tracked, nmigs)

    def _came_home(self, number: int, stream: FrameStream, running: RunningJob, nmigs: int) -> None:
        job = self._table.get(number)
        tracked = None if job is None else self._tracker.jobs.get(job.name)
        if job is None or tracked is None or job.state.over:
            stream.send(frames.encode_signal(_KILL, True))  # it was given up meanwhile
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
        """Tell the home of a guest that it is here; end the guest when its home knows it no more."""

        async def work() -> None:
            if not await self.tell_home(tracked.name, self._members.own_id, nmigs):
                self._end_orphan(tracked)

        self._tracker.soon(work())

    async def tell_home(self, name: str, node_id: int, nmigs: int) -> bool:
        """Tell a home where a job of it is, until it has heard; return whether it knows the job."""
        home = str(JobName.parse(name).home)
        request = Request(VERB, (name, str(node_id), str(nmigs)))
        turns = self._telling.setdefault(home, DeferredSemaphore(_TOLD_AT_ONCE))
        while self._running():
            try:
                await turns.acquire()
                try:
                    reply = await self._peers.ask(self._members.find(home), request, _DAEMON, False)
                finally:
                    turns.release()
                if reply.code in (OK, _NOT_FOUND, _CONFLICT):  # the last: it knows something newer
                    return reply.code != _NOT_FOUND
            except GomdError as error:
                self._log.debug("node {home} is not told now: {error}", home=home, error=error)
            await deferLater(self._clock, AGAIN)
        return True

    def _end_orphan(self, tracked: TrackedJob) -> None:
        if self._tracker.jobs.get(tracked.name) is tracked and tracked.relay.client is None:
            self._log.warn("the home of job {job} has given it up: ending it", job=tracked.name)
            tracked.end_orphan(_KILL)

    def moved(self, name: str, node_id: int, nmigs: int) -> None:
        """See `IJobs.moved`."""
        if not self._running():
            raise PeerUnreachable("gomd stops")  # no job is known any more: that says nothing about it
        number = JobName.parse(name).number
        job, tracked = self._table.get(number), self._tracker.jobs.get(name)
        if job is None and self._table.is_damaged(number):
            raise Conflict(f"what was noted of job {name} was damaged on the disk: it goes on unattended")
        if job is None or tracked is None or job.name != name or job.state.over:
            raise NotFound(f"there is no job {name} any more")
        if tracked.leaving:
            return  # it moved from here: its own migration says so when what is left of it here is ended
        if job.nmigs >= nmigs:
            if job.node != node_id:
                raise Conflict(f"job {name} is on node {job.node}, after {job.nmigs} moves")
            return
        tracked.moved_to(node_id)
        self._say(self._table.went(number, node_id, nmigs))
        tracked.relay.drop_job()
        self._tracker.find_again(tracked)

    def _say(self, job: Job) -> None:
        text = f"job {job.job} of {job.user} moved to node {job.node}: {job.command}"
        self._tracker.publish(EventKind.MIGRATED, job.node, text)
