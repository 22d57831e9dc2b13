"""A user whose files never answer keeps a few threads, and nobody else from moving."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from gomd.interfaces import IThreads
from gomd.jobs.migration.bounded_inspection import (
    MAX_CONCURRENT_INSPECTIONS,
    MAX_CONCURRENT_PER_USER,
    MAX_STUCK_INSPECTIONS,
    MAX_STUCK_PER_USER,
    BoundedInspection,
)
from libgomd.errors import TimedOut, TooMany


@implementer(IThreads)
class Hung:
    """Threads whose calls begin, and end or are given up when the test says so."""

    def __init__(self) -> None:
        self.calls: list[tuple[Deferred[Any], Any]] = []

    def run(self, limit: float, function: Any, *arguments: Any) -> Deferred[Any]:
        """See `IThreads.run`."""
        self.calls.append((Deferred(), lambda: function(*arguments)))
        return self.calls[-1][0]

    def run_apart(self, limit: float, key: Any, holder: Any, function: Any, *arguments: Any) -> Deferred[Any]:
        """See `IThreads.run_apart`."""
        return self.run(limit, function, *arguments)

    def give_up(self, at: int = -1) -> None:
        self.calls[at][0].errback(TimedOut("too long"))


class LooksTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.threads = Hung()
        self.inspection = BoundedInspection(self.threads)

    def look(self, name: str, uid: int = 1000) -> Deferred[int]:
        return Deferred.fromCoroutine(self.inspection.run(30.0, name, uid, lambda: 7))

    def test_an_answer(self) -> None:
        """Comes back as it is, as often as one asks; two may ask about one job."""
        for _round in range(2 * MAX_CONCURRENT_INSPECTIONS):
            one, other = self.look("1-1"), self.look("1-1")
            for answer, call in self.threads.calls[-2:]:
                answer.callback(call())
            self.assertEqual((self.successResultOf(one), self.successResultOf(other)), (7, 7))

    def test_a_job_that_does_not_answer(self) -> None:
        """It is not looked at again until the kernel has answered; other jobs are."""
        first = self.look("1-1")
        self.threads.give_up()
        self.failureResultOf(first, TimedOut)
        self.failureResultOf(self.look("1-1"), TimedOut)
        self.assertEqual(len(self.threads.calls), 1)
        self.assertNoResult(self.look("1-2"))
        self.threads.calls[0][1]()
        self.assertNoResult(self.look("1-1"))

    def test_it_answers_just_when_it_is_given_up(self) -> None:
        """Then it is not kept for hung."""
        first = self.look("1-1")
        self.threads.calls[0][1]()
        self.threads.give_up()
        self.failureResultOf(first, TimedOut)
        self.assertNoResult(self.look("1-1"))

    def test_many_that_do_not_answer(self) -> None:
        """So many threads are lost to them and no more."""
        for number in range(MAX_STUCK_INSPECTIONS):
            waiting = self.look(f"1-{number}", 1000 + number)
            self.threads.give_up()
            self.failureResultOf(waiting, TimedOut)
        self.failureResultOf(self.look("1-99"), TooMany)

    def test_one_users_that_do_not_answer(self) -> None:
        """Keep that user's other jobs, and nobody else's."""
        for number in range(MAX_STUCK_PER_USER):
            waiting = self.look(f"1-{number}")
            self.threads.give_up()
            self.failureResultOf(waiting, TimedOut)
        self.failureResultOf(self.look("1-99"), TooMany)
        self.assertNoResult(self.look("1-98", 1001))
        self.threads.calls[0][1]()
        self.assertNoResult(self.look("1-99"))

    def test_one_users_at_once(self) -> None:
        """Do not take the places of others."""
        for number in range(MAX_CONCURRENT_PER_USER):
            self.assertNoResult(self.look(f"1-{number}"))
        self.failureResultOf(self.look("1-99"), TooMany)
        self.assertNoResult(self.look("1-98", 1001))
        self.threads.calls[0][0].callback(7)
        self.assertNoResult(self.look("1-99"))

    def test_many_at_once(self) -> None:
        """More than so many are refused, until one is done."""
        for number in range(MAX_CONCURRENT_INSPECTIONS):
            self.assertNoResult(self.look(f"1-{number}", 1000 + number))
        self.failureResultOf(self.look("1-99"), TooMany)
        self.threads.calls[0][0].callback(7)
        self.assertNoResult(self.look("1-99"))
