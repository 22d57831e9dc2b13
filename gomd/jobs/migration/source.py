"""The source's side of a migration: what is done here with a job that goes to another node."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import deferLater

from gomd.jobs.checkpoint.criu import Images
from gomd.jobs.lifecycle.tracked import TrackedJob
from gomd.jobs.migration.context import FILES_LIMIT, MigrationContext
from gomd.jobs.migration.messages import MAX_FILES_SIZE, NEEDS, MigrationId, MigrationMessage
from gomd.jobs.migration.protocol import Act, MessageKind, SourceState, State
from libgomd.errors import CannotMove
from libgomd.wire.frames import MalformedFrame

#: Seconds criu may take to stop the job and send its memory.
FREEZE_LIMIT = 800.0
#: Seconds the other node has to say what went wrong there before our own reason counts.
_THEIR_REASON = 0.5


class MigrationSource:
    """
    The `gomd.jobs.migration.driver.Hands` of the source.

    :param migration: its id. :param target: id of the node it goes to.
    :param needs: what the process needs there, as `encode_needs` gives it; empty after a restart.
    :ivar left: nothing of it is here any more. :ivar signals: that came while it was stopped.
    """

    def __init__(self, ground: MigrationContext, migration: str, target: int, needs: bytes = b"") -> None:
        self.migration = migration
        self.job = MigrationId.parse(migration)
        self.other = target
        self._ground = ground
        self._needs = needs
        self.left = False
        self._given_up = False
        self._port = 0
        self._images: dict[str, bytes] = {}
        self.signals: list[Any] = []

    @property
    def _held(self) -> TrackedJob | None:
        return self._ground.keeper.held.get(self.job.name)

    # -- Hands

    async def act(self, act: Act) -> None:
        """See `Hands.act`."""
        if act is Act.FREEZE:
            await self._freeze()
        elif act is Act.THAW:
            await self._thaw()
        elif act is Act.END:
            await self._end()

    async def write(self, state: State, reason: str) -> None:
        """See `Hands.write`."""
        await self._ground.write(self.migration, state, self.job.name, self.other, reason)
        if state is SourceState.MOVED:
            self.note_moved()

    def note_moved(self) -> None:
        """The target runs it: so does its home see it from now on. May be done twice."""
        self._ground.whereabouts.went(self.job.name, self.other, self.job.times)

    def send(self, message: MessageKind, reason: str) -> None:
        """See `Hands.send`."""
        more: dict[str, Any] = {}
        files: dict[str, bytes] = {}
        held = self._held
        if message is MessageKind.OFFER:
            files = {NEEDS: self._needs}
            more = {"lock": bool(held and self._is_locked(held)), "pid": self._pid_at_home(held)}
        elif message is MessageKind.IMAGES:
            files = self._images
        elif message is MessageKind.SETTLED:
            more = {"signals": self.signals}
        letter = MigrationMessage(self.migration, message.word, self._ground.own_id, reason, more, files)
        self._ground.post.send(self.other, letter, ours=True)

    def _pid_at_home(self, held: TrackedJob | None) -> int | None:
        """Return the number it has at its home, None when that gave it none of the kernel's."""
        job = None if held is None or held.number is None else self._ground.table.get(held.number)
        if job is not None:
            return job.pid
        return None if held is None else held.told.get("pid_at_home")

    def _is_locked(self, held: TrackedJob) -> bool:
        job = None if held.number is None else self._ground.table.get(held.number)
        return job.lock if job is not None else bool(held.told.get("lock"))

    def heard(self, letter: MigrationMessage) -> None:
        """Take what is in a letter of the target. :raises MalformedFrame: it is not what it should be."""
        if letter.message is MessageKind.READY:
            port = letter.more.get("port")
            if isinstance(port, bool) or not isinstance(port, int) or not 0 < port < 65536:
                raise MalformedFrame("a page server at no port")
            self._port = port

    # -- what is done

    async def _freeze(self) -> None:
        ground, held = self._ground, self._held
        if held is None or held.orders is None:
            raise CannotMove("it has ended")
        address = ground.address_of(self.other)
        tls = await ground.threads.run(FILES_LIMIT, ground.machine.tls)
        directory = await ground.make_directory(self.migration, "source")
        if self._given_up:
            await ground.remove_directory(self.migration, "source")
            raise CannotMove("it stays here")
        try:
            await held.orders.do(
                "freeze", FREEZE_LIMIT + 20.0, criu=ground.machine.criu.program, directory=directory,
                address=address, port=self._port, tls=list(tls), limit=FREEZE_LIMIT,
            )  # fmt: skip
            images = await ground.threads.run(FILES_LIMIT, Images.read, directory)
        except CannotMove:
            await deferLater(ground.clock, _THEIR_REASON)
            raise
        self._images = dict(images.files)
        if sum(map(len, self._images.values())) > MAX_FILES_SIZE:
            raise CannotMove("what criu has to say about it is too large: too many files or processes")
        await ground.remove_directory(self.migration, "source")

    async def _thaw(self) -> None:
        self._given_up = True
        self._images = {}
        held = self._held
        if held is not None and held.orders is not None and held.relay.job is not None:
            await held.orders.do("thaw")
        await self._ground.remove_directory(self.migration, "source")

    async def _end(self) -> None:
        self._images = {}
        held = self._held
        if held is not None and held.orders is not None and held.relay.job is not None:
            try:
                self.signals = (await held.orders.do("end")).get("signals", [])
            except CannotMove:
                if held.relay.job is not None:
                    raise
        self.left = True
        self._ground.whereabouts.left(self.job.name, self.other)
        await self._ground.remove_directory(self.migration, "source")
