"""Datagrams that are junk are dropped and counted; keys change without a gap."""

from __future__ import annotations

import json
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from gomd.protocols.drop_stats import MAX_SENDERS, SHOWN_SENDERS, DropStats
from libgomd.wire.messages import (
    Leave,
    Probe,
    Question,
)
from libgomd.wire.sealing import DatagramKey, KeyRing
from tests.unit.protocols.wires import PATH, Node, fifty, sealing
from tests.unit.wire.vectors import DIRECTORY, KEY


class JunkTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.node = Node()
        self.node.protocol.answer = fifty
        self.seal = sealing(self.node.clock)

    def _dropped(self) -> dict[str, int]:
        kinds = self.node.counters()
        return {name[18:]: kinds[name] for name in kinds if name.startswith("datagrams_dropped_")}

    def test_what_comes_twice_counts_once(self) -> None:
        """A recorded question that is played again is dropped and counted."""
        packet = self.seal(Question(7, PATH))
        for _ in range(3):
            self.node.take(packet)
        self.assertEqual(len(self.node.wire.written), 1)
        self.assertEqual(self._dropped(), {"replayed": 2})

    def test_every_kind_of_bad_packet_is_counted_under_its_name(self) -> None:
        """The bad packets of docs/wire.md: none is answered, none is logged, each is counted."""
        vectors = json.loads((DIRECTORY / "bad.json").read_text())
        kinds = set()
        for vector in vectors:
            node = Node()
            node.protocol.answer = fifty
            with capturedLogs() as logged:
                node.take(bytes.fromhex(vector["packet"]))
            self.assertEqual((vector["name"], node.wire.written), (vector["name"], []))
            kinds.add(vector["error"])
            self.assertEqual(node.counters()[f"datagrams_dropped_{vector['error']}"], 1)
            self.assertEqual(node.counters()["datagrams_worst_1"], 1)
            self.assertEqual([event for event in logged if event["log_level"].name != "debug"], [])
        self.assertEqual(kinds, {"foreign", "version", "unknown-key", "broken-seal", "body", "oversized"})

    @given(st.one_of(st.binary(max_size=1300), st.binary(max_size=1300).map(lambda tail: b"gomd\x01" + tail)))
    @settings(max_examples=200, deadline=None)
    def test_any_bytes_are_dropped(self, packet: bytes) -> None:
        """Nothing that was not sealed with our key is answered, and nothing ends the port."""
        node = Node()
        node.protocol.answer = fifty
        node.take(packet)
        assert node.wire.written == []
        assert node.engine.received == []

    @given(st.integers(0, 2**32), st.integers(1, 255))
    @settings(max_examples=100, deadline=None)
    def test_a_packet_that_was_changed_anywhere_is_dropped(self, place: int, change: int) -> None:
        """One other bit, and it is no question any more."""
        node = Node()
        node.protocol.answer = fifty
        packet = bytearray(sealing(node.clock)(Question(7, PATH)))
        packet[place % len(packet)] ^= change
        node.take(bytes(packet))
        assert node.wire.written == []

    def test_senders_are_counted_in_bounded_memory(self) -> None:
        """A flood of invented addresses hides nobody who sends much, and fills nothing."""
        junk, random = DropStats(), Random(1)
        for number in range(20 * MAX_SENDERS):
            junk.count("foreign", f"10.{random.randrange(256)}.{random.randrange(256)}.{number % 256}")
            junk.count("foreign", "192.0.2.1")
        worst = [counter for counter in junk.counters() if counter.name.startswith("datagrams_worst_")]
        self.assertEqual(len(worst), SHOWN_SENDERS)
        self.assertEqual((worst[0].meaning, worst[0].value), ("dropped from 192.0.2.1", 20 * MAX_SENDERS))
        self.assertLessEqual(len(junk._senders), MAX_SENDERS)

    def test_our_own_announcements_come_back_unheard(self) -> None:
        """Multicast gives a node its own packets as well; another start with our id is heard."""
        self.node.take(sealing(self.node.clock, 1, 1000)(Leave(0)))
        self.assertEqual(self.node.engine.received, [])
        self.node.take(sealing(self.node.clock, 1, 2000)(Leave(0)))
        self.assertEqual(len(self.node.engine.received), 1)

    def test_everything_else_is_for_membership(self) -> None:
        """A probe is handed on once, whatever comes again."""
        packet = self.seal(Probe(5))
        self.node.take(packet)
        self.node.take(packet)
        self.assertEqual([datagram.message for datagram in self.node.engine.received], [Probe(5)])


class KeyTests(SynchronousTestCase):
    def test_a_key_is_changed_without_a_gap(self) -> None:
        """With both keys a node hears those who have only the old one or only the new one."""
        new = DatagramKey(b"new key!", bytes(range(32)))
        node = Node()
        node.protocol.answer = fifty
        node.protocol.use_keys(KeyRing([new, KEY]))
        node.take(sealing(node.clock)(Question(7, PATH)))
        [(packet, _)] = node.wire.written
        other = Node(2, keys=KeyRing([new]))
        other.take(packet, ("10.0.0.1", 5428))
        self.assertEqual(other.counters()["datagrams_received"], 1)
        self.assertNotIn("datagrams_dropped_unknown-key", other.counters())
        node.protocol.use_keys(KeyRing([new]))
        node.take(sealing(node.clock, 3)(Question(8, PATH)))
        self.assertEqual(node.counters()["datagrams_dropped_unknown-key"], 1)
