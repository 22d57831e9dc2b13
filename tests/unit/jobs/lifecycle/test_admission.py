"""Places for jobs: all, a user's share, and those that are kept for admins."""

from __future__ import annotations

from typing import NamedTuple

from twisted.trial.unittest import SynchronousTestCase

from gomd.jobs.lifecycle.admission import Admission
from libgomd.errors import TooMany
from libgomd.model import Caller, Role


class Work(NamedTuple):
    """A job of somebody."""

    uid: int


ANN, BOB = Caller(Role.USER, "ann", 1001, "unix"), Caller(Role.USER, "bob", 1002, "unix")
ROOT, KEEPER = Caller(Role.ADMIN, "root", 0, "unix"), Caller(Role.ADMIN, "kim", 1003, "token")


class RoomTests(SynchronousTestCase):
    """A node of 100 places: 50 a user, 5 kept for admins."""

    def setUp(self) -> None:
        self.room = Admission(0, 100, 0, 5.0)

    def refusal(self, caller: Caller, jobs: list[int], waiting: tuple[int, ...] = ()) -> str:
        try:
            self.room.check([Work(uid) for uid in jobs], waiting, caller)
        except TooMany as error:
            return str(error)
        return ""

    def test_one_user_cannot_take_all(self) -> None:
        """One user's share is full, another's is not. Their guests count, and what waits to be started."""
        jobs = [1001] * 50
        self.assertIn("50 are a user's share", self.refusal(ANN, jobs))
        self.assertEqual(self.refusal(BOB, jobs), "")
        self.assertIn("a user's share", self.refusal(ANN, jobs[:30], (1001,) * 20))
        self.assertEqual(self.refusal(ANN, jobs[:30], (1001,) * 19), "")

    def test_the_last_places_are_for_admins(self) -> None:
        """95 taken: neither user gets one, root and another admin do, up to the last."""
        jobs = [1001] * 48 + [1002] * 47
        self.assertIn("the last 5 places are kept for admins", self.refusal(ANN, jobs))
        self.assertEqual(self.refusal(ROOT, jobs), "")
        self.assertEqual(self.refusal(KEEPER, jobs), "")
        self.assertIn("100 jobs are under way", self.refusal(ROOT, jobs + [0] * 5))

    def test_a_daemon_of_one_user(self) -> None:
        """All places are that user's."""
        self.room = Admission(1001, 100, 0, 5.0)
        self.assertEqual(self.refusal(ANN, [1001] * 99), "")
        self.assertIn("100 jobs", self.refusal(ANN, [1001] * 100))

    def test_settings(self) -> None:
        """A share of its own, no reserve, and one place only."""
        self.room = Admission(0, 100, 10, 0.0)
        self.assertIn("10 are a user's share", self.refusal(ANN, [1001] * 10))
        self.assertEqual(self.refusal(ANN, [1002] * 99), "")
        self.room = Admission(0, 1, 0, 5.0)
        self.assertEqual(self.refusal(ANN, []), "")
        self.assertIn("1 jobs", self.refusal(ROOT, [1001]))

    def test_somebody_without_an_account(self) -> None:
        """He counts as a user that nobody else is."""
        self.assertEqual(self.refusal(Caller(Role.USER, "x", None, "token"), [1001] * 50), "")
