"""Nodes with an IPv4 and an IPv6 address are one node; the other is used when one falls silent."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from gomd.cluster.membership.second_address import RETURN_HEARTBEATS, place_here
from libgomd.model import EventKind
from libgomd.wire.messages import (
    Addresses,
    Heartbeat,
    IndirectProbe,
    MemberNote,
    MemberState,
    Notice,
    Probe,
    ProbeAck,
    Roster,
)
from tests.nodes import PORT, address_of
from tests.unit.cluster.alone import Alone, beat

BOTH = (address_of(1), "fd00::1")
OLD, NEW = address_of(2), "fd00::2"


class SecondAddressTests(SynchronousTestCase):
    """Node 1 has both addresses; node 2 is played by the test."""

    def setUp(self) -> None:
        self.alone = Alone(addresses=BOTH)

    def probes(self, *addresses: str) -> list[Probe]:
        """Return what was sent last, if it are probes to these addresses."""
        wanted = [(address, PORT) for address in addresses]
        found = [(message, to) for message, to in self.alone.wire.sent if isinstance(message, Probe)]
        self.assertEqual([to for _message, to in found], wanted)
        return [message for message, _to in found]

    def answer(self, address: str, instance: int = 7) -> None:
        """Answer the last probe, from an address."""
        [probe] = [message for message, _to in self.alone.wire.sent if isinstance(message, Probe)]
        self.alone.hear(2, ProbeAck(probe.request_id, 2, instance, 0), address, instance)

    def meet(self, first: str = OLD, second: str = NEW) -> None:
        """Hear node 2 from both addresses, and let it answer at the second one."""
        self.alone.hear(2, beat(2), first, multicast=True)
        if first == NEW:  # its heartbeats name its IPv4 address
            self.answer(first)
        self.alone.hear(2, beat(2), second, multicast=True)
        self.probes(second)
        self.answer(second)

    def shown(self) -> tuple[str, tuple[str, ...]]:
        node = self.alone.engine.find("2")
        return node.address, node.addresses

    def kinds(self) -> list[EventKind]:
        return [event.kind for event in self.alone.events.recent() if event.node == 2]

    def hear_for(self, seconds: float, address: str, every: float = 1.0) -> None:
        """Let node 2 be heard from one address only."""
        for _ in range(round(seconds / every)):
            self.alone.clock.advance(every)
            self.alone.hear(2, beat(2), address, multicast=True)

    def test_two_addresses_are_one_node(self) -> None:
        """It joins once, and both are shown, that of IPv4 first and in use, whichever was heard first."""
        for first, second in ((OLD, NEW), (NEW, OLD)):
            self.setUp()
            self.meet(first, second)
            self.assertEqual(self.shown(), (OLD, (OLD, NEW)))
            self.assertEqual(self.kinds(), [EventKind.JOIN])
            self.assertEqual(self.alone.up(), [1, 2])

    def test_an_address_that_does_not_answer_is_not_believed(self) -> None:
        """Nor is it probed again and again."""
        self.alone.hear(2, beat(2), multicast=True)
        self.alone.hear(2, beat(2), NEW, multicast=True)
        self.hear_for(RETURN_HEARTBEATS - 1, OLD)
        self.alone.hear(2, beat(2), NEW, multicast=True)
        self.probes()
        self.assertEqual(self.shown(), (OLD, ()))
        self.hear_for(2, OLD)
        self.alone.hear(2, beat(2), NEW, multicast=True)
        self.probes(NEW)

    def test_an_ipv4_address_that_it_does_not_name_is_not_probed(self) -> None:
        """Somebody sends on what a node with IPv6 alone says: IPv4 would be used as soon as it answers."""
        self.alone.hear(2, beat(2, address=NEW), NEW, multicast=True)
        self.alone.hear(2, beat(2, address=NEW), "10.6.6.6", multicast=True)
        self.probes()
        self.assertEqual(self.shown(), (NEW, ()))

    def test_an_answer_of_another_start_is_none(self) -> None:
        """Another daemon answers there."""
        self.alone.hear(2, beat(2), multicast=True)
        self.alone.hear(2, beat(2), NEW, multicast=True)
        self.answer(NEW, instance=8)
        self.assertEqual(self.shown(), (OLD, ()))

    def test_a_node_that_names_its_addresses(self) -> None:
        """Without multicast that is how the second one becomes known."""
        self.alone.hear(2, beat(2))
        self.alone.hear(2, Addresses(PORT, (OLD, NEW)))
        self.probes(NEW)
        self.answer(NEW)
        self.assertEqual(self.shown(), (OLD, (OLD, NEW)))
        self.alone.hear(2, Addresses(PORT, (OLD, NEW)))
        self.probes()

    def test_the_other_address_is_used_when_one_is_silent(self) -> None:
        """And given up again when IPv4 is heard twice. Each change is one event, and no death."""
        self.meet()
        self.hear_for(4, NEW)
        self.assertEqual(self.shown(), (NEW, (OLD, NEW)))
        self.assertEqual(self.alone.engine.port_of(2), ((NEW, PORT), PORT))
        self.alone.hear(2, beat(2), OLD)
        self.assertEqual(self.shown()[0], NEW)
        self.alone.hear(2, beat(2), OLD)
        self.assertEqual(self.shown(), (OLD, (OLD, NEW)))
        self.hear_for(3, OLD)
        reasons = [event.reason for event in self.alone.events.recent() if event.kind is EventKind.UP]
        self.assertEqual(
            [reason for reason in reasons if "reached" in reason],
            [f"it is reached at {NEW}: {OLD} is silent", f"it is reached at {OLD} again"],
        )
        self.assertNotIn(EventKind.DOWN, self.kinds())

    def test_two_ports_are_not_read_in_the_order_of_sending(self) -> None:
        """What was sent to one address before the other counts also when it is read after that."""
        self.meet()
        self.hear_for(4, NEW)
        for _ in range(2):
            self.alone.clock.advance(1)
            self.alone.sequence += 1  # that of the datagram that is read second
            self.alone.hear(2, beat(2), NEW)
            late = self.alone.sequence
            self.alone.sequence -= 2
            self.alone.hear(2, beat(2), OLD)
            self.alone.sequence = late
        self.assertEqual(self.shown(), (OLD, (OLD, NEW)))

    def test_a_silent_node_is_probed_at_both(self) -> None:
        """An answer at either says that it lives."""
        self.meet()
        self.alone.clock.advance(1.7)
        asked = {to for message, to in self.alone.wire.sent if isinstance(message, Probe)}
        self.assertLessEqual({(OLD, PORT), (NEW, PORT)}, asked)

    def test_a_second_address_that_changes(self) -> None:
        """A prefix was renumbered: the new one is believed when it answers and the old one is silent."""
        self.meet()
        self.hear_for(RETURN_HEARTBEATS + 1, OLD)
        self.alone.hear(2, beat(2), "fd01::2", multicast=True)
        self.probes("fd01::2")
        self.answer("fd01::2")
        self.assertEqual(self.shown(), (OLD, (OLD, "fd01::2")))

    def test_a_restart_is_heard_from_either_address(self) -> None:
        """It is not taken for another node with its id."""
        self.meet()
        self.alone.hear(2, beat(2), NEW, instance=8, multicast=True)
        self.assertEqual(self.kinds(), [EventKind.JOIN, EventKind.LEAVE, EventKind.JOIN])
        self.assertEqual(self.shown(), (NEW, ()))

    def test_two_nodes_with_one_id_and_a_family_each(self) -> None:
        """The conflict is reported as any other."""
        self.alone.hear(2, beat(2), multicast=True)
        self.alone.hear(2, beat(2, name="other"), NEW, instance=8, multicast=True)
        [probe] = self.probes(OLD)
        said = self.alone.hear(2, ProbeAck(probe.request_id, 2, 7, 0))
        told = [(message.state, to) for message, to in said if isinstance(message, Notice)]
        self.assertEqual(told, [(MemberState.CONFLICT, (OLD, PORT)), (MemberState.CONFLICT, (NEW, PORT))])
        self.assertIn(f"node2 at {OLD} and other at {NEW}", self.alone.events.recent()[-1].reason)

    def test_it_leaves_and_returns_by_the_other_address(self) -> None:
        """One that was down is contacted at both."""
        self.meet()
        self.alone.clock.advance(20)
        self.assertEqual(self.alone.up(), [1])
        del self.alone.wire.sent[:]
        self.alone.clock.advance(20)
        asked = {to for message, to in self.alone.wire.sent if isinstance(message, Heartbeat)}
        self.assertLessEqual({(OLD, PORT), (NEW, PORT)}, asked)
        self.alone.hear(2, beat(2), NEW)
        self.assertEqual((self.alone.up(), self.shown()[0]), ([1, 2], NEW))


class NotesTests(SynchronousTestCase):
    """What is told of nodes, and what becomes of it."""

    def test_ipv6_addresses_stand_apart(self) -> None:
        """A daemon that knows IPv4 only drops a packet with another address, so heartbeats have none."""
        alone = Alone(addresses=BOTH, discovery=False)
        alone.hear(2, beat(2))
        alone.hear(3, beat(3, address="fd00::3"), "fd00::3")
        said = alone.hear(4, beat(4, announce=True))
        rosters = [message for message, _to in said if isinstance(message, Roster)]
        self.assertEqual([[note.address for note in each.notes] for each in rosters], [[OLD], ["fd00::3"]])
        self.assertEqual({each.total for each in rosters}, {4})
        del alone.wire.sent[:]
        alone.clock.advance(3)
        beats = [message for message, _to in alone.wire.sent if isinstance(message, Heartbeat)]
        self.assertEqual({":" in note.address for each in beats for note in each.notes}, {False})
        told = [message.notes for message, _to in alone.wire.sent if isinstance(message, Roster)]
        self.assertIn(["fd00::3"], [[note.address for note in notes] for notes in told])
        for notes in told:
            self.assertEqual(len({":" in note.address for note in notes}), 1)

    def test_a_node_with_one_family_warns_of_nodes_of_the_other(self) -> None:
        """Once, and not of those that have both, which it comes to know."""
        alone = Alone()
        others = (
            MemberNote(3, MemberState.UP, 7, 0, PORT, "fd00::3"),
            MemberNote(4, MemberState.UP, 7, 0, PORT, "fd00::4"),
        )
        for _ in range(30):
            alone.hear(2, Roster(4, others))
            alone.hear(2, beat(2), multicast=True)
            alone.hear(4, beat(4), multicast=True)
            alone.clock.advance(1)
        self.assertEqual([to for message, to in alone.wire.sent if to and ":" in to[0]], [])
        [warning] = [event.reason for event in alone.events.recent() if "no IPv6 address" in event.reason]
        self.assertIn("node 3 at fd00::3 is up for other nodes", warning)

    def test_a_link_local_address_is_that_of_the_network_it_was_told_on(self) -> None:
        """Told from elsewhere it means nothing here."""
        told = ("fe80::9%eth1", PORT)
        self.assertEqual(place_here("fe80::3", told), "fe80::3%eth1")
        self.assertEqual(place_here("fe80::3", ("fd00::9", PORT)), "")
        self.assertEqual(place_here("fd00::3", told), "fd00::3")
        self.assertEqual(place_here("10.0.0.3", told), "10.0.0.3")
        alone = Alone(addresses=("fe80::1%eth1",))
        alone.hear(2, beat(2, address="fe80::2"), "fe80::2%eth1")
        alone.hear(2, Roster(3, (MemberNote(3, MemberState.UP, 7, 0, PORT, "fe80::3"),)), "fe80::2%eth1")
        self.assertIn(("fe80::3%eth1", PORT), [to for _message, to in alone.wire.sent])
        said = alone.hear(2, IndirectProbe(5, 4, PORT, "fe80::4"), "fe80::2%eth1")
        self.assertEqual([to for _message, to in said], [("fe80::4%eth1", PORT)])

    def test_helpers_are_asked_for_an_address_of_their_family(self) -> None:
        """One without IPv6 could not probe an IPv6 address."""
        alone = Alone(addresses=BOTH)
        for _ in range(8):
            alone.hear(2, beat(2), multicast=True)
            alone.hear(3, beat(3, address="fd00::3"), "fd00::3", multicast=True)
            alone.clock.advance(0.1)
        for _ in range(30):
            alone.hear(2, beat(2), multicast=True)
            alone.clock.advance(0.1)
            asked = [to for message, to in alone.wire.sent if isinstance(message, IndirectProbe)]
            self.assertEqual(asked, [])


class MulticastTests(SynchronousTestCase):
    """How often a node with both addresses sends by both families."""

    def heartbeats(self, *addresses: str) -> list[bool]:
        """Return by how many families each heartbeat goes while nodes with these addresses are heard."""
        alone = Alone(addresses=BOTH)
        for _ in range(4):
            for number, address in enumerate(addresses, 2):
                alone.hear(number, beat(number, address=address), address, multicast=True)
            alone.clock.advance(1)
        del alone.wire.everywhere[:]
        del alone.wire.sent[:]
        for _ in range(12):
            for number, address in enumerate(addresses, 2):
                alone.hear(number, beat(number, address=address), address, multicast=True)
            before = len(alone.wire.everywhere)
            alone.clock.advance(1)
            self.assertGreaterEqual(len(alone.wire.everywhere), before)
        return alone.wire.everywhere

    def test_every_fourth_reaches_everybody(self) -> None:
        """Who hears IPv4 needs no more."""
        found = self.heartbeats(OLD)
        self.assertIn(False, found)
        self.assertIn(True, found)

    def test_all_do_while_a_node_has_ipv6_only(self) -> None:
        """It hears the others by that alone."""
        self.assertEqual(set(self.heartbeats(OLD, "fd00::3")), {True})
