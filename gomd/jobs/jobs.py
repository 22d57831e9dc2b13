"""The jobs of a node: those asked for here, wherever they run, and guests from other nodes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from typing import Any, ClassVar

from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredSemaphore
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from gomd.interfaces import IEvents, IJobs, IMembership, IPlacement, IThreads, JobHere, Need
from gomd.jobs.abroad import Abroad
from gomd.jobs.framestream import FrameStream
from gomd.jobs.held import Held
from gomd.jobs.journal import Journal
from gomd.jobs.relay import Relay
from gomd.jobs.request import Account, JobRequest, account_of, node_ids, parse
from gomd.jobs.sink import Sink
from gomd.jobs.supervisors import Supervisors
from gomd.jobs.table import FIRST_FOREIGN_PID, LOST_EXIT, HomeTable
from libgomd.errors import (
    Conflict,
    GomdError,
    InternalError,
    MalformedRequest,
    NotFound,
    NotPossible,
    PeerUnreachable,
    TimedOut,
    TooMany,
    error_for,
)
from libgomd.model import Caller, Counter, Event, EventKind, Job, JobState, Node, Status
from libgomd.wire import frames
from libgomd.wire.frames import Frame

#: Seconds a caller has to say what is to run, a user's name to be found, the disk to take the journal.
SPEC_LIMIT = 30.0
NAME_LIMIT = 5.0
SYNC_LIMIT = 30.0
#: Jobs that are being started at the same time; others wait for their turn.
AT_ONCE = 32


@implementer(IJobs)
class Jobs(Service):
    """
    :param here: starts the jobs that run on this node. :param placement: chooses nodes.
    :param journal: of the home table; it is opened when the service starts.
    :param own_uid: the user this daemon runs as.
    :param most: jobs that may be under way at once, of this home and guests together.
    """

    _log: ClassVar[Logger] = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        members: IMembership,
        threads: IThreads,
        events: IEvents,
        abroad: Callable[[Callable[[], bool]], Abroad],
        here: Supervisors,
        placement: IPlacement,
        journal: Journal,
        *,
        own_uid: int,
        most: int = 1000,
    ) -> None:
        self._clock = clock
        self._members = members
        self._threads = threads
        self._events = events
        self._abroad = abroad(lambda: not self._stopping)
        self._here = here
        self._placement = placement
        self._journal = journal
        self._own_uid = own_uid
        self._most = most
        self._table = HomeTable(members.own_id, journal, forgotten=self._forget_output)
        self._held: dict[str, Held] = {}
        self._started = 0
        self._stopping = False
        self._turns = DeferredSemaphore(AT_ONCE)
        self._following: Deferred[None] | None = None

    # -- the service

    def startService(self) -> None:
        """Read the journal and find the jobs again that ran on while no daemon was there. Blocks briefly."""
        super().startService()
        self._stopping = False
        self._journal.open()
        self._table.load()
        for job in self._table:
            if not job.state.over:
                self._find_again(Held(job.name, job.job, job.uid, job.node))
        self._find_guests()
        self._following = Deferred.fromCoroutine(self._follow())
        self._following.addErrback(lambda failure: None)  # cancelled at the end

    def _find_again(self, held: Held) -> None:
        held.began = True
        self._take_in(held)
        if held.number is not None and held.node != self._members.own_id:
            self._sink_if_detached(held)
            self._on_job_lost(held)
        else:
            self._reconnect(held)

    def _find_guests(self) -> None:
        for home, number, name in self._here.names():
            if home != self._members.own_id:
                told = self._here.read(name, "job") or {}
                guest = Held(name, None, int(told.get("uid", -1)), self._members.own_id, Relay(True))
                self._find_again(guest)
            elif name not in self._held and ((job := self._table.get(number)) is None or not job.detached):
                self._here.remove(name)

    async def _follow(self) -> None:
        """Look after the jobs of a node that goes down: their connections may not tell."""
        following = self._events.follow()
        try:
            async for event in following:
                if event.kind is EventKind.DOWN and event.node != self._members.own_id:
                    for held in tuple(self._held.values()):
                        if held.number is not None and held.node == event.node and held.relay.job is not None:
                            held.relay.job.abort()
        finally:
            await following.aclose()

    def stopService(self) -> None:
        """Let go of every job; they go on, and are found again."""
        super().stopService()
        self._stopping = True
        if self._following is not None:
            self._following.cancel()
        for held in tuple(self._held.values()):
            held.relay.close()
        self._held.clear()
        self._here.close()
        self._journal.close()

    # -- starting

    def run(self, caller: Caller, stream: FrameStream, guest: str = "") -> None:
        """See `IJobs.run`."""
        self._serve(stream, self._host(caller, stream, guest) if guest else self._run(caller, stream))

    def _serve(self, stream: FrameStream, work: Coroutine[Deferred[Any], Any, None]) -> None:
        """Do ``work`` for the caller at ``stream``; he is told what went wrong."""

        def failed(failure: Any) -> None:
            error = failure.value
            if not isinstance(error, GomdError):
                self._log.failure("starting a job failed", failure=failure)
                error = InternalError("something broke inside gomd: its log has the details")
            stream.send(frames.failure(error))
            stream.close()

        Deferred.fromCoroutine(work).addErrback(failed)

    async def _run(self, caller: Caller, stream: FrameStream) -> None:
        request = parse(frames.decode_json((await self._first(stream)).payload))
        refused: set[int] = set()
        self._check_room()
        await self._turns.acquire()
        try:
            await self._run_somewhere(request, caller, refused, stream)
        finally:
            self._turns.release()

    async def _run_somewhere(
        self, request: JobRequest, caller: Caller, refused: set[int], stream: FrameStream
    ) -> None:
        account = await self._account(caller)
        while True:
            node = self._place(request, frozenset(refused))
            self._check_room()
            try:
                return await self._run_on(node, request, caller, account, stream)
            except (NotFound, PeerUnreachable, TooMany):
                # No such directory there, or it cannot be reached: another node will do.
                if request.node or node.id in refused or len(self._members.nodes()) == 1:
                    raise
                self._placement.withdraw(node.id)
                refused.add(node.id)

    async def _run_on(
        self, node: Node, request: JobRequest, caller: Caller, account: Account, stream: FrameStream
    ) -> None:
        job = self._table.new(
            node.id, account.user, account.uid, request.command, self._clock.seconds(),
            lock=bool(request.lock), detached=request.detach,
        )  # fmt: skip
        held = Held(job.name, job.job, account.uid, node.id)
        self._take_in(held)
        try:
            if node.id == self._members.own_id:
                held.relay.join_job(self._here.start(job.name, request, account, request.detach))
            else:
                await self._threads.run(SYNC_LIMIT, self._journal.sync)
                held.relay.join_job(await self._abroad.start(node, job.name, request.values(), caller))
            await held.beginning
        except BaseException:
            self._let_go(held)
            self._table.drop(job.job)
            raise
        self._sink_if_detached(held)
        self._attach(held, stream)

    async def _host(self, caller: Caller, stream: FrameStream, name: str) -> None:
        """Start a guest for the daemon at ``stream``, which is its home."""
        request = parse(frames.decode_json((await self._first(stream)).payload))
        self._check_room()
        await self._turns.acquire()
        try:
            await self._host_now(request, caller, stream, name)
        finally:
            self._turns.release()

    async def _host_now(self, request: JobRequest, caller: Caller, stream: FrameStream, name: str) -> None:
        account = await self._account(caller)
        if name in self._held:
            raise Conflict(f"there is a job {name} here already")
        if self._members.find(str(self._members.own_id)).status & Status.BLOCK:
            raise NotPossible("this node takes no guests: it is blocked")
        held = Held(name, None, account.uid, self._members.own_id, Relay(True))
        self._take_in(held)
        held.beginning.addErrback(lambda _failure: None)  # its home is told by the frame itself
        stream.hold(False)
        held.relay.join_client(stream)
        try:
            held.relay.join_job(self._here.start(name, request, account, detach=False))
        except GomdError:
            self._let_go(held)
            raise

    def _check_room(self) -> None:
        if len(self._held) + len(self._turns.waiting) >= self._most:
            raise TooMany(f"{self._most} jobs are under way on this node already: try later")

    def _place(self, request: JobRequest, refused: frozenset[int]) -> Node:
        """Return the node to run on. :raises NotFound: no such one. :raises NotPossible: none can take it."""
        if request.node:
            return self._members.find(request.node)
        nodes = node_ids(request.nodes) if request.nodes else None
        return self._placement.choose(self._members.nodes(), Need(request.memory, nodes, refused))

    async def _first(self, stream: FrameStream) -> Frame:
        """Return the `SPEC` frame, and read no further until the job has begun."""
        waited: Deferred[Frame] = Deferred()
        late = self._clock.callLater(
            SPEC_LIMIT, lambda: waited.errback(TimedOut(f"nothing to run was named within {SPEC_LIMIT:g} s"))
        )
        stream.on_lost = lambda: waited.errback(NotPossible("the caller is gone"))

        def take(frame: Frame) -> None:
            stream.forget()
            stream.hold(True)
            if frame.kind == frames.SPEC:
                waited.callback(frame)
            else:
                waited.errback(MalformedRequest("the first frame says what to run"))

        stream.on_frame = take
        try:
            return await waited
        finally:
            stream.forget()
            if late.active():
                late.cancel()

    async def _account(self, caller: Caller) -> Account:
        return await self._threads.run(NAME_LIMIT, account_of, caller, self._own_uid)

    def _attach(self, held: Held, client: FrameStream) -> None:
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
            self._on_client_lost(held)

    def _sink_if_detached(self, held: Held) -> None:
        """Keep the output of a detached job that runs on another node."""
        job = None if held.number is None else self._table.get(held.number)
        if job is not None and job.detached and held.node != self._members.own_id:
            held.sink = Sink(self._threads, self._here.directory(held.name), self._here.spool_bytes)
            held.relay.join_client(held.sink)
            if held.relay.job is not None:
                held.sink.attach()

    # -- what happens to a job

    def _take_in(self, held: Held) -> None:
        self._held[held.name] = held
        relay = held.relay
        relay.started = lambda told: self._on_started(held, told)
        relay.ended = lambda told: self._on_ended(held, told)
        relay.failed = lambda told: self._on_failed(held, told)
        relay.job_lost = lambda: self._on_job_lost(held)
        relay.client_lost = lambda: self._on_client_lost(held)

    def _on_started(self, held: Held, told: dict[str, Any]) -> None:
        first_time, held.began, held.told = not held.began, True, told
        if held.number is not None:
            cantmove = "it has a terminal" if told.get("tty") else str(told.get("cantmove", ""))
            job = self._table.started(held.number, held.node, int(told["pid"]), cantmove)
            if first_time:
                self._started += 1
                self._publish(EventKind.STARTED, job, f"job {job.job} of {job.user}: {job.command}")
        if not held.beginning.called:
            held.beginning.callback(None)

    def _on_failed(self, held: Held, told: dict[str, Any]) -> None:
        code, text = int(told.get("code", 500)), str(told.get("text", "it failed"))
        if not held.began and not held.beginning.called:
            held.beginning.errback(_failure(code, text))
            if held.number is None:
                self._let_go(held)
        elif held.number is not None:
            self._lose(held, text)

    def _on_ended(self, held: Held, told: dict[str, Any]) -> None:
        held.over = told
        if held.number is None:
            return  # its home says when it knows
        self._end(held.number, JobState.DONE, int(told["exit"]), str(told.get("reason", "")))
        job = self._table.get(held.number)
        if held.relay.client is None and (held.hung_up or job is None or job.detached):
            held.relay.to_job(frames.encode(frames.COLLECTED))

    def _end(self, number: int, state: JobState, exit: int, reason: str) -> None:
        job = self._table.get(number)
        if job is None or job.state.over:
            return
        job = self._table.change(number, state=state, exit=exit, reason=reason, ended=self._clock.seconds())
        lost = " is lost" if state is JobState.LOST else ""
        self._publish(
            EventKind.ENDED,
            job,
            f"job {number} of {job.user}{lost}, exit {exit}{': ' + reason if reason else ''}",
        )

    def _publish(self, kind: EventKind, job: Job, text: str) -> None:
        try:
            name = self._members.find(str(job.node)).name
        except NotFound:
            name = ""
        self._events.publish(Event(self._clock.seconds(), kind, job.node, name, text, self._members.own_id))

    def _on_job_lost(self, held: Held) -> None:
        """The connection to the job's end broke: it has ended as it should, or is to be found again."""
        if self._stopping or self._held.get(held.name) is not held:
            return
        if not held.began:
            self._on_failed(held, {"code": 500, "text": "the connection to the job ended before it began"})
        elif held.over is not None:
            self._let_go(held)
        elif held.number is not None and held.node != self._members.own_id:
            self._soon(self._rejoin(held, held.number))
        else:
            self._reconnect(held)

    async def _rejoin(self, held: Held, number: int) -> None:
        """Find a job on another node again, or give it up."""
        job = self._table.get(number)
        assert job is not None
        found = await self._abroad.find(job)
        if self._held.get(held.name) is not held:
            if isinstance(found, FrameStream):
                found.close()
        elif isinstance(found, FrameStream):
            held.relay.join_job(found)
            self._resume(held)
        else:
            self._lose(held, found)
            await self._abroad.bury(job)

    def _resume(self, held: Held) -> None:
        """Let who is attached say from where the streams go on."""
        if held.sink is not None:
            held.sink.attach()
        else:
            held.relay.to_client(frames.encode(frames.RESUME))

    def _lose(self, held: Held, why: str) -> None:
        """Give a job up, and say so."""
        assert held.number is not None
        told = {"exit": LOST_EXIT, "reason": f"job {held.number} is lost: {why}"}
        held.over = told
        self._end(held.number, JobState.LOST, LOST_EXIT, why)
        held.relay.to_client(frames.encode_json(frames.EXIT, told))
        self._let_go(held)

    def _reconnect(self, held: Held) -> None:
        """Find the supervisor of a job of this node, or else what it has left behind."""
        try:
            held.relay.join_job(self._here.find(held.name))
        except OSError:
            told = self._here.read(held.name, "exit")
            if held.number is None:
                held.relay.to_client(frames.failure(InternalError("its supervisor ended without a word")))
                self._let_go(held)
                self._here.remove(held.name)
            elif told is not None:
                self._end(held.number, JobState.DONE, int(told["exit"]), str(told.get("reason", "")))
                self._let_go(held)
            else:
                self._lose(held, "its supervisor ended without a word")
        else:
            self._resume(held)

    def _on_client_lost(self, held: Held) -> None:
        """The caller is gone: a job that is not detached goes with him."""
        if self._stopping:
            return
        relay = held.relay
        relay.to_job(frames.encode_json(frames.ATTACH, {"detach": True}))
        job = None if held.number is None else self._table.get(held.number)
        if job is None:
            return
        if held.over is not None:
            relay.to_job(frames.encode(frames.COLLECTED))
        elif not job.detached:
            held.hung_up = True
            relay.to_job(frames.encode(frames.HANGUP))

    def _let_go(self, held: Held) -> None:
        self._held.pop(held.name, None)
        client, held.relay.client = held.relay.client, None
        held.relay.close()
        if client is not None and held.began:
            client.close()

    def _forget_output(self, job: Job) -> None:
        if job.detached:
            self._soon(self._threads.run(SYNC_LIMIT, self._here.remove, job.name))

    def _soon(self, waited: Awaitable[Any]) -> None:
        async def wait() -> None:
            await waited

        Deferred.fromCoroutine(wait()).addErrback(
            lambda failure: self._log.failure("looking after a job failed", failure=failure)
        )

    # -- what callers ask of jobs

    def rows(self, caller: Caller) -> Sequence[Job]:
        """See `IJobs.rows`."""
        return [job for job in self._table if caller.owns(job.uid)]

    def find(self, number: int, caller: Caller) -> Job:
        """See `IJobs.find`."""
        return self._table.find(number, caller)

    def of_pid(self, pid: int) -> Job | None:
        """See `IJobs.of_pid`."""
        return self._table.of_pid(pid)

    def here(self) -> Sequence[JobHere]:
        """See `IJobs.here`."""
        return [
            self._job_here(held)
            for held in self._held.values()
            if held.began and held.over is None and held.told and held.node == self._members.own_id
        ]

    def _job_here(self, held: Held) -> JobHere:
        told = held.told
        home, _, number = held.name.partition("-")
        job = None if held.number is None else self._table.get(held.number)
        pid = int(told["pid"])
        return JobHere(
            int(home), int(number), pid, int(told["supervisor"]), held.uid, int(told.get("gid", -1)),
            " ".join(told["argv"])[:200], FIRST_FOREIGN_PID + int(number) if job is None else job.pid or pid,
            0 if job is None else job.nmigs, job is not None and job.lock,
            "" if job is None else job.cantmove,
        )  # fmt: skip

    def elsewhere(self) -> Sequence[Job]:
        """See `IJobs.elsewhere`."""
        own = self._members.own_id
        return [job for job in self._table if job.state is JobState.RUNNING and job.node != own]

    def check_attach(self, job: Job) -> None:
        """See `IJobs.check_attach`."""
        held = self._held.get(job.name)
        if held is not None and held.taken:
            raise Conflict(f"somebody is attached to job {job.job} already")
        if held is None and not job.detached:
            raise NotFound(f"job {job.job} is over, exit {job.exit}: nothing of it is kept but that")

    def attach(self, job: Job, stream: FrameStream) -> None:
        """See `IJobs.attach`."""
        try:
            self.check_attach(job)
            held = self._held.get(job.name)
            self._attach(self._view(job) if held is None or held.sink is not None else held, stream)
        except GomdError as error:
            stream.send(frames.failure(error))
            stream.close()

    def _view(self, job: Job) -> Held:
        """Return a job whose kept output is only shown."""
        held = Held(f"{job.name} shown", job.job, job.uid, job.node, began=True)
        held.relay.job_lost = lambda: held.relay.drop_client()
        held.relay.client_lost = lambda: held.relay.close()
        held.relay.join_job(self._here.view(job.name))
        return held

    def attach_guest(self, caller: Caller, name: str, stream: FrameStream) -> None:
        """See `IJobs.attach_guest`."""
        held = self._held.get(name)
        assert held is not None
        held.relay.drop_client()
        held.relay.join_client(stream)
        if held.over is not None and held.relay.job is not None:
            stream.send(frames.encode_json(frames.EXIT, held.over))

    def check_guest(self, caller: Caller, name: str) -> None:
        """See `IJobs.check_guest`."""
        held = self._held.get(name)
        if held is None or held.number is not None or not caller.owns(held.uid):
            raise NotFound(f"there is no job {name} of yours here")

    def signal(self, job: Job, number: int, group: bool) -> None:
        """See `IJobs.signal`."""
        held = self._held.get(job.name)
        if held is None or held.over is not None:
            raise NotFound(f"job {job.job} is over, exit {job.exit}")
        if held.relay.job is None:
            raise PeerUnreachable(f"job {job.job} on node {job.node} cannot be reached now: try again")
        held.relay.to_job(frames.encode_signal(number, group))

    def counters(self) -> Iterable[Counter]:
        """See `IJobs.counters`."""
        yield Counter("jobs_started", self._started, "jobs of this home that have begun")
        yield Counter("jobs_held", len(self._held), "jobs under way here, guests too")
        yield Counter("jobs_known", len(tuple(self._table)), "jobs in the home table")
        yield Counter("jobs_journal_failed", self._journal.failed, "changes the journal could not be given")


def _failure(code: int, text: str) -> GomdError:
    """Return the error for what a supervisor says; 126 and 127 are a shell's, and stay what they are."""
    error = error_for(code, text) if code >= 400 else InternalError(text)
    if code < 400:
        error.code = code  # type: ignore[misc]
    return error
