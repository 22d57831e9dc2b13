"""Turns to start a job: nobody waits for what another user starts."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from gomd.jobs.lifecycle.start_queue import MAX_CONCURRENT_STARTS, MAX_STARTS_A_USER, StartQueue, StartSlot


class TurnsTests(SynchronousTestCase):
    """Starts of two users."""

    def setUp(self) -> None:
        self.turns = StartQueue()

    def take(self, uid: int) -> tuple[StartSlot, Deferred[None]]:
        turn = self.turns.slot(uid)
        return turn, Deferred.fromCoroutine(turn.take())

    def test_a_user_waits_for_himself_alone(self) -> None:
        """A user's next start waits until one of theirs is over; another user's begins at once."""
        taken = [self.take(1001) for _ in range(MAX_STARTS_A_USER)]
        for _turn, waited in taken:
            self.successResultOf(waited)
        _turn, late = self.take(1001)
        self.assertNoResult(late)
        self.assertEqual(list(self.turns.waiting()), [1001])
        _turn, other = self.take(1002)
        self.successResultOf(other)
        taken[0][0].release()
        self.successResultOf(late)

    def test_a_turn_is_given_back_once(self) -> None:
        """However often that is said; and it can be taken again, for another node."""
        turn, waited = self.take(1001)
        self.successResultOf(waited)
        self.successResultOf(Deferred.fromCoroutine(turn.launch()))
        turn.release()
        turn.release()
        self.successResultOf(Deferred.fromCoroutine(turn.take()))
        turn.release()
        self.assertEqual(self.turns._of, {})
        self.assertEqual(self.turns._all.tokens, MAX_CONCURRENT_STARTS)

    def test_supervisors_that_are_started_at_once(self) -> None:
        """They are few, of all users together."""
        turns = [self.turns.slot(1000 + number) for number in range(MAX_CONCURRENT_STARTS + 1)]
        launched = []
        for turn in turns:
            self.successResultOf(Deferred.fromCoroutine(turn.take()))
            launched.append(Deferred.fromCoroutine(turn.launch()))
        self.assertNoResult(launched[-1])
        turns[0].release()
        self.successResultOf(launched[-1])
