"""Calls that may hang for what somebody did: one for each thing, a few for each caller. No threads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from gomd.services.isolated_calls import MAX_CALLS_PER_HOLDER, IsolatedCalls
from libgomd.errors import NotFound, TimedOut, TooMany


class Begun:
    """Threads whose calls end when the test says so."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.calls: list[Callable[[], None]] = []
        self.full = False

    def start(self, limit: float, function: Callable[[], Any]) -> tuple[Deferred[Any], Deferred[None]]:
        if self.full:
            raise TooMany("no thread")
        result: Deferred[Any] = Deferred()
        over: Deferred[None] = Deferred()
        late = self.clock.callLater(limit, lambda: result.errback(TimedOut("too long")))

        def end() -> None:
            over.callback(None)
            if late.active():
                late.cancel()
                try:
                    result.callback(function())
                except Exception:
                    result.errback()

        self.calls.append(end)
        return result, over


class ApartTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.begun = Begun(self.clock)
        self.apart = IsolatedCalls(self.begun.start, self.clock)

    def test_one_call_for_a_thing_at_a_time(self) -> None:
        """The others wait, in order, and are done; nothing is left behind."""
        results = [self.apart.run(5.0, "x", at, lambda at=at: at) for at in range(3)]
        for at in range(3):
            self.assertEqual(len(self.begun.calls), at + 1)
            self.begun.calls[at]()
        self.assertEqual([self.successResultOf(result) for result in results], [0, 1, 2])
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertFalse(self.apart._running or self.apart._held or self.apart._late)

    def test_forty_for_what_hangs_take_one_thread(self) -> None:
        """All are told when the first is, later ones at once; when it comes back all goes on."""
        results = [self.apart.run(5.0, "x", at, lambda: 1) for at in range(40)]
        self.assertEqual(len(self.begun.calls), 1)
        self.clock.advance(5.0)
        for result in results:
            self.failureResultOf(result, TimedOut)
        self.assertRaises(TimedOut, self.apart.run, 5.0, "x", "new", lambda: 1)
        other = self.apart.run(5.0, "y", "new", lambda: 2)
        self.begun.calls[1]()
        self.assertEqual(self.successResultOf(other), 2)
        self.begun.calls[0]()
        again = self.apart.run(5.0, "x", "new", lambda: 3)
        self.begun.calls[2]()
        self.assertEqual(self.successResultOf(again), 3)

    def test_a_caller_holds_a_few(self) -> None:
        """More calls of the same caller wait; when all hang the caller is told so, and others are not."""
        results = [self.apart.run(5.0, at, "he", lambda: 1) for at in range(9)]
        self.assertEqual(len(self.begun.calls), MAX_CALLS_PER_HOLDER)
        self.clock.advance(5.0)
        for result in results:
            self.failureResultOf(result, TimedOut)
        self.assertRaises(TooMany, self.apart.run, 5.0, "z", "he", lambda: 1)
        other = self.apart.run(5.0, "z", "she", lambda: 1)
        self.begun.calls[-1]()
        self.assertEqual(self.successResultOf(other), 1)

    def test_an_error_is_the_callers_and_frees_the_place(self) -> None:
        def fail() -> None:
            raise NotFound("nothing")

        result = self.apart.run(5.0, "x", "he", fail)
        self.begun.calls[0]()
        self.failureResultOf(result, NotFound)
        self.begun.full = True
        self.failureResultOf(self.apart.run(5.0, "x", "he", fail), TooMany)
        self.assertFalse(self.apart._running or self.apart._held)
