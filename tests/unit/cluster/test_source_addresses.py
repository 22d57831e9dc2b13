"""The source address of a datagram is not sealed: a node is believed to be where its heartbeat says it is."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from gomd.cluster.membership import Address
from libgomd.model import EventKind
from libgomd.wire.messages import Datagram, MemberState, Message, Notice, Probe, ProbeAck
from libgomd.wire.messages import Heartbeat as Beat
from tests.nodes import PORT, address_of
from tests.unit.cluster.alone import Alone, beat


class SourceAddressTests(SynchronousTestCase):
    """Somebody without the key hears datagrams and sends them on from an address of their own, 10.6.6.6."""

    def probes(self, sent: list[tuple[Message, Address | None]]) -> list[tuple[Probe, Address | None]]:
        return [(message, to) for message, to in sent if isinstance(message, Probe)]

    def test_a_new_node_is_taken_where_it_says_it_is(self) -> None:
        """Whoever sends on the first heartbeat of a node from elsewhere does not get what is meant for it."""
        alone = Alone(discovery=False)
        said = alone.hear(2, beat(2, announce=True), address="10.6.6.6")
        self.assertEqual(alone.up(), [1])
        to_stranger = [message for message, to in said if to == ("10.6.6.6", PORT)]
        self.assertEqual([type(message) for message in to_stranger], [Probe])  # and no roster: that is larger
        self.assertIn((address_of(2), PORT), [to for message, to in said if isinstance(message, Beat)])
        alone.hear(2, beat(2))
        self.assertEqual(alone.engine.find("2").address, address_of(2))
        self.assertEqual([event.kind for event in alone.events.recent() if event.node == 2], [EventKind.JOIN])
        alone.clock.advance(3.0)
        self.assertEqual(alone.engine.find("2").address, address_of(2))

    def test_a_new_node_that_names_another_address_is_taken_when_it_answers(self) -> None:
        """A machine with several networks, whose address in gomd.ini is not that of this one."""
        alone = Alone(discovery=False)
        [(probe, to)] = self.probes(alone.hear(2, beat(2), address="10.9.0.2"))
        self.assertEqual(to, ("10.9.0.2", PORT))
        alone.hear(2, ProbeAck(probe.request_id, 2, 7, 0), address="10.9.0.2")
        self.assertEqual((alone.up(), alone.engine.find("2").address), ([1, 2], "10.9.0.2"))

    def test_a_node_is_found_at_the_address_that_it_names(self) -> None:
        """
        It was taken elsewhere, because a probe was sent on as well. Its own heartbeat brings it back, however
        often it is heard from the other place.
        """
        alone = Alone(discovery=False)
        [(probe, _to)] = self.probes(alone.hear(2, beat(2), address="10.6.6.6"))
        alone.hear(2, ProbeAck(probe.request_id, 2, 7, 0), address="10.6.6.6")
        for _ in range(3):
            alone.clock.advance(0.5)
            alone.hear(2, beat(2), address="10.6.6.6")
        [(probe, to)] = self.probes(alone.hear(2, beat(2)))
        self.assertEqual(to, (address_of(2), PORT))
        alone.hear(2, ProbeAck(probe.request_id, 2, 7, 0))
        self.assertEqual(alone.engine.port_of(2), ((address_of(2), PORT), PORT))

    def test_a_node_that_moves_is_followed_when_its_old_address_is_silent(self) -> None:
        """It names both; its streams are found broken in that time, and what is on its way is not lost."""
        alone = Alone(discovery=False)
        alone.hear(2, beat(2))
        alone.clock.advance(0.5)
        self.assertEqual(self.probes(alone.hear(2, beat(2, address="10.7.7.7"), address="10.7.7.7")), [])
        alone.clock.advance(2.0)
        [(_probe, to)] = self.probes(alone.hear(2, beat(2, address="10.7.7.7"), address="10.7.7.7"))
        self.assertEqual(to, ("10.7.7.7", PORT))

    def test_recordings_of_an_earlier_start_are_no_second_node(self) -> None:
        """A daemon was started again, and somebody sends from elsewhere what it said before."""
        alone = Alone(discovery=False)
        alone.clock.advance(100.0)
        started = int(alone.clock.seconds() * 1000) + 500
        alone.hear(2, beat(2), instance=started - 90_000)
        alone.clock.advance(1.0)
        alone.hear(2, beat(2), instance=started)
        alone.sequence += 1
        recorded = Datagram(2, started - 90_000, started - 100, alone.sequence, beat(2))
        del alone.wire.sent[:]
        alone.engine.receive(recorded, ("10.6.6.6", PORT), False)
        self.assertEqual(self.probes(alone.wire.sent), [])

    def test_a_restart_that_is_sent_on_is_no_second_node(self) -> None:
        """It comes from elsewhere before it comes from the node; nobody reports two nodes with one id."""
        alone = Alone(discovery=False)
        alone.hear(2, beat(2), instance=7)
        alone.hear(2, beat(2), address="10.6.6.6", instance=8)
        alone.hear(2, beat(2), instance=8)
        for _ in range(20):
            alone.clock.advance(0.1)
            for probe, to in self.probes(alone.wire.sent):
                if to == (address_of(2), PORT):
                    alone.hear(2, ProbeAck(probe.request_id, 2, 8, 0), instance=8)
            alone.hear(2, beat(2), instance=8)
        self.assertNotIn(EventKind.SUSPECT, [event.kind for event in alone.events.recent()])
        self.assertEqual(alone.engine.find("2").address, address_of(2))


class RivalTests(SynchronousTestCase):
    """Two nodes with one id, as after a machine was cloned: which place is that of the second one."""

    def found(self) -> Alone:
        """Return an engine that has found a second node 2, at 10.9.9.9."""
        alone = Alone(discovery=False)
        alone.hear(2, beat(2), instance=7)
        said = alone.hear(2, beat(2, address="10.9.9.9"), address="10.9.9.9", instance=8)
        [probe] = [message for message, _to in said if isinstance(message, Probe)]
        alone.hear(2, ProbeAck(probe.request_id, 2, 7, 0), instance=7)
        return alone

    def test_only_the_second_one_is_a_rival(self) -> None:
        """And only while the first one is up at another address, and the second one was seen lately."""
        alone = self.found()
        for place, is_rival in (
            (("10.9.9.9", 2), True),
            ((address_of(2), 2), False),
            (("10.9.9.9", 3), False),
        ):
            self.assertEqual(alone.engine.is_rival(place[1], place[0]), is_rival)
        for _ in range(40):
            alone.clock.advance(1.0)
            alone.hear(2, beat(2), instance=7)
        self.assertFalse(alone.engine.is_rival(2, "10.9.9.9"))

    def test_the_second_one_takes_the_place_of_the_first(self) -> None:
        """The first one was switched off: then it is the node."""
        alone = self.found()
        alone.clock.advance(12.0)
        self.assertFalse(alone.engine.is_rival(2, "10.9.9.9"))
        alone.hear(2, beat(2, address="10.9.9.9"), address="10.9.9.9", instance=8)
        self.assertEqual(alone.engine.find("2").address, "10.9.9.9")
        self.assertFalse(alone.engine.is_rival(2, "10.9.9.9"))


class OldDeathTests(SynchronousTestCase):
    """A node was parted from the others, which called it down; it never heard that, and has come back."""

    def incarnations(self, alone: Alone) -> list[int]:
        return [message.incarnation for message, _to in alone.wire.sent if isinstance(message, Beat)]

    def test_it_has_another_incarnation_then(self) -> None:
        """So what was said of it then does not call it down again, when somebody sends it once more."""
        alone = Alone(discovery=False)
        alone.hear(2, beat(2))
        alone.clock.advance(10.0)
        self.assertEqual(alone.up(), [1])
        alone.hear(2, beat(2))
        del alone.wire.sent[:]
        alone.clock.advance(2.0)
        self.assertEqual(set(self.incarnations(alone)), {1})

    def test_so_has_one_that_stood_still(self) -> None:
        """Its machine was paused: it saw nobody go down."""
        alone = Alone(discovery=False)
        alone.hear(2, beat(2))
        del alone.wire.sent[:]
        alone.engine.look_again()
        alone.engine.look_again()
        self.assertEqual(set(self.incarnations(alone)), {1})

    def test_an_old_death_is_of_an_old_incarnation(self) -> None:
        """Whoever hears of it does not believe it, however long it has not heard the node."""
        alone = Alone(discovery=False)
        alone.hear(2, beat(2))
        alone.hear(3, beat(3))
        alone.hear(3, beat(3, incarnation=1))
        alone.clock.advance(1.2)
        alone.hear(2, Notice(MemberState.DOWN, 3, 7, 0, 2, "silent"))
        self.assertEqual(alone.up(), [1, 2, 3])

    def test_who_does_not_know_the_new_incarnation_is_told(self) -> None:
        """It suspects the one that it knows, because it has heard nothing since."""
        alone = Alone(discovery=False)
        alone.hear(2, beat(2))
        alone.engine.look_again()
        started = alone.engine.instance
        said = alone.hear(2, Notice(MemberState.SUSPECT, 1, started, 0, 2, "silent"))
        self.assertEqual([(m.incarnation, to) for m, to in said if isinstance(m, Beat)],
                         [(1, (address_of(2), PORT))])  # fmt: skip
        self.assertEqual(alone.hear(2, Notice(MemberState.SUSPECT, 1, started, 0, 3, "silent")), [])
