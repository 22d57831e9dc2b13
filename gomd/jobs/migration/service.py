"""Moves jobs of this node to other nodes by criu, and takes jobs from them: the `IMigrator` of criu."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from zope.interface import implementer

from gomd.interfaces import UNTRUSTED, IMigrator, MigrationSubject, MoveCost
from gomd.jobs.lifecycle.tracked import TrackedJob
from gomd.jobs.migration import preflight
from gomd.jobs.migration.active import ActiveMigrations
from gomd.jobs.migration.channels import ChannelObserver
from gomd.jobs.migration.context import MigrationContext
from gomd.jobs.migration.dispatch import MAX_ACTIVE_MIGRATIONS, MessageDispatcher
from gomd.jobs.migration.freeze_preparation import FreezePreparation
from gomd.jobs.migration.messages import MigrationMessage
from gomd.jobs.migration.obstacles import Obstacles
from gomd.jobs.migration.preflight import SourceFindings
from gomd.jobs.migration.protocol import MigrationSide, SourceState, State
from gomd.jobs.migration.recovery import Recovery
from gomd.jobs.migration.source import MigrationSource
from gomd.jobs.migration.turns import MigrationTurns
from libgomd.deadlines import within
from libgomd.errors import CannotMove, Conflict, NotAllowed, NotFound, PeerUnreachable, TimedOut
from libgomd.model import Counter
from libgomd.wire.job_name import JobName

if TYPE_CHECKING:
    from gomd.jobs.checkpoint.requirements import Requirements

#: Maximum number of jobs that leave this node at the same time, and that are received. Others wait.
MAX_CONCURRENT_LEAVING: Final = 16
MAX_CONCURRENT_RECEIVING: Final = 16
#: Maximum number of those of one user. As many as `gomd.jobs.relocation.move_all` asks for.
MAX_CONCURRENT_PER_USER: Final = 8
#: Seconds after which a caller is told that it is not known yet where the process runs.
CALLER_TIMEOUT: Final = 590.0
#: Seconds that a job which has just come may wait for its source's last message before it may leave again.
SETTLE_TIMEOUT: Final = 30.0


@implementer(IMigrator)
class Migrations:
    """
    `IMigrator` by criu. Call `load` before jobs are looked for, and `start` afterwards.

    :param make_context: makes the context, with channels that have the given observer: this object.
    :param limit: maximum number of migrations that may be under way; more are refused.
    """

    kind = "criu"
    _log: ClassVar[Logger] = Logger()

    def __init__(
        self, make_context: Callable[[ChannelObserver], MigrationContext], limit: int = MAX_ACTIVE_MIGRATIONS
    ) -> None:
        self._context = context = make_context(self)
        self._leaving = MigrationTurns(MAX_CONCURRENT_LEAVING, MAX_CONCURRENT_PER_USER)
        receiving = MigrationTurns(MAX_CONCURRENT_RECEIVING, MAX_CONCURRENT_PER_USER)
        self.active = ActiveMigrations(context)
        self._recovery = Recovery(context, self.active, receiving)
        self._dispatcher = MessageDispatcher(context, self.active, self._recovery, receiving, limit)
        self._obstacles = Obstacles(context)
        self._requested: set[str] = set()
        self._stopped = False

    # -- the daemon's start and end

    def load(self) -> tuple[frozenset[str], frozenset[str]]:
        """See `Recovery.load`."""
        self._stopped = False
        return self._recovery.load()

    def start(self) -> None:
        """Open the channels, and take up what an earlier daemon has begun."""
        self._context.channels.open()
        self._context.in_background(self._context.checks.sweep())
        self._obstacles.start()
        self._recovery.start()

    def stop(self) -> None:
        """Stop; the next daemon takes up what is under way. Nothing is answered until then."""
        self._stopped = True
        self._recovery.stop()
        self.active.close()
        self._obstacles.stop()
        self._context.channels.close()

    def node_down(self, node: int) -> None:
        """End the streams to a node that went down, as they may not tell."""
        self._context.channels.abort(node)

    # -- ChannelObserver

    def heard(self, message: MigrationMessage, answer: Callable[[MigrationMessage], None]) -> None:
        """See `ChannelObserver.heard` and `MessageDispatcher.heard`."""
        if not self._stopped:
            self._dispatcher.heard(message, answer)

    def cut(self, node: int, ours: bool) -> None:
        """See `ChannelObserver.cut`."""
        self._dispatcher.cut(node, ours)

    def connected(self, node: int) -> None:
        """See `ChannelObserver.connected`."""
        self._dispatcher.connected(node)

    def join(self, node: int, stream: Any) -> None:
        """See `IMigrator.join`."""
        self._context.channels.join(stream, node)

    # -- IMigrator

    def cannot(self) -> str:
        """See `IMigrator.cannot`."""
        return self._context.checks.known_criu_problem

    async def check(self) -> str:
        """See `IMigrator.check`."""
        return await self._context.checks.criu_problem()

    async def reasons(self, subject: MigrationSubject, node: int) -> Sequence[str]:
        """See `IMigrator.reasons`."""
        context = self._context
        job = context.jobs.running(subject.job)
        return await preflight.reasons(context, job, node or _home_of(job), self._new_id(job))

    async def migrate(self, subject: MigrationSubject, node: int) -> MoveCost | None:
        """See `IMigrator.migrate`."""
        job = self._context.jobs.running(subject.job)
        target = node or _home_of(job)
        if target == self._context.own_id:
            return None
        if job.name in self._requested:  # already queued; repeated requests must not queue it again
            raise _being_moved(job.name)
        self._requested.add(job.name)
        try:
            return await self._migrate(job, target)
        finally:
            self._requested.discard(job.name)

    def counters(self) -> Iterable[Counter]:
        """See `IMigrator.counters`."""
        return self.active.counters()

    # -- a job that leaves

    async def _migrate(self, job: TrackedJob, target: int) -> MoveCost:
        """Move a job when its turn comes. Result and errors as in `IMigrator.migrate`."""
        # A job that has just come runs here already while its source's last message is still missing.
        await self.active.until_received(job.name, SETTLE_TIMEOUT)
        self._check_free(job.name)
        if reasons := preflight.supervisor_reasons(job):
            raise CannotMove("; ".join(reasons))
        if not self._context.node(target).up:
            raise PeerUnreachable(f"{self._context.name_of(target)} is down")
        await self._leaving.take(job.uid)
        try:
            state, reason, cost = await self._send(job, target)
        finally:
            self._leaving.release(job.uid)
        if state is not SourceState.MOVED:
            refusal = NotAllowed if UNTRUSTED in reason else CannotMove
            raise refusal(reason or "the other node did not take it")
        return cost

    async def _send(self, job: TrackedJob, target: int) -> tuple[State, str, MoveCost]:
        """
        Migrate a job.

        :returns: the final state, the reason for it, which is empty when all went well, and what it took.
        """
        context = self._context
        preparation = FreezePreparation(context, self._new_id(job), job.name)
        preparation.begin()

        async def connect() -> None:
            await context.channels.connect(context.node(target))

        def hang_up(_result: object) -> None:  # of a connection that failed, too: why is told already
            if not self.active.moves(job.name):
                self.active.hang_up_later(target)

        connected = Deferred.fromCoroutine(connect())
        try:
            found = await self._look(job)
            withdrawn = False

            async def withdraw() -> None:
                nonlocal withdrawn
                if not withdrawn:
                    await context.checks.withdraw(job, found.requirements)
                    withdrawn = True

            try:
                await connected
                await connect()  # a move that ended may have closed it meanwhile
                return await self._send_found(job, target, found.requirements, withdraw, preparation)
            finally:
                await withdraw()
        finally:
            connected.addBoth(hang_up)
            await preparation.end()

    async def _send_found(
        self,
        job: TrackedJob,
        target: int,
        requirements: Requirements,
        answered: Callable[[], Awaitable[None]],
        preparation: FreezePreparation,
    ) -> tuple[State, str, MoveCost]:
        """See `_send`. :param answered: is called when the target has said that the job can come."""
        context = self._context
        self._check_free(job.name)
        if not context.jobs.is_current(job) or job.exit is not None:
            raise NotFound(f"job {job.name} has ended")
        from gomd.jobs.migration.requirements_file import encode_requirements

        data = encode_requirements(requirements)
        source = MigrationSource(
            context,
            preparation.migration,
            target,
            data,
            answered,
            requirements.private_bytes,
            requirements.terminals,
            requirements.memory,
            preparation,
        )
        settled: Deferred[State] = Deferred()
        driver = self.active.begin(source, *MigrationSide.offer(), waiting=settled)
        state = await self._wait(settled, job.name, target)
        self._log.info(
            "job {job} to {node}: {state}{reason}, {seconds} s", job=job.name, node=context.name_of(target),
            state=state.word, reason=f" ({driver.reason})" if driver.reason else "",
            seconds=source.timeline.cost().seconds,
        )  # fmt: skip
        self._log.debug(
            "job {job} to {node}, in milliseconds: {steps}", job=job.name, node=context.name_of(target),
            steps=str(source.timeline),
        )  # fmt: skip
        return state, driver.reason, source.timeline.cost()

    async def _look(self, job: TrackedJob) -> SourceFindings:
        """Return a job's requirements; `withdraw` has to follow. :raises CannotMove: it cannot move."""
        context = self._context
        if not context.jobs.is_current(job):
            raise NotFound(f"job {job.name} is not on this node any more")
        found = await preflight.at_source(context, job)
        if found.reasons:
            await context.checks.withdraw(job, found.requirements)
            raise CannotMove("; ".join(found.reasons))
        return found

    async def _wait(self, settled: Deferred[State], job: str, target: int) -> State:
        """Return the final state. :raises TimedOut: the caller must not wait any longer."""
        late = TimedOut(
            f"it is not known yet where job {job} runs: this is settled when "
            f"{self._context.name_of(target)} can be reached again"
        )
        return await within(self._context.clock, CALLER_TIMEOUT, settled, late)

    def _check_free(self, name: str) -> None:
        """:raises Conflict: the job is being moved."""
        if self.active.moves(name):
            raise _being_moved(name)

    def _new_id(self, job: TrackedJob) -> str:
        return f"{job.name}-{self._context.jobs.move_count(job) + 1}-{secrets.token_hex(4)}"


def _being_moved(name: str) -> Conflict:
    return Conflict(f"job {name} is being moved already: wait until it has arrived")


def _home_of(job: TrackedJob) -> int:
    return JobName.parse(job.name).home
