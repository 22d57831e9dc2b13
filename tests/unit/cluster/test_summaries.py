"""Values of other nodes, asked for one by one."""

from __future__ import annotations

from collections import Counter
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from gomd.cluster.summaries import (
    MAX_QUESTIONS,
    UNWATCHED_MAX_AGE,
    WATCH_TIMEOUT,
    WATCHED_MAX_AGE,
    Address,
    Summaries,
)
from libgomd.errors import TimedOut, TooMany
from libgomd.model import Node, Status
from libgomd.wire.messages import Answer, Question, Summary

HERE = ("10.0.0.3", 5428)
UP = Status.CONFIGURED | Status.UP


class SummariesTests(SynchronousTestCase):
    """One asker."""

    def setUp(self) -> None:
        self.asked: list[tuple[Address, Question, Deferred[Any]]] = []
        self.full = False
        self.summaries = Summaries(self.ask)
        self.now = 1000.0

    def ask(self, address: Address, question: Question) -> Deferred[Any]:
        """Take a question as the Asker does."""
        if self.full:
            raise TooMany("too many questions are under way")
        self.asked.append((address, question, Deferred()))
        return self.asked[-1][2]

    def step(self, seconds: float, *nodes: int) -> int:
        """Let time pass in seconds, some nodes being up; return how many questions were asked."""
        before = len(self.asked)
        for _ in range(int(seconds)):
            self.now += 1.0
            self.summaries.step(((node, HERE) for node in nodes), self.now)
        return len(self.asked) - before

    def answer(self, load: int = 44, age: float = 0.5, node: int = 3) -> None:
        """Answer the newest question."""
        self.asked[-1][2].callback(Summary.of(1, Node(node, "beta", "10.0.0.3", UP, load, age=age)))

    def load_and_age(self) -> tuple[int | None, float | None]:
        """Return what is known of node 3."""
        node, age = self.summaries.latest(3, self.now)
        assert node is not None
        return node.load, age

    def test_a_new_node_is_asked_at_once(self) -> None:
        """It alone is to answer; what it says is known from then on."""
        self.assertEqual(self.step(1, 3), 1)
        [(address, question, _)] = self.asked
        self.assertEqual((address, question.target, question.path), (HERE, 3, ""))
        self.assertEqual(self.summaries.latest(3, self.now), (None, None))
        self.answer()
        self.assertEqual(self.load_and_age(), (44, 0.5))

    def test_values_age(self) -> None:
        """Whoever looks is told how old they are now, not how old they were."""
        self.step(1, 3)
        self.answer()
        self.now += 2.0
        self.assertEqual(self.load_and_age(), (44, 2.5))

    def test_a_node_nobody_looks_at_is_left_in_peace(self) -> None:
        """It is asked once in `UNWATCHED_MAX_AGE` seconds."""
        self.step(1, 3)
        self.answer()
        self.assertEqual(self.step(UNWATCHED_MAX_AGE - 1, 3), 0)
        self.assertEqual(self.step(1, 3), 1)

    def test_a_node_that_is_looked_at_is_kept_fresh(self) -> None:
        """From the first look on, until `WATCH_TIMEOUT` seconds after the last one."""
        self.step(1, 3)
        self.answer()
        self.step(20, 3)
        self.summaries.latest(3, self.now)
        self.assertEqual(self.step(1, 3), 1)
        self.answer(45)
        for _ in range(3):
            self.assertEqual(self.step(WATCHED_MAX_AGE, 3), 1)
            self.answer(46)
        self.step(WATCH_TIMEOUT, 3)
        if not self.asked[-1][2].called:
            self.answer()
        self.assertEqual(self.step(UNWATCHED_MAX_AGE / 2, 3), 0)

    def test_a_node_that_does_not_answer_is_asked_again(self) -> None:
        """Once at a time; the old values stay, and age."""
        self.step(1, 3)
        self.answer()
        self.summaries.latest(3, self.now)
        self.assertEqual(self.step(10, 3), 1)
        self.asked[-1][2].errback(TimedOut("no answer"))
        self.assertEqual(self.step(1, 3), 1)
        self.assertEqual(self.load_and_age(), (44, 11.5))

    def test_a_node_that_has_just_started_is_asked_again_soon(self) -> None:
        """It says that it does not know its values yet; one that keeps them to itself is believed."""
        self.step(1, 3)
        self.asked[-1][2].callback(Summary.of(1, Node(3, "beta", "10.0.0.3", UP)))
        self.assertEqual(self.step(WATCHED_MAX_AGE, 3), 1)
        self.asked[-1][2].callback(Summary.of(1, Node(3, "beta", "10.0.0.3", UP | Status.QUIET)))
        self.assertEqual(self.step(UNWATCHED_MAX_AGE - 1, 3), 0)

    def test_answers_that_are_none(self) -> None:
        """A refusal, and what another node says of itself, are no values of this one."""
        self.step(1, 3)
        self.asked[-1][2].callback(Answer(1, 401, 0, b""))
        self.step(WATCHED_MAX_AGE, 3)
        self.answer(node=4)
        self.assertEqual(self.summaries.latest(3, self.now), (None, None))
        counted = {counter.name: counter.value for counter in self.summaries.counters()}
        self.assertEqual(counted, {"summaries_asked": 2, "summaries_failed": 2})

    def test_questions_are_bounded(self) -> None:
        """A cluster of hundreds is asked by and by, and too many questions elsewhere end nothing."""
        self.assertEqual(self.step(5, *range(1, 200)), MAX_QUESTIONS)
        for _, question, waiting in list(self.asked):
            waiting.callback(Summary.of(1, Node(question.target, "x", "10.0.0.3", UP)))
        self.assertEqual(self.step(1, *range(1, 200)), MAX_QUESTIONS)
        self.full = True
        for _, _, waiting in self.asked[MAX_QUESTIONS:]:
            waiting.errback(TimedOut("no answer"))
        self.assertEqual(self.step(1, *range(1, 200)), 0)
        self.full = False
        self.assertEqual(self.step(WATCHED_MAX_AGE + 1, *range(1, 200)), MAX_QUESTIONS)

    def answer_all(self) -> None:
        """Answer whatever was not answered yet."""
        for _, question, waiting in self.asked:
            if not waiting.called:
                waiting.callback(Summary.of(1, Node(question.target, "x", "10.0.0.3", UP, 44, age=0.5)))

    def test_all_of_a_large_cluster_have_their_turn(self) -> None:
        """Those that are watched are asked in turn, however many they are: none waits because of others."""
        nodes = range(1, 1001)
        for _ in range(40):
            self.step(1, *nodes)
            self.answer_all()
            for node in nodes:
                self.summaries.latest(node, self.now)
        counts = Counter(question.target for _, question, _ in self.asked)
        self.assertEqual(set(counts.values()) | {2, 3}, {2, 3})
        self.assertEqual(len(counts), 1000)

    def test_thousands_that_nobody_looks_at(self) -> None:
        """Are asked less often each, so that this costs no more than with one thousand."""
        nodes = range(1, 3001)
        for _ in range(60):
            self.step(1, *nodes)
            self.answer_all()
        before = len(self.asked)
        for _ in range(180):
            self.step(1, *nodes)
            self.answer_all()
        self.assertLessEqual((len(self.asked) - before) / 180, 1000 / UNWATCHED_MAX_AGE + 1)

    def test_a_node_that_went_is_forgotten(self) -> None:
        """Also when its answer comes late."""
        self.step(1, 3)
        self.summaries.drop(3)
        self.answer()
        self.assertEqual(self.summaries.latest(3, self.now), (None, None))

    def test_quiet_values_have_no_age(self) -> None:
        """A node that keeps its values to itself is known to be there all the same."""
        self.step(1, 3)
        quiet = Node(3, "beta", "10.0.0.3", UP | Status.QUIET)
        self.asked[-1][2].callback(Summary.of(1, quiet))
        self.assertEqual(self.summaries.latest(3, self.now + 5), (quiet, None))
