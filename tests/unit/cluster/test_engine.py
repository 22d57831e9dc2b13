"""What the heartbeat engine does beyond the promises of every membership."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from libgomd.model import EventKind
from libgomd.wire.messages import Heartbeat as Beat
from libgomd.wire.messages import (
    IndirectProbe,
    Leave,
    MemberNote,
    MemberState,
    Notice,
    Probe,
    ProbeAck,
    Roster,
)
from tests.nodes import PORT, Cluster, address_of
from tests.unit.cluster.alone import Alone, beat, seeds


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

    def test_who_was_cut_off_calls_nobody_down(self) -> None:
        """
        A node that heard nobody for some seconds has called all others down. What it still tells when it is
        back takes none of them down for the others, who hear each other; a death afterwards is seen by all.
        """
        for seed in (1, 2):
            cluster = Cluster(seed).with_nodes(range(1, 11), settle=20.0)
            cluster.network.part(cluster.hosts([2]))
            cluster.clock.advance(5.0)
            cluster.network.heal()
            back = cluster.clock.seconds()
            cluster.clock.advance(3.0)
            for number in set(cluster.nodes) - {2}:
                self.assertEqual(cluster.nodes[number].said(EventKind.DOWN, since=back), [])
            cluster.kill(7)
            self.assertLess(cluster.until_agreed(10.0), 10.0)

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

    def test_more_nodes_than_this_engine_is_for(self) -> None:
        """Are members all the same; one event says what it costs and what to do."""
        alone = Alone(max_nodes=4096)
        for number in range(2, 1202):
            alone.hear(number, beat(number))
        alone.clock.pump([0.1] * 30)
        [said] = [event.reason for event in alone.events.recent() if "engine" in event.reason]
        self.assertRegex(
            said, "^1201 nodes are more than the 1000 that this engine is for, and their values are up to"
        )
        self.assertEqual(len(alone.up()), 1201)

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
