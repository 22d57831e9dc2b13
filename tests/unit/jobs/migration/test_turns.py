"""Turns of jobs that leave or come: a number for all, and no user has all of them."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from gomd.jobs.migration.turns import MigrationTurns


class TurnTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.turns = MigrationTurns(4, 3)

    def take(self, uid: int) -> Deferred[None]:
        return Deferred.fromCoroutine(self.turns.take(uid))

    def test_one_user_cannot_keep_others_waiting(self) -> None:
        """However many jobs of theirs stand still; their own wait, in order."""
        taken = [self.take(1000) for _ in range(6)]
        self.assertEqual([each.called for each in taken], [True] * 3 + [False] * 3)
        self.successResultOf(self.take(1001))
        self.turns.release(1000)
        self.assertEqual([each.called for each in taken], [True] * 4 + [False] * 2)

    def test_all_users_together(self) -> None:
        """A turn goes to whoever has waited longest."""
        for uid in (0, 0, 1000, 1000):
            self.successResultOf(self.take(uid))
        third, other = self.take(1000), self.take(1001)
        self.turns.release(0)
        self.successResultOf(third)
        self.assertNoResult(other)
        self.turns.release(1000)
        self.successResultOf(other)
