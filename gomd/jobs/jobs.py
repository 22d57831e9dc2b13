"""The jobs of a node: those asked for here, wherever they run, and guests from other nodes."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Awaitable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from gomd.interfaces import IEvents, IJobs, IMembership, IThreads
from gomd.jobs.framestream import FrameStream
from gomd.jobs.journal import Journal
from gomd.jobs.launching import Launcher
from gomd.jobs.relay import Relay
from gomd.jobs.request import Account, JobRequest, account_of, parse
from gomd.jobs.table import LOST_EXIT, HomeTable
from libgomd.errors import (
    Conflict,
    GomdError,
    InternalError,
    MalformedRequest,
    NotFound,
    NotPossible,
    TimedOut,
    TooMany,
    error_for,
)
from libgomd.model import Caller, Counter, Event, EventKind, Job, JobState, Node
from libgomd.wire import frames
from libgomd.wire.frames import Frame

#: Seconds a caller has to say what is to run, and a user's name to be found.
SPEC_LIMIT = 30.0
NAME_LIMIT = 5.0
#: Bytes of output that are kept of a detached job, of each of its two streams.
SPOOL_BYTES = 64 * 1024 * 1024


@dataclass
class Held:
    """
    A job whose streams pass through this daemon.

    :ivar name: ``HOME-JOB``. :ivar number: of a job of this home, None for a guest.
    :ivar began: whether it has run. :ivar over: how it ended, None while it runs.
    :ivar done: called once with None when it has begun, or with why not.
    """

    name: str
    number: int | None
    relay: Relay = field(default_factory=Relay)
    began: bool = False
    over: dict[str, Any] | None = None
    uid: int = -1
    began_or_failed: Deferred[None] = field(default_factory=Deferred)


@implementer(IJobs)
class Jobs(Service):
    """
    :param nodes: knows the nodes. :param spool: the directory of the jobs' own directories.
    :param journal: the file of the home table. :param own_uid: the user this daemon runs as.
    :param most: jobs that may be under way at once, of this home and guests together.
    """

    _log: ClassVar[Logger] = Logger()

    def __init__(
        self,
        reactor: Any,
        clock: IReactorTime,
        members: IMembership,
        threads: IThreads,
        events: IEvents,
        *,
        spool: str,
        journal: str,
        own_uid: int,
        most: int = 1000,
        spool_bytes: int = SPOOL_BYTES,
    ) -> None:
        self._clock = clock
        self._members = members
        self._threads = threads
        self._events = events
        self._spool = spool
        self._journal = Journal(journal)
        self._own_uid = own_uid
        self._most = most
        self._spool_bytes = spool_bytes
        self._launcher = Launcher(reactor, os.path.join(spool, "log"))
        self._table = HomeTable(members.own_id, self._journal, forgotten=self._forget_output)
        self._held: dict[str, Held] = {}
        self._started = 0
        self._stopping = False

    # -- the service

    def startService(self) -> None:
        """Read the journal and find the jobs again that ran on while no daemon was there. Blocks briefly."""
        super().startService()
        self._stopping = False
        self._journal.open()
        self._table.load()
        for job in self._table:
            if not job.state.over:
                self._find_again(Held(job.name, job.job, uid=job.uid), job)
        self._find_guests()

    def _find_again(self, held: Held, job: Job | None) -> None:
        held.began = True
        self._join(held)
        self._held[held.name] = held
        self._reconnect(held)

    def _find_guests(self) -> None:
        try:
            names = os.listdir(self._spool)
        except OSError:
            return
        for name in names:
            home, _, number = name.partition("-")
            if not (home.isdigit() and number.isdigit()) or name in self._held:
                continue
            if int(home) != self._members.own_id:
                told = self._read(name, "job")
                self._find_again(Held(name, None, uid=told.get("uid", -1) if told else -1), None)
            elif (job := self._table.get(int(number))) is None or not job.detached:
                shutil.rmtree(os.path.join(self._spool, name), ignore_errors=True)

    def stopService(self) -> None:
        """Let go of every job; they go on, and are found again."""
        super().stopService()
        self._stopping = True
        for held in tuple(self._held.values()):
            held.relay.close()
        self._held.clear()
        self._launcher.close()
        self._journal.close()

    # -- starting

    def run(self, caller: Caller, stream: FrameStream) -> None:
        """See `IJobs.run`."""
        self._serve(stream, self._run(caller, stream))

    def _serve(self, stream: FrameStream, work: Any) -> None:
        """Do ``work`` for the caller at ``stream``; he is told what went wrong."""

        def failed(failure: Any) -> None:
            if not failure.check(GomdError):
                self._log.failure("starting a job failed", failure=failure)
            error = failure.value
            if not isinstance(error, GomdError):
                error = InternalError("something broke inside gomd: its log has the details")
            stream.send(frames.failure(error))
            stream.close()

        Deferred.fromCoroutine(work).addErrback(failed)

    async def _run(self, caller: Caller, stream: FrameStream) -> None:
        request = parse(frames.decode_json((await self._first(stream)).payload))
        account = await self._account(caller)
        node = self._place(request)
        self._check_room()
        job = self._table.new(
            node.id, account.user, account.uid, request.command, self._clock.seconds(),
            lock=bool(request.lock), detached=request.detach,
        )  # fmt: skip
        held = Held(job.name, job.job, uid=account.uid)
        self._held[job.name] = held
        self._join(held)
        held.relay.client = stream
        try:
            self._start_here(held, request, account)
            await held.began_or_failed
        except GomdError:
            self._let_go(held)
            self._table.drop(job.job)
            raise

    def _check_room(self) -> None:
        if len(self._held) >= self._most:
            raise TooMany(f"{self._most} jobs are under way on this node already: try later")

    def _place(self, request: JobRequest) -> Node:
        """Return the node to run on."""
        own = self._members.find(str(self._members.own_id))
        if not request.node:
            return own
        node = self._members.find(request.node)
        if node.id != own.id:
            raise NotPossible(f"node {node.id} {node.name} cannot take jobs yet")
        return node

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

    def _start_here(self, held: Held, request: JobRequest, account: Account) -> None:
        """Start the job on this node; its supervisor tells what came of it."""
        own = self._members.find(str(self._members.own_id))
        stream = self._launcher.supervisor(namespace=self._own_uid == 0)
        spec = {
            **request.values(), "id": held.name, "directory": os.path.join(self._spool, held.name),
            "uid": account.uid, "gid": account.gid, "groups": account.groups, "user": account.user,
            "where": f"node {own.id} {own.name}",
            "spool_bytes": self._spool_bytes,
        }  # fmt: skip
        held.relay.join_job(stream)
        stream.send(frames.encode_json(frames.SPEC, spec))

    # -- what happens to a job

    def _join(self, held: Held) -> None:
        relay = held.relay
        relay.started = lambda told: self._on_started(held, told)
        relay.ended = lambda told: self._on_ended(held, told)
        relay.failed = lambda told: self._on_failed(held, told)
        relay.job_lost = lambda: self._on_job_lost(held)
        relay.client_lost = lambda: self._on_client_lost(held)

    def _on_started(self, held: Held, told: dict[str, Any]) -> None:
        first_time = not held.began
        held.began = True
        if held.number is None:
            return
        job = self._table.started(held.number, self._members.own_id, int(told["pid"]))
        if first_time:
            self._started += 1
            self._publish(EventKind.STARTED, job, f"job {job.job} of {job.user}: {job.command}")
            client, held.relay.client = held.relay.client, None
            if client is not None:
                self._attach(held, job, client)
            held.began_or_failed.callback(None)

    def _attach(self, held: Held, job: Job, client: FrameStream) -> None:
        """Tell the caller at ``client`` what he is attached to, and let his frames through."""
        told = {"job": job.job, "home": job.home, "node": job.node, "pid": job.pid, "detached": job.detached}
        client.send(frames.encode_json(frames.STARTED, told))
        client.hold(False)
        held.relay.join_client(client)
        if client.gone:
            held.relay.drop_client()
            self._on_client_lost(held)

    def _on_failed(self, held: Held, told: dict[str, Any]) -> None:
        code, text = int(told.get("code", 500)), str(told.get("text", "it failed"))
        if not held.began_or_failed.called:
            held.began_or_failed.errback(_failure(code, text))

    def _on_ended(self, held: Held, told: dict[str, Any]) -> None:
        held.over = told
        if held.number is not None:
            self._end(held.number, JobState.DONE, int(told["exit"]), str(told.get("reason", "")))
        if held.relay.client is None and held.number is not None:
            job = self._table.get(held.number)
            if job is None or job.detached:
                held.relay.to_job(frames.encode(frames.COLLECTED))

    def _end(self, number: int, state: JobState, exit: int, reason: str) -> None:
        job = self._table.get(number)
        if job is None or job.state.over:
            return
        job = self._table.change(
            number, state=state, exit=exit, reason=reason, ended=self._clock.seconds()
        )  # fmt: skip
        word = (
            f"job {number} of {job.user} is lost" if state is JobState.LOST else f"job {number} of {job.user}"
        )
        self._publish(EventKind.ENDED, job, f"{word}, exit {exit}{': ' + reason if reason else ''}")

    def _publish(self, kind: EventKind, job: Job, text: str) -> None:
        try:
            name = self._members.find(str(job.node)).name
        except NotFound:
            name = ""
        own = self._members.own_id
        self._events.publish(Event(self._clock.seconds(), kind, job.node, name, text, own))

    def _on_job_lost(self, held: Held) -> None:
        """The supervisor's connection broke: it has ended as it should, or is to be found again."""
        if self._stopping:
            return
        if not held.began:
            self._on_failed(held, {"code": 500, "text": "the job's supervisor ended before the job began"})
        elif held.over is not None:
            self._let_go(held)
        else:
            self._reconnect(held)

    def _reconnect(self, held: Held) -> None:
        """Find the supervisor of a job of this node, or else what it has left behind."""
        try:
            held.relay.join_job(self._launcher.connect(os.path.join(self._spool, held.name, "socket")))
        except OSError:
            told = self._read(held.name, "exit")
            self._let_go(held)
            if held.number is None:
                shutil.rmtree(os.path.join(self._spool, held.name), ignore_errors=True)
            elif told is not None:
                self._end(held.number, JobState.DONE, int(told["exit"]), str(told.get("reason", "")))
            else:
                self._end(held.number, JobState.LOST, LOST_EXIT, "its supervisor ended without a word")
        else:
            held.relay.to_client(frames.encode(frames.RESUME))

    def _read(self, name: str, file: str) -> dict[str, Any] | None:
        """Return what a supervisor wrote into the directory of its job, None when it did not."""
        try:
            with open(os.path.join(self._spool, name, file), encoding="ascii") as opened:
                found = json.load(opened)
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) else None

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
            relay.to_job(frames.encode(frames.HANGUP))

    def _let_go(self, held: Held) -> None:
        self._held.pop(held.name, None)
        held.relay.job_lost = lambda: None
        client, held.relay.client = held.relay.client, None
        held.relay.close()
        if client is not None and held.began:
            client.close()

    def _forget_output(self, job: Job) -> None:
        if job.detached:
            directory = os.path.join(self._spool, job.name)
            self._soon(self._threads.run(60.0, shutil.rmtree, directory, True))

    def _soon(self, waited: Awaitable[Any]) -> None:
        Deferred.fromCoroutine(_wait(waited)).addErrback(
            lambda failure: self._log.failure("removing an old job's output failed", failure=failure)
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

    def attach(self, job: Job, stream: FrameStream) -> None:
        """See `IJobs.attach`."""
        try:
            self.check_attach(job)
            self._attach(self._held.get(job.name) or self._view(job), job, stream)
        except GomdError as error:
            stream.send(frames.failure(error))
            stream.close()

    def check_attach(self, job: Job) -> None:
        """See `IJobs.check_attach`."""
        held = self._held.get(job.name)
        if held is not None and held.relay.client is not None:
            raise Conflict(f"somebody is attached to job {job.job} already")
        if held is None and not (job.detached and job.state is JobState.DONE):
            raise NotFound(f"job {job.job} is over, exit {job.exit}: nothing of it is kept but that")

    def _view(self, job: Job) -> Held:
        """Return a job that is over, with a supervisor that shows the output that was kept."""
        held = Held(f"{job.name} shown", job.job, began=True, over={"exit": job.exit, "reason": job.reason})
        held.relay.job_lost = lambda: held.relay.drop_client()
        held.relay.client_lost = lambda: held.relay.close()
        stream = self._launcher.supervisor(namespace=False)
        held.relay.join_job(stream)
        directory = os.path.join(self._spool, job.name)
        spec = {"view": True, "detach": True, "directory": directory, "spool_bytes": self._spool_bytes}
        stream.send(frames.encode_json(frames.SPEC, spec))
        return held

    def signal(self, job: Job, number: int, group: bool) -> None:
        """See `IJobs.signal`."""
        held = self._held.get(job.name)
        if held is None or held.over is not None:
            raise NotFound(f"job {job.job} is over, exit {job.exit}")
        held.relay.to_job(frames.encode_signal(number, group))

    def counters(self) -> Iterable[Counter]:
        """See `IJobs.counters`."""
        yield Counter("jobs_started", self._started, "jobs of this home that have begun")
        yield Counter("jobs_held", len(self._held), "jobs under way here, guests too")
        yield Counter("jobs_known", len(tuple(self._table)), "jobs in the home table")
        yield Counter("jobs_journal_failed", self._journal.failed, "changes the journal could not be given")


def _failure(code: int, text: str) -> GomdError:
    """Return the error for what a supervisor says; 126 and 127 are a shell's, and stay what they are."""
    error: GomdError = error_for(code, text) if code >= 400 else InternalError(text)
    if code < 400:
        error.code = code  # type: ignore[attr-defined]
    return error


async def _wait(waited: Awaitable[Any]) -> None:
    await waited
