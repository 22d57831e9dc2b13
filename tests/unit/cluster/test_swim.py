"""The swim engine over a kinship that says what a test makes it say; integration tests have the real one."""

from __future__ import annotations

from gomd.interfaces import IMembership
from libgomd.model import EventKind, Node, Status
from libgomd.wire.messages import Datagram, Leave
from tests.unit.cluster.contract import MembershipContract
from tests.unit.cluster.swim_case import PORT, UP, SwimCase, kinship, member


class SwimContractTests(MembershipContract, SwimCase):
    """What every engine promises."""

    def make_membership(self) -> IMembership:
        self.engine.start()
        self.say(kinship.MemberJoined(member(8)))
        engine: IMembership = self.engine
        return engine


class SwimTests(SwimCase):
    """Its own promises."""

    def setUp(self) -> None:
        super().setUp()
        self.engine.start()

    def test_a_node_joins_and_tells_its_values(self) -> None:
        """Listed with its name and ports at once, with its values as soon as it has said them."""
        self.answers[3] = Node(3, "node3", "10.0.0.3", UP | Status.STAY, 44, age=0.5)
        self.say(kinship.MemberJoined(member(3)))
        self.assertEqual(self.seen(), [(EventKind.JOIN, 3, 7)])
        self.assertEqual(self.engine.port_of(3), (("10.0.0.3", PORT), PORT))
        node = self.engine.find("node3")
        self.assertEqual(
            (node.id, node.address, node.status, node.load), (3, "10.0.0.3", UP | Status.STAY, 44)
        )
        self.assertEqual([each.id for each in self.engine.nodes()], [3, 7])

    def test_before_it_has_said_anything_it_is_up_all_the_same(self) -> None:
        """With values that are not known."""
        self.say(kinship.MemberJoined(member(3)))
        self.assertEqual(self.engine.find("3"), Node(3, "node3", "10.0.0.3", UP))

    def test_silence_and_death(self) -> None:
        """Suspect, then down: listed without values, not asked any more, and at last forgotten."""
        self.answers[3] = Node(3, "node3", "10.0.0.3", UP, 44, age=0.5)
        self.say(kinship.MemberJoined(member(3)))
        self.say(kinship.MemberSuspect(member(3)))
        self.assertTrue(self.engine.find("3").up)
        self.say(kinship.MemberDead(member(3)))
        self.assertEqual([kind for kind, _, _ in self.seen()], ["join", "suspect", "down"])
        self.assertIn("did not contradict within", self.events.recent()[-1].reason)
        self.assertEqual(self.engine.find("3"), Node(3, "node3", "10.0.0.3", Status.CONFIGURED))
        self.assertIsNone(self.engine.port_of(3))
        self.clock.pump([1.0] * 102)
        self.assertEqual([each.id for each in self.engine.nodes()], [7])

    def test_it_contradicts(self) -> None:
        """A suspicion that was wrong ends with `up`, and is no restart."""
        self.say(*(kind(member(3)) for kind in (kinship.MemberJoined, kinship.MemberSuspect)))
        self.say(kinship.MemberRecovered(member(3)))
        self.assertEqual([kind for kind, _, _ in self.seen()], ["join", "suspect", "up"])

    def test_back_from_the_dead(self) -> None:
        """The same start of a daemon is `up` again; a new one joins, and its reason says so."""
        self.say(
            *(kind(member(3)) for kind in (kinship.MemberJoined, kinship.MemberDead, kinship.MemberJoined))
        )
        self.say(kinship.MemberLeft(member(3)))
        self.say(kinship.MemberJoined(member(3, epoch=2)))
        self.assertEqual(
            self.seen(),
            [
                (EventKind.JOIN, 3, 7), (EventKind.DOWN, 3, 7), (EventKind.UP, 3, 7), (EventKind.LEAVE, 3, 3),
                (EventKind.JOIN, 3, 7),
            ],
        )  # fmt: skip
        self.assertIn("started again", self.events.recent()[-1].reason)

    def test_a_restart_that_nobody_missed(self) -> None:
        """Is no goodbye: the new start follows in the same news, or kinship knows it already."""
        self.say(kinship.MemberJoined(member(3)))
        self.say(kinship.MemberLeft(member(3)), kinship.MemberJoined(member(3, epoch=2)))
        self.made[0].present = [member(3, epoch=3)]
        self.say(kinship.MemberLeft(member(3, epoch=2)))
        self.say(kinship.MemberJoined(member(3, epoch=3)), kinship.MemberJoined(member(4)))
        left = [event for event in self.events.recent() if event.kind == EventKind.LEAVE]
        self.assertEqual([(event.by, event.reason) for event in left], [
            (7, "its daemon was started again, without a goodbye"),
        ] * 2)  # fmt: skip

    def test_ten_thousand_nodes_at_once(self) -> None:
        """They are taken in pieces, so that nothing else waits for long, and soon."""
        self.made[0].said.extend(kinship.MemberJoined(member(node)) for node in range(8, 10_008))
        self.clock.advance(0.25)
        self.assertLess(len(self.engine.nodes()), 500)
        self.clock.pump([0.01] * 100)
        self.assertEqual(len(self.engine.nodes()), 10_001)

    def test_ten_thousand_nodes_after_a_gap(self) -> None:
        """The list of members is taken over in pieces, before the events that came after the gap."""
        self.say(kinship.MemberJoined(member(8)))
        self.made[0].present = [member(node) for node in range(9, 10_009)]
        self.say(kinship.EventsLost(9000), kinship.MemberDead(member(9)))
        self.assertLess(len(self.engine.nodes()), 500)
        self.clock.pump([0.01] * 100)
        self.assertEqual(sum(node.up for node in self.engine.nodes()), 10_000)
        self.assertEqual([node for kind, node, _by in self.seen() if kind == EventKind.DOWN], [9])

    def test_events_that_were_lost(self) -> None:
        """What kinship knows now is taken over: who came, who went, each said once."""
        self.say(kinship.MemberJoined(member(3)), kinship.MemberJoined(member(4)))
        self.made[0].present = [member(4), member(5)]
        self.say(kinship.EventsLost(9))
        self.assertEqual([node.id for node in self.engine.nodes() if node.up], [4, 5, 7])
        self.assertEqual(self.seen()[2:], [(EventKind.DOWN, 3, 7), (EventKind.JOIN, 5, 7)])

    def test_others_with_the_key_are_no_nodes(self) -> None:
        """Whatever they call themselves; it is said once, not each time."""
        strangers = [
            member("cache-1"), member("0"), member("70000"), member(3, name="a b"), member(3, name=""),
            member(3, name="x" * 64), member(3, port="x"), member(3, port="0"), member(3, stream="99999"),
            member(3, address="[fd00::1::2]"), member("٣"),
        ]  # fmt: skip
        for stranger in strangers * 2:
            self.say(kinship.MemberJoined(stranger))
        self.assertEqual([node.id for node in self.engine.nodes()], [7])
        reasons = [event.reason for event in self.events.recent()]
        self.assertEqual(len(reasons), len(set(reasons)))
        self.assertIn("is no gomd", reasons[0])

    def test_an_id_that_is_used_twice(self) -> None:
        """The event names the id and both addresses, once in an hour."""
        conflict = kinship.NameConflict(member(7, address="10.0.0.7"), "10.9.9.9:5430")
        self.say(conflict, conflict)
        [event] = self.events.recent()
        self.assertEqual((event.kind, event.node), (EventKind.SUSPECT, 7))
        self.assertIn("10.9.9.9 and 10.0.0.7", event.reason)
        self.clock.advance(3601.0)
        self.say(conflict)
        told = [event for event in self.events.recent() if "10.9.9.9 and 10.0.0.7" in event.reason]
        self.assertEqual(len(told), 2)

    def test_a_node_that_has_moved(self) -> None:
        """It has another name in kinship, with a zero before its id, and is the same node."""
        self.say(kinship.MemberJoined(member(3)))
        old, new = member(3), member("03", epoch=2, address="10.0.0.33", name="node3")
        self.kinship_has(new)
        self.say(kinship.MemberLeft(old), kinship.MemberJoined(new))
        self.assertEqual(self.engine.find("3").address, "10.0.0.33")
        self.assertIn("up at 10.0.0.33, it was at 10.0.0.3", self.events.recent()[-1].reason)
        self.say(kinship.MemberSuspect(old), kinship.MemberDead(old))
        self.clock.advance(2.0)
        self.assertEqual(
            self.seen(), [(EventKind.JOIN, 3, 7), (EventKind.LEAVE, 3, 3), (EventKind.JOIN, 3, 7)]
        )

    def test_a_second_node_with_another_name_of_an_id(self) -> None:
        """The first one stays while it is up, and both are named; then the second one takes its place."""
        first, second = member(3), member("03", epoch=2, address="10.9.9.9", name="clone")
        self.kinship_has(first, second)
        self.say(kinship.MemberJoined(first), kinship.MemberJoined(second))
        self.assertEqual(self.engine.find("3").address, "10.0.0.3")
        self.assertTrue(self.engine.is_rival(3, "10.9.9.9"))
        self.assertIn("two daemons have the id 3, at 10.9.9.9", self.events.recent()[-1].reason)
        self.say(kinship.MemberDead(second))
        self.assertEqual(self.engine.find("3").address, "10.0.0.3")
        self.kinship_has(second)
        self.say(kinship.MemberDead(first))
        self.clock.advance(2.0)
        self.assertEqual(self.engine.find("3").address, "10.9.9.9")

    def test_the_own_address_changes(self) -> None:
        """kinship is started again under another name; a link-local address waits for a better one."""
        self.assertEqual(self.made[-1].moves, 0)
        self.address = "10.0.0.77"
        self.clock.pump([0.25] * 20)
        self.assertEqual(self.made[-1].moves, 1)
        made = len(self.made)
        self.address = "fe80::7%eth0"
        self.clock.pump([0.25] * 60)
        self.assertEqual(len(self.made), made)
        self.address = "fd00::7"
        self.clock.pump([0.25] * 60)
        self.assertEqual(self.made[-1].moves, 2)

    def test_where_a_second_node_with_an_id_is(self) -> None:
        """What it says for that node is not believed while the first one is up."""
        self.say(kinship.MemberJoined(member(3)))
        first = self.engine.find("3").address
        self.say(kinship.NameConflict(member(3), "10.9.9.9:5430"))
        self.assertTrue(self.engine.is_rival(3, "10.9.9.9"))
        self.assertFalse(self.engine.is_rival(3, first))
        self.assertFalse(self.engine.is_rival(4, "10.9.9.9"))

    def test_a_node_that_is_alone_says_so_once(self) -> None:
        """Until it hears somebody; and its seeds are asked again and again."""
        for _ in range(200):
            self.say()
        alone = [event for event in self.events.recent() if "heard no other one" in event.reason]
        self.assertEqual([(event.kind, event.node) for event in alone], [(EventKind.SUSPECT, 7)])
        self.assertGreaterEqual(sum(did[0] == "join" for did in self.made[0].did), 4)
        self.say(kinship.MemberJoined(member(3)))
        self.clock.advance(1.0)
        self.assertIn("hears other nodes again", self.events.recent()[-1].reason)

    def test_a_changed_name(self) -> None:
        """Is taken over without an event."""
        self.say(kinship.MemberJoined(member(3)))
        self.say(kinship.MemberUpdated(member(3, name="gamma"), {}))
        self.assertEqual(self.engine.find("gamma").id, 3)
        self.assertEqual(len(self.seen()), 1)

    def test_another_engine_is_named(self) -> None:
        """Its datagrams make no member; one event says what is wrong."""
        self.clock.pump([1.0] * 10)  # a node that has both engines may be up soon
        for sequence in range(5):
            self.engine.receive(Datagram(9, 1, 0, sequence, Leave(1, "")), ("10.0.0.9", PORT))
        self.assertEqual(self.seen(), [(EventKind.SUSPECT, 9, 7)])
        self.assertIn("another [peers] engine", self.events.recent()[0].reason)

    def test_a_wrong_clock_is_reported_once(self) -> None:
        """Though the number of seconds differs each time."""
        for skew in (-300.0, -301.0, -302.0):
            self.engine.wrong_clock(9, "late", skew)
        [event] = self.events.recent()
        self.assertEqual((event.kind, event.name), (EventKind.SUSPECT, "late"))
        self.assertIn("300 s behind ours", event.reason)

    def test_a_bug_does_not_end_it(self) -> None:
        """It is logged, and what comes next is taken."""
        self.say(kinship.MemberJoined("this is no member"))
        self.assertEqual(len(self.flushLoggedErrors(AttributeError)), 1)
        self.say(kinship.MemberJoined(member(3)))
        self.assertEqual(self.seen(), [(EventKind.JOIN, 3, 7)])
