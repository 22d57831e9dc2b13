"""Takes up, after a start of the daemon, the migrations that an earlier one has left in the journal."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import ClassVar, Final, NamedTuple

from twisted.internet.task import deferLater
from twisted.logger import Logger

from gomd.jobs.migration.active import ActiveMigrations, Participant
from gomd.jobs.migration.context import MigrationContext
from gomd.jobs.migration.journal import Record
from gomd.jobs.migration.messages import MigrationId
from gomd.jobs.migration.protocol import MigrationSide, SourceState, TargetState
from gomd.jobs.migration.source import MigrationSource
from gomd.jobs.migration.target import MigrationTarget
from gomd.jobs.migration.turns import MigrationTurns
from libgomd.errors import GomdError, PeerUnreachable
from libgomd.wire.frames import MalformedFrame

#: Seconds until a job whose supervisor could not be asked is looked for again.
RETRY_INTERVAL: Final = 1.0


class _Found(NamedTuple):
    """
    What is left on this node of a side of a migration.

    :ivar copy: whether the process is here, so that its supervisor answers.
    :ivar returned: whether the job has left and come back here since.
    """

    participant: Participant
    copy: bool
    returned: bool = False


class Recovery:
    """
    Reads the journal before the jobs are looked for, and goes on with what it says afterwards.

    :param turns: how many jobs may be received at a time.
    """

    _log: ClassVar[Logger] = Logger()

    def __init__(self, context: MigrationContext, active: ActiveMigrations, turns: MigrationTurns) -> None:
        self._context = context
        self._active = active
        self._turns = turns
        self._records: Sequence[Record] = ()
        self._leftovers: Sequence[str] = ()
        self._pending: set[tuple[str, str]] = set()
        self._stopped = False

    def is_pending(self, migration: str, role: str) -> bool:
        """Whether a side is in the journal and has not been taken up: nothing may be said about it."""
        return (migration, role) in self._pending

    def load(self) -> tuple[frozenset[str], frozenset[str]]:
        """
        Read the journal. Blocks briefly.

        :returns: the names of the jobs that were leaving, and of those that were coming. They must not be
            taken for lost, or for guests, before they are settled.
        """
        self._stopped = False
        journal = self._context.journal
        self._records = journal.load()
        self._pending = {(record.migration, record.side) for record in self._records} | journal.damaged
        self._leftovers = self._context.images.leftovers(self._pending)
        leaving = {record.job for record in self._records if record.side == MigrationSource.role}
        coming = {record.job for record in self._records if record.side == MigrationTarget.role}
        coming |= {_job_of(migration) for migration, side in journal.damaged if side == MigrationTarget.role}
        arrived = {record.job for record in self._records if record.state is TargetState.SETTLED}
        coming -= {""} | arrived | leaving
        for name in coming:
            self._context.jobs.expect(name, True)
        return frozenset(leaving), frozenset(coming)

    def start(self) -> None:
        """Go on with each migration of the journal, and remove images that belong to none."""
        if self._leftovers:
            self._context.in_background(self._remove(self._leftovers))
        records, self._records = self._records, ()
        for record in records:
            try:
                job = MigrationId.parse(record.migration)
            except MalformedFrame:
                self._log.error("the journal has an invalid migration id: {name}", name=record.migration)
                continue
            self._context.in_background(self._take_up(record, job))

    def stop(self) -> None:
        """Take up no more: the next daemon will."""
        self._stopped = True

    async def _remove(self, paths: Sequence[str]) -> None:
        """Remove the images that earlier migrations have left: there may be gigabytes of memory in them."""
        for path in paths:
            if not self._stopped:
                await self._context.images.remove_path(path)

    async def _take_up(self, record: Record, job: MigrationId) -> None:
        """Look for the job until that can be done, and go on as the journal and what is here require."""
        said = ""
        while not self._stopped:
            try:
                found = await self._look_for(record, job)
            except (GomdError, OSError) as error:  # taking it for gone could let it run twice
                if str(error) != said:
                    said = str(error)
                    self._log.warn(
                        "migration {migration}: cannot check now whether its job is here: {error}",
                        migration=record.migration, error=error,
                    )  # fmt: skip
                await deferLater(self._context.clock, RETRY_INTERVAL)
            else:
                if not self._stopped:
                    self._go_on(record, job, found)
                return

    async def _look_for(self, record: Record, job: MigrationId) -> _Found:
        """
        Return what is left on this node of a side of a migration.

        :raises GomdError: that cannot be told now. :raises OSError: likewise.
        """
        jobs = self._context.jobs
        tracked = jobs.get(job.name)
        if tracked is not None and tracked.supervisor_silent:
            raise PeerUnreachable("its supervisor cannot be reached")
        if record.side == MigrationTarget.role:
            tell = partial(self._active.tell, record.migration, MigrationTarget.role)
            target = MigrationTarget(self._context, record.migration, record.other, self._turns, tell)
            return _Found(target, await target.find())
        source = MigrationSource(self._context, record.migration, record.other)
        here = tracked is not None and tracked.node == self._context.own_id and jobs.is_connected(job.name)
        returned = record.state is SourceState.MOVED and jobs.has_returned(job.name, job.times)
        return _Found(source, here and not returned, returned)

    def _go_on(self, record: Record, job: MigrationId, found: _Found) -> None:
        moved = record.state is SourceState.MOVED and not found.returned
        if moved and not found.copy:
            self._context.jobs.end_leftover(job.name)
        try:
            side, steps = MigrationSide.recover(record.state, found.copy)
        except KeyError:
            self._log.error("the journal has an impossible record: {record}, copy {copy}", record=record,
                            copy=found.copy)  # fmt: skip
            self._context.jobs.drop_side(job.name)
            return
        self._log.info(
            "migration {migration} goes on: it was {state}, {copy}", migration=record.migration,
            state=record.state.word, copy="with a copy here" if found.copy else "without a copy here",
        )  # fmt: skip
        if moved and isinstance(found.participant, MigrationSource):
            found.participant.note_moved()
        self._pending.discard((record.migration, record.side))
        self._active.begin(found.participant, side, steps)


def _job_of(migration: str) -> str:
    """Return the name of the job that a migration is about, empty when the id is invalid."""
    try:
        return MigrationId.parse(migration).name
    except MalformedFrame:
        return ""
