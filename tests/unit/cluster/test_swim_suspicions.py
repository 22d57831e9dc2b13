"""Who suspected a node, as far as kinship and the other nodes tell it."""

from __future__ import annotations

from typing import Any

from libgomd.model import EventKind
from tests.unit.cluster.swim_case import SwimCase, kinship, member


class SuspicionTests(SwimCase):
    """The events `suspect` and `down` name the node whose probes were not answered."""

    def setUp(self) -> None:
        super().setUp()
        self.engine.start()
        self.say(*(kinship.MemberJoined(member(node)) for node in (3, 4, 5)))

    def told(self, sender: int | str, data: bytes) -> Any:
        """Return a message of another node."""
        return kinship.UserMessage(member(sender), data, True)

    def reports(self) -> list[tuple[EventKind, int, int]]:
        """What was seen after the joins."""
        return self.seen()[3:]

    def test_its_own_probe(self) -> None:
        """Is told at once, here and to all others, and the death names this node too."""
        self.made[0].probes_failed += 1
        self.say(kinship.MemberSuspect(member(3)))
        self.assertEqual(self.reports(), [(EventKind.SUSPECT, 3, 7)])
        self.assertEqual(self.made[0].did[-1], ("broadcast", b"gomd suspect 3 1"))
        self.assertIn("the probes of this node", self.events.recent()[-1].reason)
        self.clock.pump([0.25] * 16)
        self.say(kinship.MemberDead(member(3)))
        self.assertEqual(self.reports()[1:], [(EventKind.DOWN, 3, 7)])
        self.assertIn("did not contradict within 4 s", self.events.recent()[-1].reason)

    def test_the_probe_of_another_node(self) -> None:
        """Whose message comes after the suspicion, or before it; nothing is sent on."""
        self.say(kinship.MemberSuspect(member(3)))
        self.assertEqual(self.reports(), [])
        self.say(self.told(4, b"gomd suspect 3 1"))
        self.say(self.told(5, b"gomd suspect 4 1"))
        self.say(kinship.MemberSuspect(member(4)))
        self.assertEqual(self.reports(), [(EventKind.SUSPECT, 3, 4), (EventKind.SUSPECT, 4, 5)])
        self.assertIn("the probes of node4", self.events.recent()[-2].reason)
        self.say(kinship.MemberDead(member(3)))
        self.assertEqual(self.reports()[-1], (EventKind.DOWN, 3, 4))
        self.assertNotIn("broadcast", [did[0] for did in self.made[0].did])

    def test_nobody_says_whose_it_is(self) -> None:
        """An older daemon does not: after a second this node tells it, and says that it does not know."""
        self.say(kinship.MemberSuspect(member(3)))
        self.clock.pump([0.25] * 4)
        self.assertEqual(self.reports(), [(EventKind.SUSPECT, 3, 7)])
        self.assertIn("a node that kinship does not name", self.events.recent()[-1].reason)

    def test_it_is_over_before_that(self) -> None:
        """The suspicion is told before its end."""
        self.say(kinship.MemberSuspect(member(3)), kinship.MemberRecovered(member(3)))
        self.say(kinship.MemberSuspect(member(4)), kinship.MemberDead(member(4)))
        self.say(kinship.MemberSuspect(member(5)), kinship.MemberLeft(member(5)))
        self.assertEqual(
            [(kind, node) for kind, node, _by in self.reports()],
            [
                (EventKind.SUSPECT, 3), (EventKind.UP, 3), (EventKind.SUSPECT, 4), (EventKind.DOWN, 4),
                (EventKind.SUSPECT, 5), (EventKind.LEAVE, 5),
            ],
        )  # fmt: skip
        self.clock.pump([0.25] * 8)
        self.assertEqual(len(self.reports()), 6)

    def test_many_at_once(self) -> None:
        """Which of them its own failed probe was about nobody can say: nothing is claimed."""
        self.made[0].probes_failed += 1
        self.say(*(kinship.MemberSuspect(member(node)) for node in (3, 4, 5)))
        self.clock.pump([0.25] * 8)
        self.assertEqual(len(self.reports()), 3)
        self.assertNotIn("broadcast", [did[0] for did in self.made[0].did])

    def test_rubbish(self) -> None:
        """Other messages, about no node or another start of it, and from no gomd, change nothing."""
        self.say(kinship.MemberSuspect(member(3)))
        rubbish = (
            b"", b"x" * 256, b"gomd suspect 0 1", b"gomd suspect 70000 1", b"gomd suspect 3",
            b"gomd suspect 3 2", b"gomd suspect -3 1", "gomd suspect \u0663 1".encode(),
        )  # fmt: skip
        for data in rubbish:
            self.say(self.told(4, data))
        self.say(self.told("cache-1", b"gomd suspect 3 1"), self.told(7, b"gomd suspect 3 1"))
        self.clock.pump([0.25] * 4)
        self.assertEqual(self.reports(), [(EventKind.SUSPECT, 3, 7)])

    def test_a_flood_of_messages(self) -> None:
        """About nodes that nobody suspects costs bounded memory and no event."""
        for epoch in range(3000):
            self.say(self.told(4, b"gomd suspect 3 %d" % (epoch + 2)))
        self.assertEqual(self.reports(), [])
        self.assertLessEqual(len(self.engine._changes._suspicions._said), 1000)
