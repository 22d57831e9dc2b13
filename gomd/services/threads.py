"""
Threads for calls that block: /proc, disks, token files. A call that hangs costs only its own thread.

A thread that waits in the kernel cannot be interrupted. For each call that exceeds its time limit, the pool
therefore gets another thread, up to a bound, until that call returns. Calls that users can make hang are
limited for each user (`IsolatedCalls`).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from threading import Thread
from typing import Any, ClassVar, TypeVar

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFromThreads, IReactorTime
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool
from zope.interface import implementer

from gomd.interfaces import IThreads
from gomd.services.isolated_calls import IsolatedCalls
from gomd.services.time_limits import TimeLimits
from libgomd.errors import TimedOut, TooMany

R = TypeVar("R")


class _DaemonThread(Thread):
    """A thread that does not keep the process alive."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs, daemon=True)


class _Pool(ThreadPool):
    """A pool of threads that do not outlive the daemon, even if a read in /proc hangs."""

    threadFactory = _DaemonThread


@implementer(IThreads)
class Threads(Service):
    """
    A bounded pool of threads; no call waits longer than its time limit.

    :param clock: measures the time limits.
    :param size: largest number of calls at once; further ones wait in the queue, within their own limits.
    :param waiting: largest number of calls in the queue; beyond it `TooMany` is raised at once.
    :param spare: largest number of extra threads, one for each call that has exceeded its limit.
    :param finish: seconds for which a stop waits for the calls under way.
    """

    _log: ClassVar[Logger] = Logger()

    def __init__(
        self,
        reactor: IReactorFromThreads,
        clock: IReactorTime,
        name: str,
        size: int,
        waiting: int = 200,
        spare: int = 32,
        finish: float = 0.0,
    ) -> None:
        self._reactor = reactor
        self._clock = clock
        self._size = size
        self._spare = spare
        self._finish = finish
        self._late = 0
        self._ended: Deferred[None] | None = None
        self._limits = TimeLimits(clock)
        self._apart = IsolatedCalls(self._start, clock)
        self._pool = _Pool(minthreads=0, maxthreads=size, name=name)
        self._name = name
        self._most = size + waiting
        self._under_way = 0

    def startService(self) -> None:
        """Start the pool; its threads are made when they are first needed."""
        super().startService()
        self._limits.open()
        self._pool.adjustPoolsize(0, self._size)
        self._pool.start()

    def stopService(self) -> Deferred[None] | None:
        """Let each thread end after its call; one that hangs ends with the process."""
        super().stopService()
        self._limits.close()
        if not self._finish or not self._under_way:
            self._pool.adjustPoolsize(0, 0)
            return None
        self._ended = Deferred()
        late = self._clock.callLater(self._finish, self._end)  # not `within`: that it is late is no error

        def ended(result: None) -> None:
            if late.active():
                late.cancel()
            self._pool.adjustPoolsize(0, 0)

        return self._ended.addCallback(ended)

    def _end(self) -> None:
        ended, self._ended = self._ended, None
        if ended is not None:
            ended.callback(None)

    def run(self, limit: float, function: Callable[..., R], *arguments: Any) -> Deferred[R]:
        """See `IThreads.run`."""
        return self._start(limit, function, *arguments)[0]

    def _start(
        self, limit: float, function: Callable[..., R], *arguments: Any
    ) -> tuple[Deferred[R], Deferred[None]]:
        """Return the result, and a Deferred that fires when the thread is free again, however late."""
        if self._under_way - self._late >= self._most:
            raise TooMany(f"{self._under_way} calls wait for a thread of {self._name}: try again later")
        self._under_way += 1
        result: Deferred[R] = Deferred()
        over: Deferred[None] = Deferred()
        begun: list[bool] = []
        spared: list[bool] = []

        def work() -> R:
            if result.called:  # its limit has passed in the queue, so its result is not wanted any more
                raise TimedOut("given up before it began")
            begun.append(True)
            return function(*arguments)

        call = deferToThreadPool(self._reactor, self._pool, work)

        def expire() -> None:
            if begun and self._late < self._spare:
                spared.append(True)
                self._late += 1
                self._adjust()
            self._expire(result, function, limit)

        expiry = self._limits.add(limit, expire)  # not `within`: the thread goes on, and is counted

        def finished(outcome: R | Failure) -> None:
            self._under_way -= 1
            if spared:
                self._late -= 1
                self._adjust()
            self._limits.remove(expiry)
            over.callback(None)
            if not result.called:
                result.callback(outcome)
            elif isinstance(outcome, Failure):
                self._log.debug("a call given up on failed after all: {error}", error=outcome.value)
            if not self._under_way:
                self._end()

        call.addBoth(finished)
        return result, over

    def run_apart(
        self, limit: float, key: Hashable, holder: Hashable, function: Callable[..., R], *arguments: Any
    ) -> Deferred[R]:
        """See `IThreads.run_apart`."""
        return self._apart.run(limit, key, holder, function, *arguments)

    def _adjust(self) -> None:
        """Keep ``size`` threads beside those that hang; a call in the queue gets one at once."""
        if not self.running:
            return
        most = self._size + self._late
        if most > self._pool.max and self._under_way > self._size:
            self._pool.adjustPoolsize(min(most, self._pool.workers + 1), most)
        self._pool.adjustPoolsize(0, most)

    def _expire(self, result: Deferred[Any], function: Callable[..., Any], limit: float) -> None:
        if not result.called:
            name = getattr(function, "__qualname__", repr(function))
            result.errback(TimedOut(f"{name} took longer than {limit:g} s: try again later"))
