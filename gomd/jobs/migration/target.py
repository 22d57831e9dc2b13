"""The target's side of a migration: takes a job from another node, restores it, and lets it run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from twisted.internet.defer import Deferred

from gomd.jobs.lifecycle.supervisors import GONE
from gomd.jobs.migration.context import MigrationContext
from gomd.jobs.migration.details import (
    ABILITIES,
    Details,
    ImagesDetails,
    OfferDetails,
    ReadyDetails,
    RunningDetails,
    SettledDetails,
    WaitingSignal,
)
from gomd.jobs.migration.messages import MigrationId, MigrationMessage
from gomd.jobs.migration.node_checks import INSPECTION_TIMEOUT
from gomd.jobs.migration.page_server import PageServer
from gomd.jobs.migration.protocol import Act, Local, MessageKind, State, TargetState
from gomd.jobs.migration.refusals import reasons_to_refuse
from gomd.jobs.migration.restored_copy import RestoredCopy
from gomd.jobs.migration.turns import MigrationTurns
from libgomd.errors import CannotMove, GomdError

if TYPE_CHECKING:
    from gomd.jobs.checkpoint.requirements import Requirements
    from gomd.jobs.lifecycle.frame_stream import FrameStream
    from gomd.jobs.migration.tree_server import TreeServer

#: Seconds that criu may take to restore the job.
RESTORE_TIMEOUT: Final = 620.0
_CALLED_OFF: Final = "the migration was called off"


class MigrationTarget:
    """
    The `gomd.jobs.migration.driver.SideEffects` of the target.

    :param migration: its id. :param source: id of the node from which the job comes.
    :param turns: how many jobs may be received at a time.
    :param tell: is told what happens by itself, with the reason.
    """

    role: Final = "target"

    def __init__(
        self,
        context: MigrationContext,
        migration: str,
        source: int,
        turns: MigrationTurns,
        tell: Callable[[Local, str], None],
    ) -> None:
        self.migration = migration
        self.job = MigrationId.parse(migration)
        self.other = source
        self._context = context
        self._tell = tell
        self._turns = turns
        self._turn_of: int | None = None
        self._looking: Deferred[GomdError | OSError | None] | None = None
        self._requirements: Requirements | None = None
        self._offer = OfferDetails()
        self._files: dict[str, bytes] = {}
        self._memory_sent = False
        self._page_server: PageServer | None = None
        self._tree_server: TreeServer | None = None
        self._waiting: FrameStream | None = None
        self._copy: RestoredCopy | None = None
        self._handed_over = False
        self._passed_on = False
        self._cancelled = False

    # -- SideEffects

    async def act(self, act: Act) -> None:
        """See `SideEffects.act`."""
        if act is Act.PREPARE:
            await self._prepare()
        elif act is Act.RESTORE:
            await self._restore()
        elif act is Act.THAW:
            await self._thaw()
        elif act is Act.CLEAR:
            await self._clear()

    async def write(self, state: State, reason: str) -> None:
        """See `SideEffects.write`."""
        if state is TargetState.RECEIVING and self._looking is None:
            self._looking = Deferred.fromCoroutine(self._look())  # it changes nothing: the disk may be slow
        await self._context.write(self.migration, state, self.job.name, self.other, reason)
        if state is TargetState.HOLDING:
            self._release_turn()

    def send(self, message: MessageKind, reason: str) -> None:
        """See `SideEffects.send`."""
        context = self._context
        details: Details = None
        if message is MessageKind.READY and self._page_server is not None:
            tree = self._tree_server
            details = ReadyDetails(
                self._page_server.port,
                0 if tree is None else tree.port,
                context.carried is not None,
                ABILITIES,
            )
        elif message is MessageKind.RUNNING and self._copy is not None and self._copy.running is not None:
            details = RunningDetails(self._copy.running.pid)
        sent = MigrationMessage(self.migration, message.word, context.own_id, reason, details)
        context.channels.send(self.other, sent, ours=False)

    def hear(self, message: MigrationMessage) -> None:
        """
        Take what a message of the source says besides its word.

        :raises MalformedFrame: the requirements of the job are not what they should be.
        """
        details = message.details
        if message.kind is MessageKind.OFFER:
            from gomd.jobs.migration.requirements_file import REQUIREMENTS_FILE, decode_requirements

            self._requirements = decode_requirements(message.files.get(REQUIREMENTS_FILE, b""))
            if isinstance(details, OfferDetails):
                self._offer = details
                self._requirements = replace(self._requirements, private_bytes=details.private_bytes)
        elif message.kind is MessageKind.IMAGES:
            self._files = dict(message.files)
            self._memory_sent = isinstance(details, ImagesDetails) and details.memory_sent
        elif isinstance(details, SettledDetails):
            self._pass_on(details.signals)

    # -- what is done

    async def _look(self) -> GomdError | OSError | None:
        """Wait for a turn, and return why the job cannot come here; None when it can."""
        needs = self._requirements
        if needs is None:
            return CannotMove(_CALLED_OFF)
        await self._turns.take(needs.uid)
        self._turn_of = needs.uid
        try:
            self._check_wanted()
            reasons = await reasons_to_refuse(self._context, needs, self.job)
        except (GomdError, OSError) as error:
            return error
        return CannotMove("; ".join(reasons)) if reasons else None

    async def _prepare(self) -> None:
        context, needs = self._context, self._requirements
        looking, self._looking = self._looking, None
        refusal = await (self._look() if looking is None else looking)
        if refusal is not None or needs is None:
            raise refusal or CannotMove(_CALLED_OFF)
        tls = await context.certificates()
        self._check_wanted()
        directory = await context.images.make(self.migration, self.role)
        if self._cancelled:
            await context.images.remove(self.migration, self.role)
        self._check_wanted()
        self._page_server = context.page_servers.open(context.node(self.other))
        self._page_server.start(directory, tls, self._memory_failed, needs.memory, self._offer.precopy)
        if self._offer.private_bytes is not None:
            needed = needs.memory + 2 * self._offer.private_bytes
            self._tree_server = context.tree_server(context.node(self.other), needed)
            self._tree_server.start(directory, tls, self._memory_failed)
        self._waiting = context.jobs.await_copy(self.job.name)

    def _check_wanted(self) -> None:
        """:raises CannotMove: it was called off meanwhile, and `_clear` would not see what begins now."""
        if self._cancelled:
            self._release_turn()
            raise CannotMove(_CALLED_OFF)

    def _memory_failed(self, reason: str) -> None:
        self._tell(Local.FAILED, f"{self._context.name_of(self._context.own_id)}: {reason}")

    async def _restore(self) -> None:
        context, jobs = self._context, self._context.jobs
        if self._page_server is None:
            raise CannotMove("its memory did not come")
        if self._memory_sent:
            self._page_server.cancel()
        else:
            await self._page_server.wait()
        if self._tree_server is not None:
            await self._tree_server.wait()
        files, self._files = self._files, {}
        directory = await context.images.write(self.migration, self.role, files)
        await self._fetch_carried()
        detached = await jobs.prepare_return(self.job.name)
        self._check_wanted()
        uid = None if self._requirements is None else self._requirements.uid
        waiting, self._waiting = self._waiting, None
        stream = jobs.restore(
            self.job.name, directory, context.criu, detach=detached, lock=self._offer.lock,
            nmigs=self.job.times, pid_at_home=self._offer.pid_at_home, uid=uid,
            identity=self._offer.identity, waiting=waiting,
        )  # fmt: skip
        self._copy = RestoredCopy(context.clock, stream, self._copy_lost)
        await self._copy.wait(RESTORE_TIMEOUT)

    async def _fetch_carried(self) -> None:
        """Fetch the files that the frozen job carries along. :raises CannotMove: they cannot be fetched."""
        context, needs = self._context, self._requirements
        if self._offer.carry and context.carried is not None and needs is not None:
            await context.carried.moves.pull(self.job.name, context.node(self.other), needs.uid, needs.user)

    def _copy_lost(self, reason: str) -> None:
        self._tell(Local.FAILED, reason)

    async def find(self) -> bool:
        """
        Look for the copy of the job here, after a restart of the daemon.

        :returns: whether there is one.
        :raises GomdError: that cannot be told now, which must not be taken for "no".
        :raises OSError: likewise.
        """
        jobs, name = self._context.jobs, self.job.name
        tracked = jobs.get(name)
        if tracked is not None and tracked.node == self._context.own_id:
            return False  # the job itself is here, not a copy of this migration
        try:
            copy = RestoredCopy(self._context.clock, jobs.find_supervisor(name), self._copy_lost)
            await copy.wait(INSPECTION_TIMEOUT)
        except (GomdError, OSError) as error:
            if isinstance(error, OSError) and error.errno in GONE:
                return False
            raise
        images = self._context.images.path(self.migration, self.role)
        if copy.running is None or copy.running.images != images:
            copy.stream.close()
            return False
        self._copy = copy
        return True

    async def _thaw(self) -> None:
        """Let the copy run, and track it as a job of this node."""
        context, copy = self._context, self._copy
        self._release_turn()
        if self._handed_over or copy is None or copy.running is None:
            return
        if not copy.is_gone:
            await copy.thaw()
            self._handed_over = True
            copy.stream.forget()
            context.jobs.arrived(self.job.name, copy.stream, copy.running, self.job.times)
        context.in_background(context.images.remove(self.migration, self.role))

    def _pass_on(self, signals: tuple[WaitingSignal, ...]) -> None:
        """Send the signals that came at the source, once: it says `settled` whenever it hears `running`."""
        if not self._passed_on:
            self._passed_on = self._context.jobs.pass_on(self.job.name, signals)

    async def _clear(self) -> None:
        """End whatever has begun, and track the job as before if this is its home."""
        self._cancelled = True
        self._release_turn()
        if self._page_server is not None:
            self._page_server.cancel()
        if self._tree_server is not None:
            self._tree_server.cancel()
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.close()
        copy = self._copy
        if copy is not None:
            await copy.end()
        self._copy = None
        await self._context.images.remove(self.migration, self.role)
        if self._offer.carry and self._context.carried is not None:
            self._context.in_background(self._context.carried.moves.left(self.job.name))
        self._context.jobs.cancel_return(self.job.name)

    def _release_turn(self) -> None:
        if self._turn_of is not None:
            uid, self._turn_of = self._turn_of, None
            self._turns.release(uid)
