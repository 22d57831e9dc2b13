"""Two sides of a migration in memory: what is done, in which order, and what is sent again."""

from __future__ import annotations

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from gomd.jobs.migration.driver import DECISION_TIMEOUT, RETRY_INTERVAL, MigrationDriver
from gomd.jobs.migration.protocol import (
    Act,
    Local,
    MessageKind,
    MigrationSide,
    SourceState,
    State,
    Step,
    TargetState,
)
from libgomd.errors import CannotMove


class Effects:
    """Write down what is done; ``lost`` messages do not arrive, ``failing`` acts fail, others hang."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.other: MigrationDriver | None = None
        self.lost: set[MessageKind] = set()
        self.failing: set[Act] = set()
        self.waiting: dict[Act, Deferred[None]] = {}
        self.full_disk = 0

    def act(self, act: Act) -> Deferred[None]:
        self.done.append(act.word)
        if act in self.failing:
            raise CannotMove(f"{act.word} is not possible")
        return self.waiting.get(act) or succeed(None)

    def write(self, state: State, reason: str) -> Deferred[None]:
        if self.full_disk:
            self.full_disk -= 1
            raise OSError("disk full")
        self.done.append(f"write {state.word}")
        return succeed(None)

    def send(self, message: MessageKind, reason: str) -> None:
        self.done.append(f"say {message.word}")
        if message not in self.lost and self.other is not None:
            self.other.tell(message, reason)


class MigrationDriverTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.source_effects, self.target_effects = Effects(), Effects()
        self.target = self.drive(MigrationSide.accept(), self.target_effects)
        self.target_effects.done.clear()
        self.addCleanup(self.end)

    def drive(self, begun: tuple[MigrationSide, list[Step]], effects: Effects) -> MigrationDriver:
        driver = MigrationDriver(begun[0], effects, self.clock)
        driver.do(begun[1])
        return driver

    def end(self) -> None:
        self.source.close()
        self.target.close()

    def begin(self) -> None:
        """The offer was taken; the source begins, and the target is ready a moment later."""
        side, steps = MigrationSide.offer()
        self.source = MigrationDriver(side, self.source_effects, self.clock)
        self.source_effects.other, self.target_effects.other = self.target, self.source
        self.source.do(steps)
        self.target_effects.send(MessageKind.READY, "")

    def test_all_goes_well(self) -> None:
        """Everything is done once and in the order that docs/migration.md shows."""
        self.begin()
        self.assertEqual(
            self.source_effects.done,
            ["write asking", "say offer", "freeze", "say images", "write decided", "say go", "write moved",
             "end", "say settled"],
        )  # fmt: skip
        self.assertEqual(
            self.target_effects.done,
            ["say ready", "restore", "write holding", "say restored", "write running", "thaw", "say running",
             "write settled"],
        )  # fmt: skip
        self.assertIs(self.successResultOf(self.source.settled), SourceState.MOVED)
        self.assertIs(self.successResultOf(self.target.settled), TargetState.SETTLED)
        self.assertEqual([call for call in self.clock.getDelayedCalls() if call.active()], [])

    def test_what_was_lost_is_said_again(self) -> None:
        """A `go` and a `running` that got lost only take time."""
        self.source_effects.lost = {MessageKind.GO}
        self.begin()
        self.assertIs(self.source.side.state, SourceState.DECIDED)
        self.source_effects.lost, self.target_effects.lost = set(), {MessageKind.RUNNING}
        self.clock.advance(RETRY_INTERVAL)
        self.assertIs(self.target.side.state, TargetState.RUNNING)
        self.target_effects.lost = set()
        self.clock.advance(RETRY_INTERVAL)
        self.assertIs(self.successResultOf(self.source.settled), SourceState.MOVED)
        self.assertEqual(self.target_effects.done.count("thaw"), 1)

    def test_a_restore_that_fails_leaves_it_here_and_says_why(self) -> None:
        """The reason the target gave is the reason the source tells."""
        self.target_effects.failing = {Act.RESTORE}
        self.begin()
        self.assertIs(self.successResultOf(self.source.settled), SourceState.STAYED)
        self.assertEqual(self.source.reason, "restore is not possible")
        self.assertEqual(self.source_effects.done[-2:], ["write stayed", "thaw"])
        self.assertIs(self.successResultOf(self.target.settled), TargetState.REFUSED)
        self.assertIn("clear", self.target_effects.done)

    def test_a_dump_that_hangs_is_given_up(self) -> None:
        """After its time the process is thawed and the target clears up."""
        self.source_effects.waiting = {Act.FREEZE: Deferred()}
        self.begin()
        self.assertIs(self.source.side.state, SourceState.FREEZING)
        self.clock.pump([RETRY_INTERVAL] * int(DECISION_TIMEOUT / RETRY_INTERVAL + 1))
        self.assertIs(self.successResultOf(self.source.settled), SourceState.STAYED)
        self.assertIn("longer than", self.source.reason)
        self.assertIs(self.target.side.state, TargetState.REFUSED)

    def test_nothing_goes_on_before_the_disk_has_the_decision(self) -> None:
        """A journal that cannot be written holds the migration where it is."""
        self.source_effects.waiting = {Act.FREEZE: Deferred()}
        self.begin()
        self.source_effects.full_disk = 2
        self.source_effects.waiting[Act.FREEZE].callback(None)
        self.assertNotIn("say go", self.source_effects.done)
        self.clock.advance(RETRY_INTERVAL)
        self.assertNotIn("say go", self.source_effects.done)
        self.clock.advance(RETRY_INTERVAL)
        self.assertIs(self.successResultOf(self.source.settled), SourceState.MOVED)
        self.flushLoggedErrors()

    def test_the_target_refuses_at_once(self) -> None:
        """Nothing is frozen for a target that cannot take it."""
        self.source_effects.lost = {MessageKind.OFFER}
        self.source = self.drive(MigrationSide.offer(), self.source_effects)
        self.source.tell(MessageKind.REFUSED, "beta has no /home/ann")
        self.assertIs(self.successResultOf(self.source.settled), SourceState.STAYED)
        self.assertEqual(self.source.reason, "beta has no /home/ann")
        self.assertNotIn("freeze", self.source_effects.done)

    def test_the_daemon_ends_in_the_middle(self) -> None:
        """Nothing more is done, and no timer is left."""
        self.source_effects.waiting = {Act.FREEZE: Deferred()}
        self.begin()
        self.source.close()
        self.target.close()
        done = len(self.source_effects.done)
        self.source.tell(Local.CUT)
        self.assertEqual(len(self.source_effects.done), done)
        self.assertEqual([call for call in self.clock.getDelayedCalls() if call.active()], [])
