"""What the heartbeat engine does beyond the promises of every membership."""

from __future__ import annotations

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from gomd.cluster.events import Events
from gomd.cluster.membership import Address, HeartbeatEngine, MapAdmission, Settings
from libgomd.model import EventKind, Node, Status
from libgomd.wire.messages import (
    Datagram,
    IndirectProbe,
    Leave,
    MemberNote,
    MemberState,
    Message,
    Notice,
    Probe,
    ProbeAck,
    Roster,
)
from libgomd.wire.messages import Heartbeat as Beat
from tests.network import HeapClock
from tests.nodes import PORT, Cluster, SimulatedNode, address_of


def seeds(*numbers: int) -> tuple[Address, ...]:
    return tuple((address_of(number), PORT) for number in numbers)


def beat(number: int, **changes: object) -> Beat:
    """Return the heartbeat of a node."""
    plain = Beat(
        0, PORT, PORT, 3, 0, 1, 15000, 4, 400, 1, 1, 1, False, f"node{number}", address_of(number), ()
    )
    return plain._replace(**changes)  # type: ignore[arg-type]


class Wire:
    """A transport that keeps what it is given."""

    def __init__(self) -> None:
        self.sent: list[tuple[Message, Address | None]] = []
        self.renumbered = 0

    def renumber(self) -> None:
        self.renumbered += 1

    def send(self, message: Message, addresses: list[Address]) -> None:
        self.sent += [(message, address) for address in addresses]

    def multicast(self, message: Message) -> None:
        self.sent.append((message, None))


class Alone:
    """One engine whose peers are played by the test."""

    def __init__(self, number: int = 1, **changes: object) -> None:
        self.clock = HeapClock()
        self.wire = Wire()
        self.events = Events()
        me = Node(number, f"node{number}", address_of(number), Status.CONFIGURED | Status.UP)
        self.engine = HeartbeatEngine(
            lambda: me, int(self.clock.seconds() * 1000), self.wire, self.clock,  # type: ignore[arg-type]
            Random(1), self.events, Settings(**changes), self.clock.seconds,  # type: ignore[arg-type]
        )  # fmt: skip
        self.engine.start()
        self.sequence = 0

    def hear(
        self, number: int, message: Message, address: str = "", instance: int = 7, multicast: bool = False
    ) -> list[tuple[Message, Address | None]]:
        """Let node ``number`` say something; return what is sent at once because of it."""
        self.sequence += 1
        del self.wire.sent[:]
        sent_at = int(self.clock.seconds() * 1000)
        datagram = Datagram(number, instance, sent_at, self.sequence, message)
        self.engine.receive(datagram, (address or address_of(number), PORT), multicast)
        return list(self.wire.sent)

    def deaths_told(self, seconds: float) -> list[float]:
        """Let node 3 fall silent beside node 2; return the moments at which all are told that it is down."""
        self.hear(3, beat(3), multicast=True)
        return self.deaths(seconds)

    def deaths(self, seconds: float) -> list[float]:
        """Let so much time pass; return the moments at which all are told that a node is down."""
        moments = []
        for _ in range(round(seconds * 10)):
            self.hear(2, beat(2), multicast=True)
            del self.wire.sent[:]
            self.clock.advance(0.1)
            for message, to in self.wire.sent:
                if to is None and isinstance(message, Notice) and message.state is MemberState.DOWN:
                    moments.append(self.clock.seconds())
        return moments

    def up(self) -> list[int]:
        return [node.id for node in self.engine.nodes() if node.up]

    def ticks(self, seconds: float) -> int:
        """Let so much time pass; return how often the engine woke up in it."""
        moments = self.clock.moments = set()
        self.clock.advance(seconds)
        self.clock.moments = None
        return len(moments)


class PaceTests(SynchronousTestCase):
    """How often an engine wakes up."""

    def test_a_node_that_knows_no_other_one_wakes_up_once_a_heartbeat(self) -> None:
        """Not five times; and it has all the time that a cluster needs as soon as another node speaks."""
        for discovery in (True, False):
            alone = Alone(discovery=discovery)
            self.assertGreater(alone.ticks(5.0), 20)
            alone.clock.advance(60.0)
            self.assertLessEqual(alone.ticks(60.0), 61)
            alone.clock.advance(0.95)
            answers = alone.hear(2, beat(2, announce=True), multicast=discovery)
            self.assertTrue(any(isinstance(message, Beat) for message, _ in answers))
            self.assertGreaterEqual(alone.ticks(5.0), 25)

    def test_a_death_after_a_long_time_alone_is_seen_as_soon_as_ever(self) -> None:
        """Whatever the moment between two of its slow steps at which the other one came."""
        for offset in (0.0, 0.3, 0.6, 0.99):
            alone = Alone(discovery=False)
            alone.clock.advance(100.0 + offset)
            alone.hear(2, beat(2))
            for _ in range(10):
                alone.clock.advance(1.0)
                alone.hear(2, beat(2))
            since = alone.clock.seconds()
            while alone.up() != [1]:
                alone.clock.advance(0.1)
            self.assertLess(alone.clock.seconds() - since, 3.5)


class AnswerTests(SynchronousTestCase):
    """What is answered at once."""

    def test_an_announcement_is_answered_at_once(self) -> None:
        """A node that joins knows the others one round trip later."""
        alone = Alone()
        [(message, to)] = alone.hear(2, beat(2, announce=True), multicast=True)
        assert isinstance(message, Beat)
        self.assertEqual((message.name, message.announce, to), ("node1", False, (address_of(2), PORT)))

    def test_one_who_asks_a_seed_is_told_of_all(self) -> None:
        """Where there is no multicast, the seed's answer names everybody it knows."""
        alone = Alone(discovery=False)
        for number in range(3, 50):
            alone.hear(number, beat(number))
        answers = [message for message, _ in alone.hear(2, beat(2, announce=True))]
        self.assertIsInstance(answers[0], Beat)
        notes = [note for message in answers[1:] if isinstance(message, Roster) for note in message.notes]
        self.assertEqual(sorted(note.node for note in notes), list(range(3, 50)))

    def test_a_probe_is_answered_by_whom_it_is_for(self) -> None:
        """A node that took over an address does not answer for the one that had it."""
        alone = Alone()
        for target in (0, 1):
            [(message, _)] = alone.hear(0, Probe(99, target))
            self.assertEqual(message, ProbeAck(99, 1, alone.engine.instance, 0, True))
        self.assertEqual(alone.hear(0, Probe(99, 5)), [])

    def test_a_node_is_probed_for_another_one(self) -> None:
        """The helper passes the answer on, or says that there was none."""
        alone = Alone()
        alone.hear(2, beat(2))
        [(probe, to)] = alone.hear(2, IndirectProbe(5, 3, PORT, address_of(3)))
        assert isinstance(probe, Probe)
        self.assertEqual((probe.target, to), (3, (address_of(3), PORT)))
        [(ack, to)] = alone.hear(3, ProbeAck(probe.request_id, 3, 77, 4))
        self.assertEqual((ack, to), (ProbeAck(5, 3, 77, 4, True), (address_of(2), PORT)))
        alone.hear(2, IndirectProbe(6, 3, PORT, address_of(3)))
        del alone.wire.sent[:]
        alone.clock.advance(1.0)
        self.assertIn((ProbeAck(6, 3, 0, 0, False), (address_of(2), PORT)), alone.wire.sent)

    def test_a_suspicion_of_oneself_is_refuted(self) -> None:
        """A node that is said to be down says that it is up, with a higher incarnation."""
        alone = Alone()
        alone.hear(2, beat(2))
        sent = alone.hear(2, Notice(MemberState.DOWN, 1, alone.engine.instance, 0, 2, "silent"))
        notices = [message for message, _ in sent if isinstance(message, Notice)]
        self.assertEqual((notices[0].state, notices[0].incarnation), (MemberState.UP, 1))
        self.assertEqual(
            alone.hear(2, Notice(MemberState.DOWN, 1, alone.engine.instance, 0, 2, "silent")), []
        )

    def test_who_is_not_heard_goes_on_with_new_numbers(self) -> None:
        """A suspicion may mean that the others take all we send for replayed."""
        alone = Alone()
        alone.hear(2, beat(2))
        alone.hear(2, Notice(MemberState.SUSPECT, 1, alone.engine.instance, 0, 2, "silent"))
        self.assertEqual(alone.wire.renumbered, 1)

    def test_values_are_older_by_a_sleep(self) -> None:
        """A laptop that is opened again does not show what the others were hours ago as new."""
        alone = Alone()
        alone.hear(2, beat(2))
        alone.engine.slept(7200.0)
        age = alone.engine.find("2").age
        assert age is not None
        self.assertApproximates(age, 7200.0, 1.0)

    def test_a_node_with_a_wrong_clock_is_looked_for_every_second(self) -> None:
        """However long it has been lost: it may be right at any moment."""
        alone = Alone(discovery=False)
        alone.hear(2, beat(2))
        alone.clock.advance(3600.0)
        self.assertEqual(alone.up(), [1])
        for _ in range(5):
            alone.engine.differing(2)
            del alone.wire.sent[:]
            alone.clock.advance(2.0)
            asked = [message for message, to in alone.wire.sent if to == (address_of(2), PORT)]
            self.assertTrue(any(isinstance(message, Beat) and message.announce for message in asked))

    def test_after_a_jump_all_that_is_lost_is_asked_at_once(self) -> None:
        """The clock is right again: who was lost for hours is asked with the next tick."""
        alone = Alone(discovery=False)
        alone.hear(2, beat(2))
        alone.clock.advance(3600.0)
        del alone.wire.sent[:]
        alone.engine.look_again()
        alone.clock.advance(0.3)
        self.assertIn((address_of(2), PORT), [to for _, to in alone.wire.sent])

    def test_a_false_suspicion_is_contradicted(self) -> None:
        """Who just heard from the suspected node says so."""
        alone = Alone()
        alone.hear(2, beat(2))
        alone.hear(3, beat(3))
        [(message, to)] = alone.hear(2, Notice(MemberState.SUSPECT, 3, 7, 0, 2, "silent"))
        assert isinstance(message, Notice)
        self.assertEqual((message.state, message.by, to), (MemberState.UP, 1, (address_of(2), PORT)))
        alone.hear(2, Notice(MemberState.DOWN, 3, 7, 0, 2, "silent"))
        self.assertEqual(alone.up(), [1, 2, 3])

    def test_a_death_is_told_often_enough(self) -> None:
        """On a network that loses every fifth packet a thousand nodes hear of a death, not 999 of them."""
        alone = Alone()
        told = alone.deaths_told(12.0)
        self.assertEqual(len(told), 8)
        self.assertLess(1000 * 0.2 ** len(told), 0.01)
        self.assertLess(told[-1] - told[0], 6.0)

    def test_a_death_is_not_told_on_of_who_is_back(self) -> None:
        """A node that was called down and is heard again is not called down by what is still to be told."""
        alone = Alone()
        told = alone.deaths_told(6.0)
        self.assertTrue(0 < len(told) < 8, told)
        alone.hear(3, beat(3))
        self.assertEqual(alone.deaths(4.0), [])


class FirstHandTests(SynchronousTestCase):
    """Only a node itself makes itself up."""

    def test_hearsay_makes_ask(self) -> None:
        """A node heard of is asked; it is listed when it answers."""
        alone = Alone(discovery=False)
        alone.hear(2, beat(2))
        note = MemberNote(3, MemberState.UP, 7, 0, PORT, address_of(3))
        alone.hear(2, Roster(3, (note,)))
        self.assertEqual(alone.up(), [1, 2])
        alone.clock.advance(0.2)
        self.assertIn((address_of(3), PORT), [to for _, to in alone.wire.sent])
        alone.hear(3, beat(3))
        self.assertEqual(alone.up(), [1, 2, 3])

    def test_a_late_heartbeat_does_not_bring_back_who_left(self) -> None:
        """A heartbeat overtaken by the goodbye is no sign of life."""
        alone = Alone()
        alone.hear(2, beat(2))
        alone.hear(2, Leave(0, "gomd stopped"))
        alone.hear(2, beat(2))
        self.assertEqual(alone.up(), [1])

    def test_news_of_an_earlier_start_is_ignored(self) -> None:
        """Who was down and came back is not called down by the news of its last start."""
        alone = Alone()
        alone.hear(2, beat(2))
        alone.hear(3, beat(3), instance=8)
        alone.clock.advance(2.0)
        alone.hear(2, Notice(MemberState.DOWN, 3, 7, 5, 2, "silent"))
        self.assertIn(3, alone.up())


class AddressTests(SynchronousTestCase):
    """Nodes that change their address."""

    def test_a_new_address_is_followed(self) -> None:
        """A node whose DHCP server gives it another address stays up, and is asked at the new one."""
        for discovery in (True, False):
            cluster = Cluster(discovery=discovery, seeds=seeds(1, 2)).with_nodes(range(1, 5))
            cluster.network.move(cluster.nodes[3].host, ("10.7.7.7", PORT))
            cluster.clock.advance(8.0)
            self.assertTrue(cluster.agreed(), cluster.disagreement())
            for number in (1, 2, 4):
                self.assertEqual(cluster.nodes[number].engine.find("3").address, "10.7.7.7")
                self.assertEqual(cluster.nodes[number].engine.port_of(3), (("10.7.7.7", PORT), PORT))

    def test_a_forwarded_heartbeat_moves_nobody(self) -> None:
        """A recorded packet that comes from elsewhere does not turn the cluster to that address."""
        alone = Alone()
        alone.hear(2, beat(2))
        alone.clock.advance(5.0)
        alone.hear(2, beat(2), address="10.6.6.6")
        alone.clock.advance(5.0)
        self.assertEqual(alone.engine.find("2").address, address_of(2))


class BoundTests(SynchronousTestCase):
    """Floods."""

    def test_invented_nodes_stop_at_the_limit(self) -> None:
        """A flood of heartbeats with invented ids stops at max_nodes, and is counted and reported once."""
        alone = Alone(max_nodes=10)
        for number in range(2, 1000):
            alone.hear(number, beat(number))
        self.assertEqual(len(alone.engine.nodes()), 10)
        counters = {counter.name: counter.value for counter in alone.engine.counters()}
        self.assertEqual(counters["nodes_full"], 998 - 9)
        self.assertEqual(len([event for event in alone.events.recent() if "max_nodes" in event.reason]), 1)

    def test_a_real_node_takes_the_place_of_one_that_is_down(self) -> None:
        """When the flood is over its nodes are down, and make place."""
        alone = Alone(max_nodes=10)
        for number in range(2, 11):
            alone.hear(number, beat(number))
        alone.clock.advance(60.0)
        self.assertEqual(alone.up(), [1])
        alone.hear(500, beat(500))
        self.assertEqual(alone.up(), [1, 500])
        self.assertEqual(len(alone.engine.nodes()), 10)

    def test_a_node_that_is_down_is_forgotten(self) -> None:
        """After `forget` seconds it is not listed any more."""
        cluster = Cluster(forget=60.0).with_nodes([1, 2])
        cluster.kill(2)
        cluster.clock.advance(55.0)
        self.assertEqual(len(cluster.nodes[1].engine.nodes()), 2)
        cluster.clock.advance(15.0)
        self.assertEqual(len(cluster.nodes[1].engine.nodes()), 1)


class SearchTests(SynchronousTestCase):
    """Seeds and lost nodes are asked for ever, ever more rarely."""

    def test_a_seed_that_comes_late_is_found(self) -> None:
        """The first daemon of a cluster may be the last one that is started: the others ask it every 20 s."""
        cluster = Cluster(discovery=False, seeds=seeds(1))
        cluster.add(2)
        cluster.clock.advance(1000.0)
        cluster.add(1)
        cluster.until_agreed(20.5)

    def test_it_asks_ever_more_rarely(self) -> None:
        """One that is lost gets a packet a second at first, and one in 20 s for ever."""
        cluster = Cluster(discovery=False, seeds=seeds(1))
        cluster.network.log = []
        node = cluster.add(2)
        cluster.clock.advance(60.0)
        early = len(cluster.network.log)
        self.assertTrue(40 <= early <= 80, early)
        cluster.clock.advance(4000.0)
        del cluster.network.log[:]
        cluster.clock.advance(1000.0)
        self.assertTrue(50 <= len(cluster.network.log) <= 65, len(cluster.network.log))
        self.assertEqual(node.up(), {2})

    def test_other_seeds_are_taken_over(self) -> None:
        """Seeds written into the configuration while the daemon runs are asked."""
        cluster = Cluster(discovery=False)
        cluster.add(1)
        cluster.add(2)
        cluster.clock.advance(5.0)
        self.assertEqual(cluster.nodes[2].up(), {2})
        cluster.nodes[2].engine.set_seeds(seeds(1))
        cluster.until_agreed(1.0)


class ScaleTests(SynchronousTestCase):
    """More nodes than one heartbeat goes to directly."""

    def test_many_nodes_without_multicast(self) -> None:
        """60 nodes find each other through one seed; a node gets at most some 35 packets a second."""
        cluster = Cluster(discovery=False, seeds=seeds(1), replays=False)
        for number in range(1, 61):
            cluster.add(number)
        self.assertLess(cluster.until_agreed(2.0), 2.0)
        cluster.clock.advance(3.0)
        before = {node.number: node.host.received for node in cluster.nodes.values()}
        cluster.clock.advance(5.0)
        for node in cluster.nodes.values():
            self.assertLess((node.host.received - before[node.number]) / 5, 50)
        cluster.kill(7)
        self.assertLess(cluster.until_agreed(4.0), 4.0)
        cluster.leave(8)
        self.assertLess(cluster.until_agreed(0.5), 0.5)

    def test_heartbeats_come_less_often_where_there_are_many(self) -> None:
        """With 300 nodes a heartbeat is sent every other second, and still heard in time."""
        alone = Alone()
        for number in range(2, 302):
            alone.hear(number, beat(number), multicast=True)
        del alone.wire.sent[:]
        for _ in range(20):
            for number in range(2, 302):
                alone.sequence += 1
                alone.engine.receive(
                    Datagram(number, 7, 0, alone.sequence, beat(number)), (address_of(number), PORT), True
                )
            alone.clock.advance(1.0)
        beats = [message for message, to in alone.wire.sent if isinstance(message, Beat) and to is None]
        self.assertTrue(9 <= len(beats) <= 11, len(beats))


class MapTests(SynchronousTestCase):
    """The nodes of a map."""

    def test_the_map_is_listed_from_the_start(self) -> None:
        """`nodes` shows every node of the map, down until it is heard."""
        admission = MapAdmission({3: "gamma"}, {node: (address_of(node),) for node in (1, 2, 3)})
        cluster = Cluster(discovery=False)
        node = cluster.add(1, admission)
        self.assertEqual([(each.id, each.name, each.up) for each in node.engine.nodes()],
                         [(1, "node1", True), (2, "10.0.0.2", False), (3, "gamma", False)])  # fmt: skip

    def test_a_stranger_is_refused(self) -> None:
        """A node that is not in the map is not listed, and both sides say why."""
        admission = MapAdmission({}, {node: (address_of(node),) for node in (1, 2)})
        cluster = Cluster(discovery=True)
        node = cluster.add(1, admission)
        stranger = cluster.add(9)
        cluster.clock.advance(5.0)
        self.assertEqual([each.id for each in node.engine.nodes()], [1, 2])
        for each in (node, stranger):
            [event] = each.said(EventKind.SUSPECT)
            self.assertEqual((event.node, event.reason), (9, "node 9 at 10.0.0.9 is not in the map"))

    def test_a_node_at_its_alias_is_taken(self) -> None:
        """A node may come from any address that the map has for it."""
        admission = MapAdmission({}, {1: (address_of(1),), 2: ("10.5.5.5", address_of(2))})
        cluster = Cluster(discovery=False)
        cluster.add(1, admission)
        cluster.add(2, admission)
        cluster.until_agreed(1.0)

    def test_nobody_of_the_map_is_forgotten(self) -> None:
        """A node of the map that is down for long stays listed."""
        admission = MapAdmission({}, {node: (address_of(node),) for node in (1, 2)})
        cluster = Cluster(discovery=False, forget=10.0)
        node: SimulatedNode = cluster.add(1, admission)
        cluster.clock.advance(100.0)
        self.assertEqual(len(node.engine.nodes()), 2)


ids = st.integers(1, 6)
addresses = st.sampled_from([address_of(number) for number in range(1, 7)] + ["10.9.9.9"])
small = st.integers(0, 3)
states = st.sampled_from(list(MemberState))
notes = st.tuples(
    st.builds(MemberNote, ids, states, small, small, st.just(PORT), addresses),
    st.builds(MemberNote, ids, states, small, small, st.just(PORT), addresses),
)
messages = st.one_of(
    st.builds(
        lambda number, announce, some: beat(number, announce=announce, notes=some), ids, st.booleans(), notes
    ),
    st.builds(Leave, small),
    st.builds(Probe, small, small),
    st.builds(ProbeAck, small, ids, small, small, st.booleans()),
    st.builds(IndirectProbe, small, ids, st.just(PORT), addresses),
    st.builds(Notice, states, ids, small, small, ids),
    st.builds(Roster, small, notes),
)  # fmt: skip
steps = st.lists(st.tuples(ids, small, messages, addresses, st.booleans(), st.floats(0, 2)), max_size=25)


class AnythingTests(SynchronousTestCase):
    """Peers that have the key and make no sense."""

    @settings(max_examples=150, deadline=None)
    @given(steps)
    def test_no_sequence_of_messages_breaks_it(
        self, sequence: list[tuple[int, int, Message, str, bool, float]]
    ) -> None:
        """Whatever members say, in any order and from anywhere: the daemon goes on and lists itself as up."""
        alone = Alone(max_nodes=4)
        for number, instance, message, address, multicast, wait in sequence:
            alone.hear(number, message, address, instance, multicast)
            alone.clock.advance(wait)
        nodes = alone.engine.nodes()
        self.assertIn(1, [node.id for node in nodes if node.up])
        self.assertLessEqual(len(nodes), 4)
        self.assertEqual(self.flushLoggedErrors(), [])


class StormTests(SynchronousTestCase):
    """Many nodes that start at once."""

    def test_a_storm_stays_small(self) -> None:
        """60 nodes that start at once get a handful of packets from each other, however they meet."""
        for discovery, seed in ((True, ()), (True, seeds(1)), (False, seeds(1))):
            cluster = Cluster(discovery=discovery, seeds=seed, replays=False)
            for number in range(1, 61):
                cluster.clock.callLater(cluster.network.random.random() * 0.1, cluster.add, number)
            cluster.clock.advance(0.1)
            self.assertLess(cluster.until_agreed(1.9), 1.9)
            most = max(node.host.received for node in cluster.nodes.values())
            self.assertLess(most, 60 * 6)


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
