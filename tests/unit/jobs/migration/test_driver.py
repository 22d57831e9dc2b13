"""Two sides of a migration with clock and hands in memory: what is done, in what order, said again."""

from __future__ import annotations

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from gomd.jobs.migration.driver import AGAIN, LIMIT, MigrationDriver
from gomd.jobs.migration.protocol import (
    Act,
    Local,
    MessageKind,
    MigrationSide,
    SourceState,
    State,
    TargetState,
)
from libgomd.errors import CannotMove


class Hands:
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


class MoveTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.source_hands, self.target_hands = Hands(), Hands()
        self.target = MigrationDriver(*MigrationSide.accept(), self.target_hands, self.clock)
        self.target_hands.done.clear()
        self.addCleanup(self.end)

    def end(self) -> None:
        self.source.close()
        self.target.close()

    def begin(self) -> None:
        """The offer was taken; the source begins, and the target is ready a moment later."""
        self.source = MigrationDriver(*MigrationSide.offer(), self.source_hands, self.clock)
        self.source_hands.other, self.target_hands.other = self.target, self.source
        self.target_hands.send(MessageKind.READY, "")

    def test_all_goes_well(self) -> None:
        """Everything is done once and in the order that docs/migration-decision.md shows."""
        self.begin()
        self.assertEqual(
            self.source_hands.done,
            ["write asking", "say offer", "freeze", "say images", "write decided", "say go", "write moved",
             "end", "say settled"],
        )  # fmt: skip
        self.assertEqual(
            self.target_hands.done,
            ["say ready", "restore", "write holding", "say restored", "write running", "thaw", "say running",
             "write settled"],
        )  # fmt: skip
        self.assertIs(self.successResultOf(self.source.settled), SourceState.MOVED)
        self.assertIs(self.successResultOf(self.target.settled), TargetState.SETTLED)
        self.assertEqual([call for call in self.clock.getDelayedCalls() if call.active()], [])

    def test_what_was_lost_is_said_again(self) -> None:
        """A `go` and a `running` that got lost only take time."""
        self.source_hands.lost = {MessageKind.GO}
        self.begin()
        self.assertIs(self.source.migration.state, SourceState.DECIDED)
        self.source_hands.lost, self.target_hands.lost = set(), {MessageKind.RUNNING}
        self.clock.advance(AGAIN)
        self.assertIs(self.target.migration.state, TargetState.RUNNING)
        self.target_hands.lost = set()
        self.clock.advance(AGAIN)
        self.assertIs(self.successResultOf(self.source.settled), SourceState.MOVED)
        self.assertEqual(self.target_hands.done.count("thaw"), 1)

    def test_a_restore_that_fails_leaves_it_here_and_says_why(self) -> None:
        """The reason the target gave is the reason the source tells."""
        self.target_hands.failing = {Act.RESTORE}
        self.begin()
        self.assertIs(self.successResultOf(self.source.settled), SourceState.STAYED)
        self.assertEqual(self.source.reason, "restore is not possible")
        self.assertEqual(self.source_hands.done[-2:], ["write stayed", "thaw"])
        self.assertIs(self.successResultOf(self.target.settled), TargetState.REFUSED)
        self.assertIn("clear", self.target_hands.done)

    def test_a_dump_that_hangs_is_given_up(self) -> None:
        """After its time the process is thawed and the target clears up."""
        self.source_hands.waiting = {Act.FREEZE: Deferred()}
        self.begin()
        self.assertIs(self.source.migration.state, SourceState.FREEZING)
        self.clock.pump([AGAIN] * int(LIMIT / AGAIN + 1))
        self.assertIs(self.successResultOf(self.source.settled), SourceState.STAYED)
        self.assertIn("longer than", self.source.reason)
        self.assertIs(self.target.migration.state, TargetState.REFUSED)

    def test_nothing_goes_on_before_the_disk_has_the_decision(self) -> None:
        """A journal that cannot be written holds the migration where it is."""
        self.source_hands.waiting = {Act.FREEZE: Deferred()}
        self.begin()
        self.source_hands.full_disk = 2
        self.source_hands.waiting[Act.FREEZE].callback(None)
        self.assertNotIn("say go", self.source_hands.done)
        self.clock.advance(AGAIN)
        self.assertNotIn("say go", self.source_hands.done)
        self.clock.advance(AGAIN)
        self.assertIs(self.successResultOf(self.source.settled), SourceState.MOVED)
        self.flushLoggedErrors()

    def test_the_target_refuses_at_once(self) -> None:
        """Nothing is frozen for a target that cannot take it."""
        self.source_hands.lost = {MessageKind.OFFER}
        self.source = MigrationDriver(*MigrationSide.offer(), self.source_hands, self.clock)
        self.source.tell(MessageKind.REFUSED, "beta has no /home/ann")
        self.assertIs(self.successResultOf(self.source.settled), SourceState.STAYED)
        self.assertEqual(self.source.reason, "beta has no /home/ann")
        self.assertNotIn("freeze", self.source_hands.done)

    def test_the_daemon_ends_in_the_middle(self) -> None:
        """Nothing more is done, and no timer is left."""
        self.source_hands.waiting = {Act.FREEZE: Deferred()}
        self.begin()
        self.source.close()
        self.target.close()
        done = len(self.source_hands.done)
        self.source.tell(Local.CUT)
        self.assertEqual(len(self.source_hands.done), done)
        self.assertEqual([call for call in self.clock.getDelayedCalls() if call.active()], [])
