"""Threads for what blocks: limits, bounds and an end that waits for nobody. Real threads, no real time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import Queue
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from gomd.interfaces import IThreads
from gomd.services.threads import Threads
from libgomd.errors import NotFound, TimedOut, TooMany

#: Seconds a thread may take to do nothing, on a machine that is busy.
PATIENCE = 20.0


class _Calls:
    """As much of a reactor as threads need: a queue of what they want done."""

    def __init__(self) -> None:
        self._calls: Queue[Callable[[], Any]] = Queue()

    def callFromThread(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        self._calls.put(lambda: function(*args, **kwargs))

    def do_one(self) -> None:
        """Wait for the next call from a thread, and do it."""
        self._calls.get(timeout=PATIENCE)()


class ThreadsTests(SynchronousTestCase):
    """What a caller of `IThreads` sees."""

    def setUp(self) -> None:
        self.clock, self.calls = Clock(), _Calls()
        self.threads = Threads(self.calls, self.clock, "test", size=2, waiting=3)  # type: ignore[arg-type]
        self.threads.startService()
        self.addCleanup(self.threads.stopService)
        self.free = threading.Event()
        self.addCleanup(self.free.set)

    def test_it_is_what_it_promises(self) -> None:
        verifyObject(IThreads, self.threads)

    def test_results_and_errors_come_back(self) -> None:
        """From another thread; nothing is left on the clock."""
        result = self.threads.run(1.0, lambda word: (word, threading.current_thread()), "hello")
        self.calls.do_one()
        word, thread = self.successResultOf(result)
        self.assertEqual(word, "hello")
        self.assertIsNot(thread, threading.current_thread())

        def fail() -> None:
            raise NotFound("nothing there")

        failing = self.threads.run(1.0, fail)
        self.calls.do_one()
        self.failureResultOf(failing, NotFound)
        self.clock.advance(1.0)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_nobody_waits_longer_than_they_said(self) -> None:
        """`TimedOut`; what comes of it later is dropped, an error too."""

        def hang() -> None:
            self.free.wait(PATIENCE)
            raise NotFound("too late")

        result = self.threads.run(1.5, hang)
        self.clock.advance(1.4)
        self.assertNoResult(result)
        self.clock.advance(0.2)
        self.assertIn("1.5 s", str(self.failureResultOf(result, TimedOut).value))
        self.free.set()
        self.calls.do_one()
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_calls_that_hang_take_only_so_many_threads(self) -> None:
        """More wait in line, still more are refused at once; when one ends all goes on."""
        results = [self.threads.run(9.0, self.free.wait, PATIENCE) for _ in range(5)]
        self.assertRaises(TooMany, self.threads.run, 9.0, lambda: None)
        self.free.set()
        for _ in results:
            self.calls.do_one()
        for result in results:
            self.assertTrue(self.successResultOf(result))
        again = self.threads.run(9.0, lambda: 7)
        self.calls.do_one()
        self.assertEqual(self.successResultOf(again), 7)

    def test_who_hangs_past_their_limit_has_a_thread_of_their_own(self) -> None:
        """Two that hang are not missed: as many others are done beside them."""
        begun = threading.Semaphore(0)

        def hang() -> bool:
            begun.release()
            return self.free.wait(PATIENCE)

        late = [self.threads.run(1.0, hang) for _ in range(2)]
        waiting = self.threads.run(9.0, lambda: 7)
        self.assertNoResult(waiting)
        for _ in late:
            self.assertTrue(begun.acquire(timeout=PATIENCE))
        self.clock.advance(1.5)
        for result in late:
            self.failureResultOf(result, TimedOut)
        self.calls.do_one()
        self.assertEqual(self.successResultOf(waiting), 7)
        self.free.set()
        for _ in late:
            self.calls.do_one()
        self.assertEqual(self.threads._pool.max, 2)

    def test_a_call_that_waited_past_its_limit_is_not_begun(self) -> None:
        """Its caller has gone; it would only keep a thread from others."""
        hanging = [self.threads.run(9.0, self.free.wait, PATIENCE) for _ in range(2)]
        began: list[bool] = []
        late = self.threads.run(1.0, lambda: began.append(True))
        self.clock.advance(1.5)
        self.failureResultOf(late, TimedOut)
        self.free.set()
        for _ in (*hanging, late):
            self.calls.do_one()
        self.assertEqual(began, [])

    def test_the_end_waits_for_what_is_being_written(self) -> None:
        """Where it is asked to, and no longer than that."""
        for seconds in (0.0, 3.0):
            self.free.clear()
            threads = Threads(self.calls, self.clock, "end", size=1, finish=3.0)  # type: ignore[arg-type]
            threads.startService()
            threads.run(9.0, self.free.wait, PATIENCE)
            ended = threads.stopService()
            assert ended is not None
            self.assertNoResult(ended)
            self.clock.advance(seconds)
            self.free.set()
            self.calls.do_one()
            self.successResultOf(ended)

    def test_a_call_that_hangs_does_not_hold_up_the_end(self) -> None:
        """Its thread is one that the process need not wait for."""
        begun = threading.Event()
        seen: list[threading.Thread] = []

        def hang() -> None:
            seen.append(threading.current_thread())
            begun.set()
            self.free.wait(PATIENCE)

        self.threads.run(9.0, hang)
        self.assertTrue(begun.wait(PATIENCE))
        self.threads.stopService()
        self.assertTrue(seen[0].daemon)
        self.threads.startService()
