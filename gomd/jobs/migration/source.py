"""The source's side of a migration: freezes a job of this node, sends it, and ends what is left of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import ClassVar, Final

from twisted.internet.task import deferLater
from twisted.logger import Logger

from gomd.jobs.migration.context import MigrationContext
from gomd.jobs.migration.details import (
    PRECOPY,
    Details,
    ImagesDetails,
    OfferDetails,
    ReadyDetails,
    RunningDetails,
    SettledDetails,
    WaitingSignal,
    decode_signals,
)
from gomd.jobs.migration.freeze_preparation import ROLE, FreezePreparation
from gomd.jobs.migration.messages import MAX_FILES_BYTES, MigrationId, MigrationMessage
from gomd.jobs.migration.protocol import Act, MessageKind, SourceState, State
from gomd.jobs.migration.refusals import reasons_of_age, takes_no_files
from gomd.jobs.migration.timeline import Timeline
from libgomd.errors import CannotMove
from libgomd.wire.job_orders import END, THAW, FreezeOrder, PlainOrder

#: Seconds that criu may take to stop the job and send its memory.
FREEZE_TIMEOUT: Final = 800.0
#: Seconds the supervisor may take longer than that to answer.
_ANSWER_TIMEOUT: Final = 20.0
#: Seconds that the target has to say what went wrong there, before the reason found here counts.
_TARGET_REASON_DELAY: Final = 0.5


class MigrationSource:
    """
    The `gomd.jobs.migration.driver.SideEffects` of the source.

    :param migration: its id. :param target: id of the node to which the job goes.
    :param requirements: what the job needs there, as `encode_requirements` gives it; empty after a restart.
    :param answered: is called when the target has said that the job can come, for the proofs that it needed.
    :param private_bytes: see `OfferDetails`.
    :param terminals: whether it has terminals, which an older version of gomd cannot take.
    :param memory: bytes that it occupies. :param preparation: of its freeze; None: it has not begun.
    :ivar timeline: of its steps.
    :ivar left: whether nothing of the job is left here. :ivar signals: those that came while it was stopped.
    """

    role: Final = ROLE
    _log: ClassVar[Logger] = Logger()

    def __init__(
        self,
        context: MigrationContext,
        migration: str,
        target: int,
        requirements: bytes = b"",
        answered: Callable[[], Awaitable[None]] | None = None,
        private_bytes: int | None = None,
        terminals: bool = False,
        memory: int = 0,
        preparation: FreezePreparation | None = None,
    ) -> None:
        self.migration = migration
        self.job = MigrationId.parse(migration)
        self.other = target
        self.left = False
        self.signals: tuple[WaitingSignal, ...] = ()
        self._context = context
        self._preparation = preparation or FreezePreparation(context, migration, self.job.name)
        self._requirements = requirements
        self._answered = answered
        self._terminals = terminals
        self._precopy = context.precopy_from if 0 < context.precopy_from <= memory else 0
        self._abilities: frozenset[str] = frozenset()
        self._stays = False
        self._private_bytes = private_bytes
        self._port = 0
        self._tree_port = 0
        self._pid_there: int | None = None
        self._memory_sent = False
        self._takes_carried = False
        self._images: dict[str, bytes] = {}
        self.timeline = Timeline(context.clock)

    # -- SideEffects

    async def act(self, act: Act) -> None:
        """See `SideEffects.act`."""
        if act is Act.FREEZE:
            await self._freeze()
        elif act is Act.THAW:
            await self._thaw()
        elif act is Act.END:
            await self._end()

    async def write(self, state: State, reason: str) -> None:
        """See `SideEffects.write`."""
        await self._context.write(self.migration, state, self.job.name, self.other, reason)
        self.timeline.note(state.word)
        if state is SourceState.MOVED:
            self.note_moved()

    def send(self, message: MessageKind, reason: str) -> None:
        """See `SideEffects.send`."""
        context, name = self._context, self.job.name
        details: Details = None
        files: dict[str, bytes] = {}
        if message is MessageKind.OFFER:
            from gomd.jobs.migration.requirements_file import REQUIREMENTS_FILE

            files = {REQUIREMENTS_FILE: self._requirements}
            details = OfferDetails(
                context.jobs.is_locked(name),
                context.jobs.pid_at_home(name),
                self._private_bytes,
                context.jobs.carries(name),
                context.jobs.identity(name),
                self._precopy > 0,
            )
        elif message is MessageKind.IMAGES:
            files, details = self._images, ImagesDetails(True) if self._memory_sent else None
        elif message is MessageKind.SETTLED:
            details = SettledDetails(self.signals)
        sent = MigrationMessage(self.migration, message.word, context.own_id, reason, details, files)
        context.channels.send(self.other, sent, ours=True)

    def hear(self, message: MigrationMessage) -> None:
        """Take what a message of the target says besides its word."""
        if isinstance(message.details, ReadyDetails):
            self._port, self._tree_port = message.details.port, message.details.tree_port
            self._takes_carried = message.details.carry
            self._abilities = message.details.abilities
        if isinstance(message.details, RunningDetails):
            self._pid_there = message.details.pid
        if message.kind is MessageKind.RUNNING:
            self.timeline.note_running()
        elif message.kind is not None:
            self.timeline.note(message.kind.word)

    def note_moved(self) -> None:
        """Note that the job runs on the target, so that its home looks for it there. May be called twice."""
        self._context.jobs.moved_away(self.job.name, self.other, self.job.times, self._pid_there)

    # -- what is done

    async def _freeze(self) -> None:
        context, images = self._context, self._context.images
        if self._answered is not None:
            context.in_background(self._answered())
        control = context.jobs.control(self.job.name)
        if control is None:
            raise CannotMove("it has ended")
        if self._private_bytes is not None and not self._tree_port:
            raise CannotMove(takes_no_files(context.name_of(self.other)))
        if context.jobs.carries(self.job.name) and not self._takes_carried:
            there = context.name_of(self.other)
            raise CannotMove(f"gomd on {there} is older and does not take carried files: update it there")
        if reasons := reasons_of_age(self._terminals, self._abilities, context.name_of(self.other)):
            raise CannotMove("; ".join(reasons))
        address = context.node(self.other).address
        directory, tls = await self._preparation.take()
        if self._stays:
            context.jobs.forgo_freeze(
                self.job.name
            )  # it may have heard of the freeze after it was told to stay
            await images.remove(self.migration, self.role)
            raise CannotMove("it stays here")
        order = FreezeOrder(
            context.criu, directory, address, self._port, tls, FREEZE_TIMEOUT, self._tree_port,
            self._precopy if PRECOPY in self._abilities else 0,
        )  # fmt: skip
        try:
            self.timeline.note("freeze")
            outcome = await control.do(order, FREEZE_TIMEOUT + _ANSWER_TIMEOUT)
            self.timeline.note_precopy(outcome.precopied, outcome.precopy_seconds)
            self._memory_sent = outcome.memory_sent
            dumped_at = context.clock.seconds()
            self.timeline.note("dumped")
            self._images = await images.read(self.migration, self.role)
            self.timeline.note("images")
            self.timeline.note_dump(self._images, dumped_at)
        except CannotMove as error:
            # The target's reason may only be what follows from this one, and is the one that is told.
            self._log.info("job {job} was not frozen: {error}", job=self.job.name, error=str(error))
            await deferLater(context.clock, _TARGET_REASON_DELAY)
            raise
        if sum(map(len, self._images.values())) > MAX_FILES_BYTES:
            raise CannotMove("criu's images of it are too large: it has too many files or processes")
        context.in_background(images.remove(self.migration, self.role))  # the job stands still meanwhile

    async def _thaw(self) -> None:
        jobs, name = self._context.jobs, self.job.name
        self._stays = True
        self._images = {}
        control = jobs.control(name)
        if control is not None and jobs.is_connected(name):
            await control.do(PlainOrder(THAW))
        await self._context.images.remove(self.migration, self.role)

    async def _end(self) -> None:
        jobs, name = self._context.jobs, self.job.name
        self._images = {}
        control = jobs.control(name)
        if control is not None and jobs.is_connected(name):
            try:
                self.signals = decode_signals(list((await control.do(PlainOrder(END))).signals))
            except CannotMove:
                if jobs.is_connected(name):
                    raise
        self.left = True
        self.timeline.note("ended")
        jobs.left(name, self.other)
        if self._context.carried is not None:
            self._context.in_background(self._context.carried.moves.left(name))
