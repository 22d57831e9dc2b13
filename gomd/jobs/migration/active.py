"""The migrations that are under way on this node, from their beginning until both sides have settled them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple, TypeAlias

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall

from gomd.jobs.home.changes import JobChanges
from gomd.jobs.migration.context import MigrationContext
from gomd.jobs.migration.counts import migration_counters
from gomd.jobs.migration.details import WaitingSignal
from gomd.jobs.migration.driver import MigrationDriver
from gomd.jobs.migration.protocol import Local, MigrationSide, SourceState, State, Step, TargetState
from gomd.jobs.migration.source import MigrationSource
from gomd.jobs.migration.target import MigrationTarget
from libgomd.model import Counter

#: Maximum number of finished migrations whose waiting signals are remembered, because the message that told
#: them may have been lost.
MAX_REMEMBERED_SIGNALS: Final = 200
#: Seconds after a job has left until the stream to its target is closed.
HANG_UP_DELAY: Final = 1.0
#: Seconds after a job has come until a supervisor is made for the next one.
SPARE_DELAY: Final = 0.5

Participant: TypeAlias = "MigrationSource | MigrationTarget"


class ActiveMigration(NamedTuple):
    """One side of a migration that is under way: what it does, and what drives it."""

    participant: Participant
    driver: MigrationDriver


class ActiveMigrations:
    """Keeps the migrations that are under way, by their id and the role of this node."""

    def __init__(self, context: MigrationContext) -> None:
        self._context = context
        self._active: dict[tuple[str, str], ActiveMigration] = {}
        self._changes = JobChanges(context.clock)
        self._late_signals: dict[str, tuple[WaitingSignal, ...]] = {}
        self._spare: IDelayedCall | None = None
        self._moved_out = self._moved_in = self._failed = 0

    def __len__(self) -> int:
        return len(self._active)

    def get(self, migration: str, role: str) -> ActiveMigration | None:
        """Return one side of a migration, None when it is not under way here."""
        return self._active.get((migration, role))

    def moves(self, job: str) -> bool:
        """Whether a migration of that job is under way here."""
        return any(each.participant.job.name == job for each in self._active.values())

    def receives(self, job: str) -> bool:
        """Whether that job is coming here, or has come and its source has not confirmed that yet."""
        return any(
            each.participant.job.name == job
            for each in self._active.values()
            if isinstance(each.participant, MigrationTarget)
        )

    async def until_received(self, job: str, seconds: float) -> None:
        """Wait, for that many seconds at most, while `receives` is true of that job."""
        await self._changes.until(job, lambda: not self.receives(job), seconds)

    def late_signals(self, migration: str) -> tuple[WaitingSignal, ...]:
        """Return the signals that came during a finished migration from here, if its target may lack them."""
        return self._late_signals.get(migration, ())

    def tell(self, migration: str, role: str, event: Local, reason: str) -> None:
        """Tell a side what happened on this node; nothing happens when it is not under way."""
        active = self.get(migration, role)
        if active is not None:
            active.driver.tell(event, reason)

    def tell_all(self, node: int, event: Local, reason: str = "", ours: bool | None = None) -> None:
        """
        Tell every side whose other side is ``node`` what happened.

        :param ours: only the jobs that leave (True), or that come (False); None for both.
        """
        for participant, driver in tuple(self._active.values()):
            leaves = isinstance(participant, MigrationSource)
            if participant.other == node and ours in (None, leaves):
                driver.tell(event, reason)

    def begin(
        self,
        participant: Participant,
        side: MigrationSide,
        steps: list[Step],
        waiting: Deferred[State] | None = None,
    ) -> MigrationDriver:
        """
        Begin a side of a migration, or go on with one.

        :param side: where it stands, with its next ``steps``.
        :param waiting: fires with the final state when it is settled, before it is forgotten.
        """
        driver = MigrationDriver(side, participant, self._context.clock)
        self._active[participant.migration, participant.role] = ActiveMigration(participant, driver)
        if isinstance(participant, MigrationSource):
            self._context.jobs.begin_leaving(
                participant.job.name, lambda reason: driver.tell(Local.FAILED, reason)
            )

        def on_settled(state: State) -> None:
            self._context.in_background(self._settle(participant, driver, state, waiting))

        driver.settled.addCallback(on_settled)
        driver.do(steps)
        return driver

    def close(self) -> None:
        """Stop driving them; the journal knows where the next daemon has to go on."""
        if self._spare is not None and self._spare.active():
            self._spare.cancel()
        for active in self._active.values():
            active.driver.close()
        received = [each.participant.job.name for each in self._active.values()]
        self._active.clear()
        for job in received:
            self._changes.notify(job)

    def counters(self) -> Iterable[Counter]:
        """Return its counters, for `stats`."""
        return migration_counters(self._moved_out, self._moved_in, self._failed, len(self._active))

    # -- the end

    async def _settle(
        self,
        participant: Participant,
        driver: MigrationDriver,
        state: State,
        waiting: Deferred[State] | None,
    ) -> None:
        """Both sides know the outcome: tell whoever waits, and forget the migration."""
        context, jobs = self._context, self._context.jobs
        migration, job, other = participant.migration, participant.job, participant.other
        self._active.pop((migration, participant.role), None)
        self._changes.notify(job.name)
        self._count(state)
        jobs.expect(job.name, False)
        if isinstance(participant, MigrationSource):
            if state is SourceState.MOVED:
                jobs.announce(job.name, other, participant.timeline.cost())
            self._finish_leaving(participant, state)
            self.hang_up_later(other)
        else:
            jobs.finish_coming(job.name, state is TargetState.SETTLED)
            if state is TargetState.SETTLED:
                self._keep_spare_later()
        if waiting is not None and not waiting.called:
            waiting.callback(state)
        if state is SourceState.MOVED:
            if job.home not in (context.own_id, other):
                await jobs.tell_home(job.name, other, job.times)
            jobs.forget_left(job.name, other)
        await context.images.remove(migration, participant.role)
        await jobs.written()  # what this record says is in the home's table now
        await context.forget(migration, state, job.name, other, driver.reason)

    def _count(self, state: State) -> None:
        self._moved_out += state is SourceState.MOVED
        self._moved_in += state is TargetState.SETTLED
        self._failed += state in (SourceState.STAYED, TargetState.REFUSED)

    def _finish_leaving(self, source: MigrationSource, state: State) -> None:
        """Let the job that was to leave be tracked as its outcome requires."""
        jobs, name = self._context.jobs, source.job.name
        if state is SourceState.LOST:
            jobs.lose_leaving(name)
        elif state is SourceState.MOVED:
            jobs.finish_leaving(name, source.other, source.left)
            if source.signals:
                self._late_signals[source.migration] = source.signals
                if len(self._late_signals) > MAX_REMEMBERED_SIGNALS:
                    del self._late_signals[next(iter(self._late_signals))]
        else:
            jobs.stay(name)

    def _keep_spare_later(self) -> None:
        """Have a supervisor made for the next job, when this move takes nobody's time any more."""
        if self._spare is not None and self._spare.active():
            self._spare.reset(SPARE_DELAY)
        else:
            self._spare = self._context.clock.callLater(SPARE_DELAY, self._context.jobs.keep_spare)

    def hang_up_later(self, node: int) -> None:
        """Close the stream to a node in a moment, unless jobs are leaving to it then."""
        self._context.clock.callLater(HANG_UP_DELAY, self._hang_up, node)

    def _hang_up(self, node: int) -> None:
        """Close the stream to a node if no job is leaving to it any more."""
        leaving = (each.participant for each in self._active.values())
        if not any(isinstance(each, MigrationSource) and each.other == node for each in leaving):
            self._context.channels.drop(node)
