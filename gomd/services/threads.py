"""The threads for what blocks: /proc, disks, token files. A call that hangs costs its own thread only."""

from __future__ import annotations

from collections.abc import Callable
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
from libgomd.errors import TimedOut, TooMany

R = TypeVar("R")


class _DaemonThread(Thread):
    """A thread that does not keep the process alive."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs, daemon=True)


class _Pool(ThreadPool):
    """Threads that a stuck read in /proc cannot make outlive the daemon."""

    threadFactory = _DaemonThread


@implementer(IThreads)
class Threads(Service):
    """
    A bounded pool of threads whose callers never wait longer than they said.

    :param clock: gives the time limits.
    :param size: most calls at once; more than that many wait in line, within their own limits.
    :param waiting: most calls in line; beyond them `TooMany` is raised at once.
    """

    _log: ClassVar[Logger] = Logger()

    def __init__(
        self, reactor: IReactorFromThreads, clock: IReactorTime, name: str, size: int, waiting: int = 200
    ) -> None:
        self._reactor = reactor
        self._clock = clock
        self._pool = _Pool(minthreads=0, maxthreads=size, name=name)
        self._name = name
        self._most = size + waiting
        self._under_way = 0

    def startService(self) -> None:
        """Start the pool; its threads come when they are first needed."""
        super().startService()
        self._pool.start()

    def stopService(self) -> None:
        """Let each thread end when its call does; one that hangs is a daemon thread and ends with us."""
        super().stopService()
        self._pool.adjustPoolsize(0, 0)

    def run(self, limit: float, function: Callable[..., R], *arguments: Any) -> Deferred[R]:
        """See `IThreads.run`."""
        if self._under_way >= self._most:
            raise TooMany(f"{self._under_way} calls wait for a thread of {self._name}: try again later")
        self._under_way += 1
        result: Deferred[R] = Deferred()
        call = deferToThreadPool(self._reactor, self._pool, function, *arguments)
        expiry = self._clock.callLater(limit, self._expire, result, function, limit)

        def finished(outcome: R | Failure) -> None:
            self._under_way -= 1
            if expiry.active():
                expiry.cancel()
            if not result.called:
                result.callback(outcome)
            elif isinstance(outcome, Failure):
                self._log.debug("a call given up on failed after all: {error}", error=outcome.value)

        call.addBoth(finished)
        return result

    def _expire(self, result: Deferred[Any], function: Callable[..., Any], limit: float) -> None:
        if not result.called:
            name = getattr(function, "__qualname__", repr(function))
            result.errback(TimedOut(f"{name} took longer than {limit:g} s: try again later"))
