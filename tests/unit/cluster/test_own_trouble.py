"""What the heartbeat engine says of its own node's network."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from libgomd.model import EventKind
from libgomd.wire.messages import (
    MemberState,
    Notice,
)
from tests.unit.cluster.alone import Alone, beat


class OwnTroubleTests(SynchronousTestCase):
    """What a node says of its own network."""

    def told(self, alone: Alone) -> list[tuple[EventKind, str]]:
        return [(event.kind, event.reason) for event in alone.events.recent() if event.node == 1]

    def test_all_others_fall_silent(self) -> None:
        """They are called down, and this node says that it may be itself; later it hears them again."""
        alone = Alone()
        for number in (2, 3):
            alone.hear(number, beat(number), multicast=True)
        alone.clock.advance(60.0)
        self.assertEqual(alone.up(), [1])
        [(kind, reason)] = self.told(alone)
        self.assertEqual(kind, EventKind.SUSPECT)
        self.assertIn("heard no other one", reason)
        alone.hear(2, beat(2), multicast=True)
        alone.clock.advance(2.0)
        self.assertEqual(self.told(alone)[1][0], EventKind.UP)

    def test_others_that_go_on_calling_this_node_down(self) -> None:
        """It refutes, and they do not hear it: said once. News that are late are nothing."""
        alone = Alone()
        mine = Notice(MemberState.DOWN, 1, alone.engine.instance, 0, 2, "silent")
        for late in (False, True):
            for _ in range(8):
                alone.hear(2, beat(2), multicast=True)
                alone.hear(2, mine, multicast=True)
                alone.clock.advance(0.2 if not late else 0.8)
            told = [reason for _kind, reason in self.told(alone) if "says that this node is down" in reason]
            self.assertEqual(len(told), int(late))
            alone.clock.advance(10.0)
