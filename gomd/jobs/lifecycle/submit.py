"""Starts jobs: as whom, on which node, and on which other one when that cannot run it."""

from __future__ import annotations

import signal
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any, ClassVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from gomd.interfaces import IMembership, IPlacement, IThreads, Need
from gomd.jobs.home.journal import Journal
from gomd.jobs.home.process_ids import foreign_identity
from gomd.jobs.home.table import HomeTable
from gomd.jobs.lifecycle.admission import Admission
from gomd.jobs.lifecycle.carried_files import CarriedFiles
from gomd.jobs.lifecycle.carried_transfer import CannotCarry
from gomd.jobs.lifecycle.frame_stream import FrameStream
from gomd.jobs.lifecycle.long_specs import LongSpecs, SpecTicket
from gomd.jobs.lifecycle.output_quota import OutputQuota
from gomd.jobs.lifecycle.read_request import early_attach, read_request
from gomd.jobs.lifecycle.request import Account, JobRequest, account_of, node_ids
from gomd.jobs.lifecycle.start_queue import StartQueue, StartSlot
from gomd.jobs.lifecycle.supervisors import Supervisors
from gomd.jobs.lifecycle.tracked import TrackedJob
from gomd.jobs.lifecycle.tracker import JobTracker
from libgomd.deadlines import within
from libgomd.errors import (
    Conflict,
    GomdError,
    InternalError,
    NotFound,
    NotPossible,
    PeerUnreachable,
    TimedOut,
    TooMany,
)
from libgomd.model import Caller, Node, Status
from libgomd.wallclock import Wall
from libgomd.wire import frames
from libgomd.wire.job_orders import RECEIVED

#: Seconds that finding the account of a user may take.
ACCOUNT_TIMEOUT = 5.0
#: Seconds that the disk may take to accept the journal.
SYNC_TIMEOUT = 30.0
#: Seconds that a supervisor may take to receive what it is to run.
RECEIVE_TIMEOUT = 30.0


class JobSubmission:
    """
    :param placement: chooses nodes. :param journal: is synced before a job starts on another node.
    :param own_uid: the user this daemon runs as. :param admission: how many jobs may be under way at once.
    :param quota: how much output of detached jobs is kept here.
    :param wall: gives the time of stamps. :param carried: sends what jobs carry along.
    """

    _log: ClassVar[Logger] = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        members: IMembership,
        threads: IThreads,
        supervisors: Supervisors,
        placement: IPlacement,
        journal: Journal,
        table: HomeTable,
        tracker: JobTracker,
        own_uid: int,
        admission: Admission,
        quota: OutputQuota,
        wall: Wall,
        carried: CarriedFiles,
    ) -> None:
        self._carried = carried
        self._clock = clock
        self._wall = wall
        self._members = members
        self._threads = threads
        self._supervisors = supervisors
        self._placement = placement
        self._journal = journal
        self._table = table
        self._tracker = tracker
        self._own_uid = own_uid
        self._admission = admission
        self._quota = quota
        self._queue = StartQueue()
        self._long_specs = LongSpecs()

    def run(self, caller: Caller, stream: FrameStream, guest: str = "") -> None:
        """See `IJobs.run`."""
        self._serve(stream, self._host(caller, stream, guest) if guest else self._run(caller, stream))

    def _serve(self, stream: FrameStream, work: Coroutine[Deferred[Any], Any, None]) -> None:
        """Do ``work`` for the caller at ``stream``, which is told what went wrong."""

        def failed(failure: Any) -> None:
            error = failure.value
            if not isinstance(error, GomdError):
                self._log.failure("starting a job failed", failure=failure)
                error = InternalError("something broke inside gomd: its log has the details")
            stream.send(frames.failure(error))
            stream.close()

        Deferred.fromCoroutine(work).addErrback(failed)

    async def _run(self, caller: Caller, stream: FrameStream) -> None:
        with self._long_specs.ticket() as ticket:
            await self._run_described(caller, stream, ticket)

    async def _run_described(self, caller: Caller, stream: FrameStream, ticket: SpecTicket) -> None:
        request = await read_request(self._clock, self._threads, stream, ticket)
        self._admission.check(self._tracker.jobs.values(), self._queue.waiting(), caller)
        slot = self._queue.slot(_uid(caller))
        await slot.take()
        try:
            account = await self._account(caller)
            if request.detach:
                await self._quota.check(caller)
            request = replace(request, attach=None if request.detach else early_attach(stream))
            await self._run_somewhere(request, caller, account, stream, slot)
        finally:
            slot.release()

    async def _run_somewhere(
        self, request: JobRequest, caller: Caller, account: Account, stream: FrameStream, slot: StartSlot
    ) -> None:
        refused: set[int] = set()
        unlimited: NotPossible | None = None
        while True:
            await slot.take()
            try:
                node = self._place(request, frozenset(refused))
            except NotPossible:
                if unlimited is not None:
                    raise unlimited from None
                raise
            self._admission.check(self._tracker.jobs.values(), (), caller)
            try:
                return await self._run_on(node, request, caller, account, stream, slot)
            except (NotFound, PeerUnreachable, TooMany, NotPossible) as error:
                # No such directory there, no limit of memory, or it cannot be reached: another node will do.
                if isinstance(error, NotPossible):
                    unlimited = error
                    if isinstance(error, CannotCarry) or (request.memory_max is None and not request.carry):
                        raise
                if request.node or node.id in refused or len(self._members.nodes()) == 1:
                    raise
                self._placement.withdraw(node.id)
                refused.add(node.id)

    async def _run_on(
        self,
        node: Node,
        request: JobRequest,
        caller: Caller,
        account: Account,
        stream: FrameStream,
        slot: StartSlot,
    ) -> None:
        job = self._table.new(
            node.id, account.user, account.uid, request.command, self._wall(),
            lock=bool(request.lock), detached=request.detach, memory_max=request.memory_max,
        )  # fmt: skip
        tracked = self._tracker.new(job)
        self._tracker.track(tracked)
        try:
            if request.carry:
                request = await self._carried.take(job.name, request, account, node, caller)
            if node.id == self._members.own_id:
                await self._on_disk(self._journal.written())
                await self._launch(tracked, request, account, request.detach, slot, job.started)
            else:
                synced = self._on_disk(self._journal.sync())
                tracked.connect(
                    await self._tracker.remote.start(node, job.name, request.values(), caller, synced)
                )
                slot.release()
            await tracked.begun
            self._check_limit(tracked, request, node)
        except BaseException:
            if request.carry:
                self._carried.discard(job.name, node.id, caller)
            self._tracker.release(tracked)
            self._table.drop(job.job)
            raise
        self._tracker.keep_output_if_detached(tracked)
        self._tracker.attach(tracked, stream, asked=request.attach is not None)

    async def _on_spool(self) -> None:
        """Have the spool ready; a disk that hangs is waited for on a thread."""
        if not self._supervisors.is_ready:
            await self._threads.run_apart(SYNC_TIMEOUT, "spool", "spool", self._supervisors.prepare)

    def _on_disk(self, waited: Deferred[None]) -> Deferred[None]:
        """Wait for the journal, as a later daemon must know of a job that runs. Fails with `TimedOut`."""
        late = TimedOut(f"the disk took no line of the journal within {SYNC_TIMEOUT:g} s: try again later")
        return within(self._clock, SYNC_TIMEOUT, waited, late)

    async def _host(self, caller: Caller, stream: FrameStream, name: str) -> None:
        """Start a guest for the daemon at ``stream``, which is its home."""
        with self._long_specs.ticket() as ticket:
            await self._host_described(caller, stream, name, ticket)

    async def _host_described(
        self, caller: Caller, stream: FrameStream, name: str, ticket: SpecTicket
    ) -> None:
        request = await read_request(self._clock, self._threads, stream, ticket)
        self._admission.check(self._tracker.jobs.values(), self._queue.waiting(), caller)
        slot = self._queue.slot(_uid(caller))
        await slot.take()
        try:
            await self._host_now(request, caller, stream, name, slot)
        except BaseException:
            slot.release()
            raise

    async def _host_now(
        self, request: JobRequest, caller: Caller, stream: FrameStream, name: str, slot: StartSlot
    ) -> None:
        account = await self._account(caller)
        if name in self._tracker.jobs:
            raise Conflict(f"there is a job {name} here already")
        if self._members.find(str(self._members.own_id)).status & Status.BLOCK:
            raise NotPossible("this node takes no guests: it is blocked")
        tracked = self._tracker.new_guest(name, account.uid)
        self._tracker.track(tracked)
        tracked.begun.addErrback(lambda _failure: None)  # its home is told by the frame itself
        stream.pause_reading(False)
        tracked.relay.join_client(stream)
        try:
            await self._launch(tracked, request, account, False, slot, self._wall())
        except GomdError:
            self._tracker.release(tracked)
            raise

    async def _launch(
        self,
        tracked: TrackedJob,
        request: JobRequest,
        account: Account,
        detach: bool,
        slot: StartSlot,
        began: float,
    ) -> None:
        """Start a supervisor here. The slot is free again when that has received what to run."""
        await self._on_spool()
        await slot.launch()
        identity = foreign_identity(tracked.name) if tracked.number is None else ""
        tracked.connect(self._supervisors.start(tracked.name, request, account, detach, began, identity))
        received = tracked.control.expect(RECEIVED, RECEIVE_TIMEOUT)
        received.addBoth(lambda _outcome: slot.release())

        def begun(result: Any) -> Any:
            received.cancel()
            self._supervisors.keep_spare()
            return result

        tracked.begun.addBoth(begun)

    def _check_limit(self, tracked: TrackedJob, request: JobRequest, node: Node) -> None:
        """End a job at once that runs without its memory limit. :raises NotPossible: it did."""
        if request.memory_max is None:
            return
        if tracked.running is None or tracked.running.memory_max != request.memory_max:
            tracked.relay.to_job(frames.encode_signal(signal.SIGKILL, True))
            raise NotPossible(
                f"gomd on node {node.id} {node.name} is older and cannot limit memory: update it there"
            )

    def _place(self, request: JobRequest, refused: frozenset[int]) -> Node:
        """Return the node to run on. :raises NotFound: no such one. :raises NotPossible: none can take it."""
        if request.node:
            node = self._members.find(request.node)
            if request.memory is None or not node.up:  # one that is down is refused when it is asked
                return node
            need = Need(request.memory, frozenset((node.id,)), frozenset())
            return self._placement.choose((node,), need)
        nodes = node_ids(request.nodes) if request.nodes else None
        return self._placement.choose(self._members.nodes(), Need(request.memory, nodes, refused))

    async def _account(self, caller: Caller) -> Account:
        key = ("account", caller.user if caller.uid is None else caller.uid)
        return await self._threads.run_apart(
            ACCOUNT_TIMEOUT, key, "accounts", account_of, caller, self._own_uid
        )


def _uid(caller: Caller) -> int:
    """Return the user whose slot a start takes; -1 for a caller that is no user here and is refused soon."""
    return -1 if caller.uid is None else caller.uid
