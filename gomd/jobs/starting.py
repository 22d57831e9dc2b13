"""How a job comes to run: what is asked for, as whom, on which node, and what when that one cannot."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, ClassVar

from twisted.internet.defer import Deferred, DeferredSemaphore
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from gomd.interfaces import IMembership, IPlacement, IThreads, Need
from gomd.jobs.framestream import FrameStream
from gomd.jobs.held import Held
from gomd.jobs.journal import Journal
from gomd.jobs.keeper import Keeper
from gomd.jobs.relay import Relay
from gomd.jobs.request import Account, JobRequest, account_of, node_ids, parse
from gomd.jobs.supervisors import Supervisors
from gomd.jobs.table import HomeTable
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
)
from libgomd.model import Caller, Node, Status
from libgomd.wire import frames
from libgomd.wire.frames import Frame

#: Seconds a caller has to say what is to run, a user's name to be found, the disk to take the journal.
SPEC_LIMIT = 30.0
NAME_LIMIT = 5.0
SYNC_LIMIT = 30.0
#: Jobs that are being started at the same time, and those of one user among them; others wait for their turn.
AT_ONCE, OF_ONE = 32, 16


class Starting:
    """
    :param placement: chooses nodes. :param journal: is synced before a job starts on another node.
    :param own_uid: the user this daemon runs as.
    :param most: jobs that may be under way at once, of this home and guests together.
    """

    _log: ClassVar[Logger] = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        members: IMembership,
        threads: IThreads,
        here: Supervisors,
        placement: IPlacement,
        journal: Journal,
        table: HomeTable,
        keeper: Keeper,
        own_uid: int,
        most: int,
    ) -> None:
        self._clock = clock
        self._members = members
        self._threads = threads
        self._here = here
        self._placement = placement
        self._journal = journal
        self._table = table
        self._keeper = keeper
        self._own_uid = own_uid
        self._most = most
        self._turns = DeferredSemaphore(AT_ONCE)
        self._turns_of: dict[int | None, DeferredSemaphore] = {}

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
        own = self._turns_of.setdefault(caller.uid, DeferredSemaphore(OF_ONE))
        await own.acquire()
        try:
            await self._turns.acquire()
            try:
                await self._run_somewhere(request, caller, refused, stream)
            finally:
                self._turns.release()
        finally:
            own.release()

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
        self._keeper.take_in(held)
        try:
            if node.id == self._members.own_id:
                await self._kept(self._journal.written())
                held.relay.join_job(
                    self._here.start(job.name, request, account, request.detach, job.started)
                )
            else:
                await self._kept(self._journal.sync())
                held.relay.join_job(await self._keeper.abroad.start(node, job.name, request.values(), caller))
            await held.beginning
        except BaseException:
            self._keeper.let_go(held)
            self._table.drop(job.job)
            raise
        self._keeper.sink_if_detached(held)
        self._keeper.attach(held, stream)

    def _kept(self, waited: Deferred[None]) -> Deferred[None]:
        """A job that runs must be one that a daemon after this one knows of. Fails when the disk hangs."""

        def late(_result: object, _limit: float) -> None:
            raise TimedOut(f"the disk took no line of the journal within {SYNC_LIMIT:g} s: try again later")

        return waited.addTimeout(SYNC_LIMIT, self._clock, late)

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
        if name in self._keeper.held:
            raise Conflict(f"there is a job {name} here already")
        if self._members.find(str(self._members.own_id)).status & Status.BLOCK:
            raise NotPossible("this node takes no guests: it is blocked")
        held = Held(name, None, account.uid, self._members.own_id, Relay(True))
        self._keeper.take_in(held)
        held.beginning.addErrback(lambda _failure: None)  # its home is told by the frame itself
        stream.hold(False)
        held.relay.join_client(stream)
        try:
            held.relay.join_job(self._here.start(name, request, account, False, self._clock.seconds()))
        except GomdError:
            self._keeper.let_go(held)
            raise

    def _check_room(self) -> None:
        waiting = sum(len(turns.waiting) for turns in (self._turns, *self._turns_of.values()))
        if len(self._keeper.held) + waiting >= self._most:
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
        key = ("account", caller.user if caller.uid is None else caller.uid)
        return await self._threads.run_apart(NAME_LIMIT, key, "accounts", account_of, caller, self._own_uid)
