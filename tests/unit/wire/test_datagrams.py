"""Messages to packets and back; bytes that are none are refused, each with its kind."""

from __future__ import annotations

import os
import random

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from libgomd.errors import BrokenSeal, MalformedBody, MalformedDatagram, UnknownKey
from libgomd.model import Node, Status
from libgomd.wire import datagrams, messages
from libgomd.wire.bodies import decode_body, encode_body
from libgomd.wire.datagrams import Sealer, open_sealed, seal
from libgomd.wire.messages import (
    ANSWER_OVERHEAD,
    MAX_NUMBER,
    MAX_PACKET,
    MIN_ROOM,
    Answer,
    Datagram,
    Heartbeat,
    MemberNote,
    MemberState,
    Message,
    Probe,
    Question,
    Roster,
    Summary,
)
from libgomd.wire.sealing import MAX_SALTS, SEALED_OVERHEAD, DatagramKey, KeyRing
from tests.unit.wire import strategies
from tests.unit.wire.vectors import KEY, NONCE, RING, SALT, seal_body, unsealed

OTHER = DatagramKey(b"other id", bytes(32))
FULL_NOTE = MemberNote(65535, MemberState.CONFLICT, MAX_NUMBER, 2**32 - 1, 65535, "255.255.255.255")
FULL_HEARTBEAT = Heartbeat(
    2**32 - 1, 65535, 65535, 65535, MAX_NUMBER, 2**32 - 1, 2**32 - 1, 65535, 2**32 - 1, MAX_NUMBER,
    MAX_NUMBER, MAX_NUMBER, True, "n" * 63, "255.255.255.255", (FULL_NOTE,) * messages.MAX_NOTES,
)  # fmt: skip


def _sealed(message: Message) -> bytes:
    return seal(Datagram(65535, MAX_NUMBER, MAX_NUMBER, MAX_NUMBER, message), KEY, SALT, NONCE)


def _same_but_room(got: Message, sent: Message, length: int) -> bool:
    if isinstance(sent, Question):
        assert isinstance(got, Question)
        assert got.room == length
        assert length in (sent.room, sent.room + 1) or sent.room < length < 400
        return got._replace(room=0) == sent._replace(room=0)
    return got == sent


@given(strategies.datagrams)
@settings(max_examples=150, deadline=None)
def test_what_is_sent_is_what_arrives(datagram: Datagram) -> None:
    """Any message arrives as it was sent, in at most 1200 bytes."""
    packet = seal(datagram, KEY, SALT, NONCE)
    assert len(packet) <= MAX_PACKET
    got = open_sealed(packet, RING).datagram
    assert got[:4] == datagram[:4]
    assert type(got.message) is type(datagram.message)
    assert _same_but_room(got.message, datagram.message, len(packet))


@given(st.binary(max_size=1300))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_refused_by_name(data: bytes) -> None:
    """Random bytes give one named error, never another exception."""
    for packet in (data, b"gomd\x01" + bytes(8) + data, KEY.prefix(SALT) + data):
        with pytest.raises(MalformedDatagram):
            open_sealed(packet, RING)


_cbor = st.recursive(
    st.one_of(
        st.integers(-(2**64), 2**64 - 1), st.text(max_size=8), st.binary(max_size=8), st.none(),
        st.booleans(), st.floats(allow_nan=False),
    ),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.integers(0, 9), inner, max_size=3),
    max_leaves=12,
)  # fmt: skip


@given(st.lists(_cbor, max_size=9), st.integers(0, 12))
@settings(max_examples=80, deadline=None)
def test_a_body_that_is_none_is_refused(fields: list[object], kind: int) -> None:
    """CBOR of any sort is a message or one named error."""
    for values in (fields, [kind, 1, 2, 3, 4, *fields]):
        body = cbor2.dumps(values)
        try:
            datagram = decode_body(body, 300)
        except MalformedBody:
            continue
        assert isinstance(datagram.message, Message)


@given(st.binary(max_size=60))
@settings(max_examples=300, deadline=None)
def test_a_body_of_any_bytes_is_refused(body: bytes) -> None:
    """Whatever bytes a peer with our key seals, there is a message or one named error."""
    for start in (b"", bytes([0x87, 6, 2, 1, 2, 3])):
        try:
            decode_body(start + body, 300)
        except MalformedBody:
            continue


@given(strategies.datagrams, st.data())
@settings(max_examples=60, deadline=None)
def test_a_changed_or_cut_packet_is_refused(datagram: Datagram, data: st.DataObject) -> None:
    """One bit changed anywhere, or any end cut off, and the packet is dropped."""
    packet = seal(datagram, KEY, SALT, NONCE)
    bit = data.draw(st.integers(0, 8 * len(packet) - 1))
    changed = bytearray(packet)
    changed[bit // 8] ^= 1 << bit % 8
    cut = data.draw(st.integers(0, len(packet) - 1))
    for bad in (bytes(changed), packet[:cut]):
        with pytest.raises(MalformedDatagram):
            open_sealed(bad, RING)


class MalformedTests(SynchronousTestCase):
    def test_every_length_and_every_bit_of_one_packet(self) -> None:
        """No cut and no single bit of a probe gets through, whole or with junk behind."""
        packet = _sealed(Probe(1, 2))
        for length in range(len(packet)):
            self.assertRaises(MalformedDatagram, open_sealed, packet[:length], RING)
        for bit in range(8 * len(packet)):
            changed = bytearray(packet)
            changed[bit // 8] ^= 1 << bit % 8
            self.assertRaises(MalformedDatagram, open_sealed, bytes(changed), RING)
        self.assertRaises(BrokenSeal, open_sealed, packet + b"\0", RING)

    def test_no_tag_is_ever_read(self) -> None:
        """A peer cannot make the decoder build dates, patterns or references: any tag is refused."""
        start = bytes([0x87, 6, 2, 1, 2, 3, 7])
        self.assertEqual(decode_body(start + b"\x09", 300).message, Probe(7, 9))
        for tag in range(0, 0x10000, 7):
            head = bytes([0xD9]) + tag.to_bytes(2, "big")
            self.assertRaises(MalformedBody, decode_body, start + head + b"\x09", 300)
        for inner in (b"\x09", b"\x41\x09", b"\x61\x39", b"\x82\x01\x09", b"\x80", b"\xa0"):
            for tag in (*range(300), 1004, 43000, 55799):
                head = bytes([0xD9]) + tag.to_bytes(2, "big")
                self.assertRaises(MalformedBody, decode_body, start + head + inner, 300)

    def test_a_million_levels_are_not_entered(self) -> None:
        """Nesting is cut off at once."""
        self.assertRaises(MalformedBody, decode_body, b"\x81" * 1100, 1149)

    def test_a_length_that_lies_takes_no_memory(self) -> None:
        """A head that promises 2^63 bytes or items is refused, not believed."""
        for head in (b"\x9b", b"\x5b", b"\x7b", b"\xbb"):
            for size in (b"\x7f" + b"\xff" * 7, b"\xff" * 8, b"\0\0\0\1\0\0\0\0"):
                self.assertRaises(MalformedBody, decode_body, head + size, 300)
                self.assertRaises(MalformedBody, decode_body, b"\x86\6\2\1\2\3" + head + size, 300)

    def test_seeded_mutations_never_surprise(self) -> None:
        """Thousands of bodies, mutated and rightly sealed, give messages or the one named error."""
        chance = random.Random(2026)
        bodies = [decodable(message) for message in (FULL_HEARTBEAT, Question(1, "/proc"), Probe(1))]
        for _ in range(3000):
            body = bytearray(chance.choice(bodies))
            for _ in range(chance.randint(1, 4)):
                body[chance.randrange(len(body))] = chance.randrange(256)
            try:
                decode_body(bytes(body), 300)
            except MalformedBody:
                continue


def decodable(message: Message) -> bytes:
    """Return the body of ``message``, not sealed."""
    return encode_body(Datagram(2, 3, 4, 5, message), 0)


class BoundsTests(SynchronousTestCase):
    def test_the_fullest_packets_fit(self) -> None:
        """A heartbeat or a roster with as many notes as allowed, every number at its largest, can be sent."""
        for message in (FULL_HEARTBEAT, Roster(2**32 - 1, FULL_HEARTBEAT.notes)):
            packet = _sealed(message)
            self.assertLessEqual(len(packet), MAX_PACKET)
            self.assertEqual(open_sealed(packet, RING).datagram.message, message)

    def test_an_answer_fills_the_question_s_room_and_never_more(self) -> None:
        """Whatever the file's length, the answer's packet is at most as long as the question's."""
        for room in (*range(MIN_ROOM, MIN_ROOM + 30), 511, 512, 513, 1000, MAX_PACKET):
            asked = open_sealed(_sealed(Question(MAX_NUMBER, "/proc/stat", room=room)), RING).datagram.message
            assert isinstance(asked, Question)
            answer = Answer.to(asked, 599, b"x" * 5000)
            packet = _sealed(answer)
            self.assertLessEqual(len(packet), asked.room)
            self.assertGreaterEqual(len(packet), asked.room - 10)
            self.assertTrue(answer.truncated)
            self.assertEqual(answer.size, 5000)

    def test_the_overhead_of_an_answer_is_exact(self) -> None:
        """The bytes set aside for an answer's head are those of the longest head, not one more."""
        packet = _sealed(Answer(MAX_NUMBER, 599, 2**32 - 1, b"x" * 300))
        self.assertEqual(len(packet), 300 + ANSWER_OVERHEAD)

    def test_the_fullest_summary_fits_the_smallest_question(self) -> None:
        """A summary is never longer than any question for it can be."""
        summary = Summary(
            MAX_NUMBER, 65535, 65535, MAX_NUMBER, 2**32 - 1, 2**32 - 1, 65535, 2**32 - 1, MAX_NUMBER,
            MAX_NUMBER, MAX_NUMBER, "n" * 63, "255.255.255.255",
        )  # fmt: skip
        self.assertLessEqual(len(_sealed(summary)), MIN_ROOM)

    def test_a_question_has_the_room_it_asks_for_or_a_byte_more(self) -> None:
        """Every room between the least and the most can be asked for; only few are a byte longer."""
        for path in ("", "/proc/loadavg", "/" + "a" * 255, "/" + "a" * 100):
            longer = 0
            for room in range(MIN_ROOM, MAX_PACKET + 1):
                length = len(_sealed(Question(1, path, room=room)))
                if length > 400 or len(path) < 200:  # the longest path is longer than the least room
                    self.assertIn(length, (room, room + 1))
                    self.assertLessEqual(length, MAX_PACKET)
                    longer += length != room
            self.assertLessEqual(longer, 2)
        for room in (0, MIN_ROOM - 1, MAX_PACKET + 1):
            self.assertRaises(ValueError, _sealed, Question(1, room=room))

    def test_what_a_peer_would_refuse_is_not_sent(self) -> None:
        """A value out of its range is a bug of ours and is said so here, not dropped over there."""
        for message in (
            Probe(-1),
            Probe(2**53),
            Probe(1, 65536),
            Probe(True),
            Question(1, "proc"),
            Question(1, "/" + "ä" * 130),
            Question(1, "/proc", node=3),
            Answer(1, 200, 1, b"ab"),
            Answer(1, 200, 1200, b"x" * 1200),
            FULL_HEARTBEAT._replace(name="two words"),
            FULL_HEARTBEAT._replace(name=""),
            FULL_HEARTBEAT._replace(name="x" * 64),
            FULL_HEARTBEAT._replace(address="fe80::1::2"),
            FULL_HEARTBEAT._replace(address="alpha"),
            FULL_HEARTBEAT._replace(address="1.2.3.256"),
            FULL_HEARTBEAT._replace(port=0),
            FULL_HEARTBEAT._replace(notes=(FULL_NOTE,) * 37),
            messages.Leave(0, "bell \a"),
            messages.Leave(0, "x" * 201),
        ):
            self.assertRaises(ValueError, _sealed, message)
        program = Datagram(0, 1, 1, 1, messages.Leave(0))
        self.assertRaises(ValueError, seal, program, KEY, SALT, NONCE)

    def test_a_summary_is_a_node_again(self) -> None:
        """The summary of a node arrives as the node it was made of."""
        node = Node(9, "nine", "10.0.0.9", Status(7), 12, 15000, 4, 400, 5, None, 7, 1.25)
        self.assertEqual(Summary.of(1, node).to_node(), node)
        down = Node(9, "nine", "10.0.0.9", Status.CONFIGURED)
        self.assertEqual(Summary.of(1, down).to_node(), down)


class KeysTests(SynchronousTestCase):
    def test_a_key_is_changed_without_a_gap(self) -> None:
        """While the key changes, nodes with the old one, both, and the new one first hear each other."""
        old, both, swapped = KeyRing([KEY]), KeyRing([KEY, OTHER]), KeyRing([OTHER, KEY])
        for sender, receivers in ((old, (old, both, swapped)), (both, (old, swapped)), (swapped, (both,))):
            packet = Sealer(sender, 1, 2, os.urandom).seal(Probe(7), 3)
            for receiver in receivers:
                self.assertEqual(open_sealed(packet, receiver).datagram.message, Probe(7))
        packet = Sealer(swapped, 1, 2, os.urandom).seal(Probe(7), 3)
        self.assertEqual(open_sealed(packet, swapped).key_id, OTHER.id)
        self.assertRaises(UnknownKey, open_sealed, packet, old)

    def test_there_is_no_way_in_without_a_key(self) -> None:
        """What is not sealed is taken by nobody, and nobody can be made who sends or takes it."""
        self.assertRaises(UnknownKey, open_sealed, unsealed(Datagram(1, 2, 3, 4, Probe(7))), RING)
        self.assertRaises(ValueError, KeyRing, [])
        self.assertRaises(ValueError, DatagramKey, bytes(7), bytes(32))
        self.assertRaises(ValueError, DatagramKey, bytes(8), b"")

    def test_a_key_does_not_show_its_secret(self) -> None:
        """A key in a log shows its id, which is no secret."""
        self.assertEqual(repr(OTHER), f"<DatagramKey {b'other id'.hex()}>")

    def test_strangers_take_no_place_among_the_senders(self) -> None:
        """Packets with invented salts and no seal fill no memory; senders past the bound are still heard."""
        key = DatagramKey(b"12345678", bytes(32))
        ring = KeyRing([key])
        for number in range(50):
            junk = key.prefix(number.to_bytes(8, "big")) + bytes(60)
            self.assertRaises(BrokenSeal, open_sealed, junk, ring)
        self.assertEqual(len(key._ciphers), 0)
        datagram = Datagram(1, 2, 3, 4, Probe(7))
        packets = [seal(datagram, key, number.to_bytes(8, "big"), NONCE) for number in range(MAX_SALTS + 5)]
        for packet in (*packets, packets[0]):
            self.assertEqual(open_sealed(packet, ring).datagram, datagram)
        self.assertEqual(len(key._ciphers), MAX_SALTS)


class SealerTests(SynchronousTestCase):
    def test_a_sender_numbers_its_datagrams(self) -> None:
        """Each packet has the next number, a nonce of its own, and the sender's one salt."""
        sealer = Sealer(RING, 5, 6, os.urandom)
        packets = [sealer.seal(Probe(1), 1000 + at) for at in range(20)]
        opened = [open_sealed(packet, RING).datagram for packet in packets]
        self.assertEqual([each[:4] for each in opened], [(5, 6, 1000 + at, at + 1) for at in range(20)])
        self.assertEqual(len({packet[21:33] for packet in packets}), 20)
        self.assertEqual(len({packet[:21] for packet in packets}), 1)

    def test_a_salt_is_left_before_its_nonces_could_repeat(self) -> None:
        """After 2^32 packets the sender takes a new salt, and with it a new key."""
        sealer = Sealer(RING, 5, 6, os.urandom)
        before = sealer.seal(Probe(1), 1)[13:21]
        sealer._left = 1
        self.assertEqual(sealer.seal(Probe(1), 1)[13:21], before)
        packet = sealer.seal(Probe(1), 1)
        self.assertNotEqual(packet[13:21], before)
        self.assertEqual(open_sealed(packet, RING).datagram.sequence, 3)
        self.assertEqual(sealer._left, datagrams.MAX_UNDER_SALT - 1)

    def test_numbers_go_on_when_the_key_changes(self) -> None:
        """A new first key does not make a sender's packets look like old ones."""
        sealer = Sealer(RING, 5, 6, os.urandom)
        sealer.seal(Probe(1), 1)
        sealer.use(KeyRing([OTHER, KEY]))
        opened = open_sealed(sealer.seal(Probe(1), 1), KeyRing([OTHER]))
        self.assertEqual((opened.datagram.sequence, opened.key_id), (2, OTHER.id))

    def test_a_body_sealed_by_a_peer_s_bug_is_told_apart(self) -> None:
        """A rightly sealed packet with a wrong body is counted as a peer's bug, not as an attack."""
        self.assertRaises(MalformedBody, open_sealed, seal_body(b"\x01"), RING)
        self.assertEqual(SEALED_OVERHEAD, 49)
