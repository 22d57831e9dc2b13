"""What happens to the jobs whose streams pass through this daemon: begun, ended, broken off, found again."""

from __future__ import annotations

import errno
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, ClassVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from gomd.interfaces import IEvents, IMembership, IThreads
from gomd.jobs.home.output_writer import OutputWriter
from gomd.jobs.home.table import LOST_EXIT, HomeTable
from gomd.jobs.lifecycle.control import SupervisorControl
from gomd.jobs.lifecycle.frame_stream import FrameStream
from gomd.jobs.lifecycle.remote_jobs import RemoteJobs
from gomd.jobs.lifecycle.supervisors import Supervisors
from gomd.jobs.lifecycle.tracked import TrackedJob
from libgomd.errors import GomdError, InternalError, NotFound, TooMany, error_for
from libgomd.model import Event, EventKind, Job, JobState
from libgomd.wallclock import Wall
from libgomd.wire import frames

#: Seconds that removing a job's directory may take.
REMOVE_LIMIT = 60.0
#: Directories that are removed in one go.
_REMOVED_AT_ONCE = 100
#: Seconds until a supervisor is looked for again that could not be asked: no descriptor is free, it is busy.
AGAIN = 1.0
#: What says that there is no supervisor: no socket, or nobody listens.
GONE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ECONNREFUSED, errno.ELOOP, errno.ENOTSOCK})
#: Jobs whose kept output is shown to somebody at the same time.
MOST_SHOWN = 200


class JobTracker:
    """
    :param abroad: makes what reaches other nodes, given whether the daemon still runs.
    :param wall: gives the time of stamps.
    :ivar held: the jobs, by their names. :ivar begun: how many of this home have begun.
    :ivar on_down: called with the id of a node that went down.
    :ivar stopping: the daemon stops: connections that end now say nothing about jobs.
    """

    _log: ClassVar[Logger] = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        members: IMembership,
        threads: IThreads,
        events: IEvents,
        abroad: Callable[[Callable[[], bool]], RemoteJobs],
        here: Supervisors,
        table: HomeTable,
        wall: Wall,
    ) -> None:
        self._clock = clock
        self._wall = wall
        self._members = members
        self._threads = threads
        self._events = events
        self._abroad = abroad(lambda: not self.stopping)
        self._here = here
        self._table = table
        self.held: dict[str, TrackedJob] = {}
        self._shown: set[TrackedJob] = set()
        self._to_remove: dict[str, None] = {}
        self._removing = False
        self.begun = 0
        self.stopping = False
        self.on_down: Callable[[int], None] = lambda _node: None

    @property
    def abroad(self) -> RemoteJobs:
        """What reaches the jobs on other nodes."""
        return self._abroad

    def find_again(self, held: TrackedJob) -> None:
        """Look for a job that ran on while no daemon was there."""
        held.began = True
        self.take_in(held)
        if held.number is not None and held.node != self._members.own_id:
            self.sink_if_detached(held)
            self._on_job_lost(held)
        else:
            self._reconnect(held)

    async def follow(self) -> None:
        """Look after the jobs of a node that goes down: their connections may not tell."""
        following = self._events.follow()
        try:
            async for event in following:
                if event.kind is EventKind.DOWN and event.node != self._members.own_id:
                    for held in tuple(self.held.values()):
                        if held.number is not None and held.node == event.node and held.relay.job is not None:
                            held.relay.job.abort()
                    self.on_down(event.node)
        finally:
            await following.aclose()

    def attach(self, held: TrackedJob, client: FrameStream) -> None:
        """Tell the caller at ``client`` what he is attached to, and let his frames through."""
        assert held.number is not None
        job = self._table.get(held.number)
        assert job is not None
        told = {"job": job.job, "home": job.home, "node": job.node, "pid": job.pid, "detached": job.detached}
        client.send(frames.encode_json(frames.STARTED, told))
        if held.sink is not None:
            client.close()  # its output is kept; `attach` shows it
            return
        client.hold(False)
        held.relay.join_client(client)
        if client.gone:
            held.relay.drop_client()
            held.relay.client_lost()

    def sink_if_detached(self, held: TrackedJob) -> None:
        """Keep the output of a detached job that runs on another node."""
        job = None if held.number is None else self._table.get(held.number)
        if job is not None and job.detached and held.node != self._members.own_id:
            held.sink = OutputWriter(
                self._threads, self._here.directory(held.name), self._here.spool_bytes,
                self._here.spool_reserve,
            )  # fmt: skip
            held.relay.join_client(held.sink)
            if held.relay.job is not None:
                held.sink.attach()

    def view(self, job: Job) -> TrackedJob:
        """
        Return a job whose kept output is only shown.

        :raises TooMany: each takes a process, and there are enough of them.
        """
        if len(self._shown) >= MOST_SHOWN:
            raise TooMany(f"the output of {MOST_SHOWN} jobs is being shown on this node already: try later")
        held = TrackedJob(f"{job.name} shown", job.job, job.uid, job.node, began=True)

        def over() -> None:
            self._shown.discard(held)
            held.relay.close()

        held.relay.job_lost = held.relay.client_lost = over
        held.relay.join_job(self._here.view(job.name))
        self._shown.add(held)
        return held

    def take_in(self, held: TrackedJob) -> None:
        """Hold a job, and look after it from here on."""
        self.held[held.name] = held
        relay = held.relay
        held.orders = orders = SupervisorControl(self._clock, relay.to_job, lambda: relay.job is not None)
        relay.moved = orders.answered
        relay.started = lambda told: self._on_started(held, told)
        relay.ended = lambda told: self._on_ended(held, told)
        relay.failed = lambda told: self._on_failed(held, told)
        relay.collect = lambda: self._collect(held)
        relay.job_lost = lambda: self._on_job_lost(held)
        relay.client_lost = lambda: self._on_client_lost(held)

    def _on_started(self, held: TrackedJob, told: dict[str, Any]) -> None:
        first_time, held.began, held.told = not held.began, True, told
        if held.number is not None:
            cantmove = "it has a terminal" if told.get("tty") else str(told.get("cantmove", ""))
            job = self._table.started(held.number, held.node, int(told["pid"]), cantmove)
            if first_time:
                self.begun += 1
                text = f"job {job.job} of {job.user}: {job.command}"
                self.publish(EventKind.STARTED, job.node, text, job.uid)
        if not held.beginning.called:
            held.beginning.callback(None)

    def _on_failed(self, held: TrackedJob, told: dict[str, Any]) -> None:
        code, text = int(told.get("code", 500)), str(told.get("text", "it failed"))
        if not held.began and not held.beginning.called:
            held.beginning.errback(_failure(code, text))
            if held.number is None:
                self.let_go(held)
        elif held.number is not None:
            self.lose(held, text)

    def _on_ended(self, held: TrackedJob, told: dict[str, Any]) -> None:
        held.over = told
        if held.number is None:
            if held.orphan:
                held.relay.to_job(frames.encode(frames.COLLECTED))
            return  # its home says when it knows
        self._end(held.number, JobState.DONE, int(told["exit"]), str(told.get("reason", "")))
        job = self._table.get(held.number)
        if held.relay.client is None and (held.hung_up or job is None or job.detached):
            self._collect(held)

    def _collect(self, held: TrackedJob) -> None:
        """Let the job's end forget it, as soon as it is written here how it ended."""
        relay = held.relay
        if held.number is None:
            relay.to_job(frames.encode(frames.COLLECTED))
            return

        async def collect() -> None:
            await self._table.written()
            relay.to_job(frames.encode(frames.COLLECTED))

        self.soon(collect())

    def _end(self, number: int, state: JobState, exit: int, reason: str) -> None:
        job = self._table.get(number)
        if job is None or job.state.over:
            return
        job = self._table.change(number, state=state, exit=exit, reason=reason, ended=self._wall())
        lost = " is lost" if state is JobState.LOST else ""
        self.publish(
            EventKind.ENDED,
            job.node,
            f"job {number} of {job.user}{lost}, exit {exit}{': ' + reason if reason else ''}",
            job.uid,
        )

    def publish(self, kind: EventKind, node_id: int, text: str, uid: int | None) -> None:
        """Tell who follows events what happened to a job of user ``uid`` on a node."""
        try:
            name = self._members.find(str(node_id)).name
        except NotFound:
            name = ""
        self._events.publish(Event(self._wall(), kind, node_id, name, text, self._members.own_id, uid))

    def _on_job_lost(self, held: TrackedJob) -> None:
        """The connection to the job's end broke: it has ended as it should, or is to be found again."""
        if held.orders is not None:
            held.orders.lost()
        if self.stopping or self.held.get(held.name) is not held:
            return
        if held.departing is not None:
            held.departing()
        elif not held.began:
            self._on_failed(held, {"code": 500, "text": "the connection to the job ended before it began"})
        elif held.over is not None:
            self.let_go(held)
        else:
            self.look_for(held)

    def look_for(self, held: TrackedJob) -> None:
        """Find a job again where it should be, or give it up."""
        if held.number is not None and held.node != self._members.own_id:
            if not held.rejoining:
                self.soon(self._rejoin(held, held.number))
        else:
            self._reconnect(held)

    async def _rejoin(self, held: TrackedJob, number: int) -> None:
        """Find a job on another node again, or give it up."""
        job = self._table.get(number)
        assert job is not None
        held.rejoining = True
        try:
            found = await self._abroad.find(job, lambda: self._table.get(number) or job)
        finally:
            held.rejoining = False
        if self.held.get(held.name) is not held or held.node == self._members.own_id:
            if isinstance(found, FrameStream):
                found.close()
        elif isinstance(found, FrameStream):
            held.relay.join_job(found)
            self.resume(held)
        elif not held.arriving:
            self.lose(held, found)
            await self._abroad.bury(job)

    def resume(self, held: TrackedJob) -> None:
        """Let who is attached say from where the streams go on."""
        if held.sink is not None:
            held.sink.attach()
        else:
            held.relay.to_client(frames.encode(frames.RESUME))
        if held.hung_up:
            held.relay.to_job(frames.encode(frames.HANGUP))

    def lose(self, held: TrackedJob, why: str) -> None:
        """Give a job up, and say so."""
        assert held.number is not None
        told = {"exit": LOST_EXIT, "reason": f"job {held.number} is lost: {why}"}
        held.over = told
        self._end(held.number, JobState.LOST, LOST_EXIT, why)
        held.relay.to_client(frames.encode_json(frames.EXIT, {**told, "lost": True}))
        self.let_go(held)

    def _reconnect(self, held: TrackedJob) -> None:
        """Find the supervisor of a job of this node, or else what it has left behind."""
        told = None
        try:
            held.relay.join_job(self._here.find(held.name))
        except OSError as error:
            try:
                if error.errno not in GONE:
                    raise
                told = self._here.read(held.name, "exit")
            except OSError as trouble:  # that says nothing about the job
                if not held.sought:
                    self._log.warn("job {job} is looked for again: {error}", job=held.name, error=trouble)
                held.sought = True
                self._clock.callLater(AGAIN, self._reconnect_later, held)
                return
            held.sought = False
            if held.departing is not None:
                held.departing()
            elif held.number is None:
                held.relay.to_client(frames.failure(InternalError("its supervisor ended without a word")))
                self.let_go(held)
                self._here.remove(held.name)
            elif told is not None and isinstance(told.get("exit"), int):
                self._end(held.number, JobState.DONE, told["exit"], str(told.get("reason", "")))
                self.let_go(held)
            else:
                self.lose(held, "its supervisor ended without a word")
                self.remove(held.name)
        else:
            held.sought = False
            self.resume(held)

    def _reconnect_later(self, held: TrackedJob) -> None:
        if not self.stopping and self.held.get(held.name) is held and held.relay.job is None:
            self._reconnect(held)

    def remove(self, name: str) -> None:
        """Have the directory of a job of this home removed, in its turn: there may be thousands."""
        self._to_remove[name] = None
        if not self._removing:
            self._removing = True
            self.soon(self._remove_all())

    async def _remove_all(self) -> None:
        try:
            while self._to_remove and not self.stopping:
                names = list(self._to_remove)[:_REMOVED_AT_ONCE]
                for name in names:
                    del self._to_remove[name]
                try:
                    await self._threads.run(REMOVE_LIMIT, self._remove_some, names)
                except GomdError as error:
                    self._log.warn("{jobs} and more are not removed: {error}", jobs=names[0], error=error)
        finally:
            self._removing = False

    def _remove_some(self, names: Sequence[str]) -> None:
        """Blocks."""
        for name in names:
            self._here.remove(name)

    def _on_client_lost(self, held: TrackedJob) -> None:
        """The caller is gone: a job that is not detached goes with him."""
        if self.stopping:
            return
        relay = held.relay
        relay.to_job(frames.encode_json(frames.ATTACH, {"detach": True}))
        job = None if held.number is None else self._table.get(held.number)
        if job is None:
            return
        if held.over is not None:
            self._collect(held)
        elif not job.detached:
            held.hung_up = True
            relay.to_job(frames.encode(frames.HANGUP))

    def let_go(self, held: TrackedJob) -> None:
        """Hold a job no more; its connections are closed."""
        self.held.pop(held.name, None)
        client, held.relay.client = held.relay.client, None
        held.relay.close()
        if client is not None and held.began:
            client.close()

    def soon(self, waited: Awaitable[Any]) -> None:
        """Let something be done; nobody waits for it, and a failure is logged."""

        async def wait() -> None:
            await waited

        Deferred.fromCoroutine(wait()).addErrback(
            lambda failure: self._log.failure("looking after a job failed", failure=failure)
        )


def _failure(code: int, text: str) -> GomdError:
    """Return the error for what a supervisor says; 126 and 127 are a shell's, and stay what they are."""
    error = error_for(code, text) if code >= 400 else InternalError(text)
    if code < 400:
        error.code = code  # type: ignore[misc]
    return error
