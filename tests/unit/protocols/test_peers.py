"""Datagrams of peers: questions answered and asked."""

from __future__ import annotations

from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase

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
    Datagram,
    Question,
    Summary,
)
from libgomd.wire.sealing import DatagramKey, KeyRing
from tests.unit.protocols.wires import NOW, OTHER, PATH, Node, fifty, sealing
from tests.unit.wire.vectors import unsealed


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
