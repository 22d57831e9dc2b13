"""The body of a round: one JSON object for all viewers, made once, whoever comes, goes or is late."""

from __future__ import annotations

import json

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from gomd.verbs.replies import File, Reply, Rows, ValueReply
from gomd.verbs.rounds import Round
from libgomd.model import Name


class BodyTests(SynchronousTestCase):
    """A table of a hundred rows, and other answers."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.made: list[str] = []
        self.round = Round(Rows("", [Name(f"n{number}") for number in range(100)], ()), True, 0.0)

    def ask(self) -> Deferred[str]:
        """Ask for the body."""
        return Deferred.fromCoroutine(self.round.body(self.clock, self._make))

    def _make(self, text: str) -> str:
        self.made.append(text)
        return text

    def pass_turns(self) -> None:
        """Let as many turns of the reactor pass as there is something to do."""
        self.clock.advance(0)

    def test_it_is_made_once_for_all(self) -> None:
        """Some at a time; who comes later gets it at once."""
        viewers = [self.ask() for _ in range(3)]
        self.assertEqual(self.made, [])
        self.pass_turns()
        texts = [self.successResultOf(each) for each in viewers]
        self.assertEqual(len(json.loads(texts[0])["rows"]), 100)
        self.assertEqual(texts, [self.successResultOf(self.ask())] * 3)
        self.assertEqual(len(self.made), 1)

    def test_a_round_that_is_replaced_meanwhile_is_made_once_too(self) -> None:
        """Or a busy machine would make it for each viewer, and be late for ever."""
        viewers = [self.ask() for _ in range(3)]
        self.round.retire()
        self.pass_turns()
        self.assertEqual(len({self.successResultOf(each) for each in viewers}), 1)
        self.assertEqual(len(self.made), 1)

    def test_who_leaves_takes_nothing_away(self) -> None:
        """Neither the one that makes it, nor one that waits."""
        first, second, third = self.ask(), self.ask(), self.ask()
        for gone in (first, second):
            gone.cancel()
            self.failureResultOf(gone, CancelledError)
        self.pass_turns()
        self.assertEqual(self.made, [self.successResultOf(third)])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_other_answers(self) -> None:
        """A value, a file, and an empty table."""
        answers: tuple[tuple[Reply, object], ...] = (
            (ValueReply("7", 7), {"value": 7}),
            (File("/proc/x", ["a", "b"]), {"value": {"path": "/proc/x", "text": "a\nb"}}),
            (Rows("", [], ()), {"rows": []}),
        )
        for answer, value in answers:
            self.round = Round(answer, True, 0.0)
            asked = self.ask()
            self.pass_turns()
            self.assertEqual(json.loads(self.successResultOf(asked)), value)
