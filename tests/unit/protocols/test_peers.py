"""Datagrams of peers: questions answered and asked, junk dropped and counted, clocks that differ."""

from __future__ import annotations

import json
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, succeed
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from gomd.protocols.drop_stats import MAX_SENDERS, SHOWN_SENDERS, DropStats
from gomd.protocols.peer_questions import PeerQuestions
from gomd.protocols.peers import MAX_CONCURRENT_QUESTIONS
from libgomd.errors import NotFound, TimedOut
from libgomd.model import Node as NodeValues
from libgomd.model import Status
from libgomd.wire.datagrams import Sealer
from libgomd.wire.messages import (
    MAX_PACKET,
    MIN_ROOM,
    Answer,
    ClockWarning,
    Datagram,
    Leave,
    Probe,
    Question,
    Summary,
)
from libgomd.wire.sealing import DatagramKey, KeyRing
from tests.unit.protocols.wires import NOW, OTHER, Node, sealing
from tests.unit.wire.vectors import DIRECTORY, KEY, unsealed

PATH = "/proc/hpc/nodes/1/load"


def fifty(question: Question) -> Answer:
    """Answer as a node whose load is 50."""
    return Answer.to(question, 200, b"50\n")


class AnsweringTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.node = Node()
        self.node.protocol.answer = fifty
        self.seal = sealing(self.node.clock)

    def test_a_question_is_answered_to_whoever_asked(self) -> None:
        """A peer is told the load, and gets its own request id back; nobody else gets anything."""
        self.node.take(self.seal(Question(7, PATH)), ("10.0.0.9", 999))
        self.assertEqual(self.node.wire.take(), [(Answer(7, 200, 3, b"50\n"), ("10.0.0.9", 999))])

    def test_a_slow_answer_comes_when_it_is_there(self) -> None:
        """An answer that has to be read from a disk holds nobody up."""
        read: Deferred[Answer] = Deferred()
        self.node.protocol.answer = lambda question: read if question.path != PATH else fifty(question)
        self.node.take(self.seal(Question(7, "/proc/stat")))
        self.node.take(self.seal(Question(8, PATH)))
        self.assertEqual([message.request_id for message, _ in self._sent()], [8])
        read.callback(Answer(7, 200, 1, b"x"))
        self.assertEqual([message.request_id for message, _ in self._sent()], [7])

    def _sent(self) -> list[tuple[Any, tuple[str, int]]]:
        return self.node.wire.take()

    def test_more_questions_than_can_be_under_way_are_dropped(self) -> None:
        """Who asks faster than the disk reads is not answered by all memory being filled."""
        waits: list[Deferred[Answer]] = []

        def slow(question: Question) -> Deferred[Answer]:
            waits.append(Deferred())
            return waits[-1]

        self.node.protocol.answer = slow
        for number in range(MAX_CONCURRENT_QUESTIONS + 10):
            self.node.take(self.seal(Question(number, PATH)))
        self.assertEqual(len(waits), MAX_CONCURRENT_QUESTIONS)
        self.assertEqual(self.node.counters()["questions_dropped"], 10)
        waits[0].callback(Answer(0, 200, 0, b""))
        self.node.take(self.seal(Question(999, PATH)))
        self.assertEqual(len(waits), MAX_CONCURRENT_QUESTIONS + 1)

    def test_a_question_for_another_node_is_not_answered(self) -> None:
        """An address that another node has now does not make us answer in its name."""
        self.node.take(self.seal(Question(7, PATH, target=3)))
        self.assertEqual(self.node.wire.written, [])

    def test_an_answer_that_fails_leaves_the_port_working(self) -> None:
        """A bug in one answer is logged, and the next question is answered."""

        def fails(question: Question) -> Answer:
            raise RuntimeError("a bug")

        self.node.protocol.answer = fails
        self.node.take(self.seal(Question(7, PATH)))
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.node.protocol.answer = fifty
        self.node.take(self.seal(Question(8, PATH)))
        self.assertEqual(len(self.node.wire.written), 1)

    def test_a_network_that_is_away_costs_the_packet_only(self) -> None:
        """While there is no route nothing fails but the sending, which is counted."""
        self.node.wire.broken = True
        self.node.take(self.seal(Question(7, PATH)))
        self.assertEqual(self.node.counters()["datagrams_unsent"], 1)

    @given(st.integers(MIN_ROOM, MAX_PACKET), st.integers(0, 5000))
    @settings(max_examples=60, deadline=None)
    def test_no_answer_is_longer_than_its_question(self, room: int, length: int) -> None:
        """Whoever sends questions under a false address gains nothing by it."""
        node = Node()
        node.protocol.answer = lambda question: Answer.to(question, 200, b"x" * length)
        packet = sealing(node.clock)(Question(2**53 - 1, PATH, room=room))
        node.take(packet)
        [(answer, _)] = node.wire.written
        assert len(answer) <= len(packet)


class Members:
    """One node, whose id is 1."""

    own_id = 1

    def find(self, key: str) -> NodeValues:
        """Return it."""
        if key != "1":
            raise NotFound(f"there is no node {key}")
        return NodeValues(1, "alpha", "10.0.0.1", Status.UP, load=50)


class Tree:
    """A tree in which every file says hello."""

    def read_file(self, path: object, caller: object) -> Deferred[bytes]:
        """Return it."""
        return succeed(b"hello\n")


class AnswererTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.node = Node()
        self.seal = sealing(self.node.clock)
        self.node.protocol.answer = PeerQuestions(Tree(), Members())  # type: ignore[arg-type]

    def _ask(self, path: str, **more: int) -> Any:
        self.node.take(self.seal(Question(7, path, **more)))
        [(message, _)] = self.node.wire.take()
        assert not isinstance(message, Question)
        return message

    def test_values_files_and_summaries_are_answered(self) -> None:
        """A value of a node, a file of the kernel, and how the node is."""
        self.assertEqual(self._ask(PATH), Answer(7, 200, 3, b"50\n"))
        self.assertEqual(self._ask("/proc/loadavg").data, b"hello\n")
        summary = self._ask("")
        assert isinstance(summary, Summary)
        self.assertEqual((summary.id, summary.name, summary.load), (1, "alpha", 50))

    def test_what_is_refused_gets_an_answer_that_says_so(self) -> None:
        """A forbidden path, one that climbs out, a directory, no such node: the error, not silence."""
        for path, code in (
            ("/proc/kcore", 403),
            ("/etc/shadow", 403),
            ("/proc/../etc/shadow", 403),
            ("/proc/hpc/nodes", 405),
            ("/proc/hpc/nodes/9/load", 404),
        ):
            answer = self._ask(path)
            self.assertEqual((path, answer.code), (path, code))
            self.assertTrue(answer.data)

    def test_without_the_key_strangers_are_told_nothing(self) -> None:
        """A question that is not sealed, or with another key, gets no answer at all."""
        other = Sealer(KeyRing([DatagramKey(b"another!", bytes(32))]), 2, 5, Random(1).randbytes)
        now = int(NOW * 1000)
        for packet in (
            unsealed(Datagram(2, 5, now, 1, Question(7, PATH))), other.seal(Question(7, PATH), now)
        ):  # fmt: skip
            self.node.take(packet)
            self.assertEqual(self.node.wire.take(), [])
        self.assertEqual(self.node.counters()["datagrams_dropped_unknown-key"], 2)


class AskingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.node = Node()
        self.seal = sealing(self.node.clock)
        self.asked = self.node.protocol.asker.ask(OTHER, Question(0, "/proc/1/where"))

    def test_the_answer_with_the_same_number_is_the_answer(self) -> None:
        """Other answers change nothing; after the right one nothing is asked again."""
        [(question, address)] = self.node.wire.take()
        assert isinstance(question, Question)
        self.assertEqual((question.path, address), ("/proc/1/where", OTHER))
        self.node.take(self.seal(Answer(question.request_id ^ 1, 200, 1, b"9")))
        self.assertNoResult(self.asked)
        self.node.take(self.seal(Answer(question.request_id, 200, 1, b"3")))
        answer = self.successResultOf(self.asked)
        assert isinstance(answer, Answer)
        self.assertEqual(answer.data, b"3")
        self.node.clock.advance(60)
        self.assertEqual(self.node.wire.take(), [])

    def test_it_is_asked_twice_more_and_then_given_up(self) -> None:
        """Nobody answers: three packets in all, one number, and an error after a second and a half."""
        sent = []
        for wait in (0.0, 0.29, 0.02, 0.48, 0.03, 0.67):
            self.node.clock.advance(wait)
            sent.append([message for message, _ in self.node.wire.take()])
        self.assertEqual([len(messages) for messages in sent], [1, 0, 1, 0, 1, 0])
        self.assertNoResult(self.asked)
        self.node.clock.advance(0.05)
        self.assertEqual(
            len({message.request_id for [message] in sent[::2] if isinstance(message, Question)}), 1
        )
        self.assertIn("no answer from 10.0.0.2:5428", self.failureResultOf(self.asked, TimedOut).value.text)
        self.assertEqual(self.node.counters()["questions_unanswered"], 1)

    def test_the_second_asking_is_no_replay(self) -> None:
        """The asked node answers a question whose first answer was lost."""
        other = Node(2, "beta")
        other.protocol.answer = fifty
        self.node.clock.advance(0.3)
        for packet, _ in self.node.wire.written:
            other.take(packet, ("10.0.0.1", 5428))
        self.assertEqual(len(other.wire.take()), 2)


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


class ClockTests(SynchronousTestCase):
    """Node 2's clock is five minutes ahead of node 1's."""

    def setUp(self) -> None:
        self.one, self.two = Node(1, "alpha"), Node(2, "beta", now=NOW + 300)

    def _pass(self, sender: Node, receiver: Node) -> None:
        """Carry what ``sender`` wrote to ``receiver``."""
        sent, sender.wire.written = sender.wire.written, []
        for packet, _ in sent:
            receiver.take(packet, (f"10.0.0.{1 if sender is self.one else 2}", 5428))

    def _talk(self) -> None:
        """Both send a goodbye, and whatever follows from it is carried."""
        for node in (self.one, self.two):
            node.protocol.send(Leave(0), [("10.0.0.9", 5428)])
        for _ in range(4):
            self._pass(self.one, self.two)
            self._pass(self.two, self.one)

    def test_both_sides_report_the_other_by_name_and_once(self) -> None:
        """Nothing is dropped in silence: each node knows whose clock differs, and by how much."""
        with capturedLogs() as logged:
            self._talk()
        self.assertEqual(self.one.engine.clocks, [(2, "beta", 300)])
        self.assertEqual(self.two.engine.clocks, [(1, "alpha", -300)])
        warned = [event for event in logged if event["log_level"].name == "warn"]
        self.assertEqual({event["name"] for event in warned}, {"alpha", "beta"})
        self.assertEqual(self.one.engine.received, [])
        self.assertEqual(self.one.counters()["datagrams_dropped_future"] > 0, True)
        self.assertEqual(self.two.counters()["datagrams_dropped_old"] > 0, True)
        for _ in range(5):
            for node in (self.one, self.two):
                node.clock.advance(10)
            self._talk()
        self.assertEqual((len(self.one.engine.clocks), len(self.two.engine.clocks)), (1, 1))

    def test_one_warning_is_enough_for_both(self) -> None:
        """Only one of them ever sends anything: the other one tells what it learnt from the warning."""
        for node in (self.one, self.two):
            node.wire.take()
        self.one.protocol.send(Leave(0), [("10.0.0.2", 5428)])
        for _ in range(4):
            self._pass(self.one, self.two)
            self._pass(self.two, self.one)
        self.assertEqual(self.one.engine.clocks, [(2, "beta", 300)])
        self.assertEqual(self.two.engine.clocks, [(1, "alpha", -300)])
        self.assertEqual((self.one.wire.written, self.two.wire.written), ([], []))

    def test_a_clock_that_is_right_again_can_be_news_again(self) -> None:
        """Each time it becomes wrong it is reported, not once an hour."""
        self._talk()
        for node in (self.one, self.two):
            node.clock.advance(10)
        self.one.clock.advance(300)
        self._talk()
        self.assertEqual([len(node.engine.clocks) for node in (self.one, self.two)], [1, 1])
        self.assertIn(("right clock", 2), self.one.engine.said)
        self.one.clock.advance(300)
        self._talk()
        self.assertEqual(self.one.engine.clocks, [(2, "beta", 300), (2, "beta", -300)])

    def test_a_stream_of_old_packets_gets_few_warnings(self) -> None:
        """A recording that is played again makes us send next to nothing."""
        seal = sealing(self.two.clock)
        for _ in range(100):
            self.one.take(seal(Leave(0)))
        self.assertEqual(len(self.one.wire.written), 1)

    def test_a_warning_that_was_recorded_is_not_believed(self) -> None:
        """It quotes a packet that this start of the daemon never sent."""
        seal = sealing(self.two.clock)
        for forged in (
            ClockWarning(999, 1, int(NOW * 1000), "beta"),
            ClockWarning(1000, 50, int(NOW * 1000), "beta"),
            ClockWarning(1000, 1, int((NOW - 3600) * 1000), "beta"),
        ):
            self.one.take(seal(forged))
        self.assertEqual(self.one.engine.clocks, [])

    def test_a_question_to_such_a_node_fails_at_once_and_says_why(self) -> None:
        """Who asks is not left with a time-out."""
        asked = self.one.protocol.asker.ask(OTHER, Question(0, PATH))
        self._pass(self.one, self.two)
        self._pass(self.two, self.one)
        error = self.failureResultOf(asked, TimedOut).value
        self.assertIn("beta drops what we ask", error.text)
        self.assertIn("300 s apart", error.text)
