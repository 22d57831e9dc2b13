"""
Limits how many threads job inspections may occupy, so that a hung file system cannot exhaust the pool.

A thread that is stuck in the kernel cannot be cancelled. Without a bound a user could occupy all of them, one
inspection at a time, and nobody's migration could write its journal any more.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Final, TypeVar

from gomd.interfaces import IThreads
from libgomd.errors import TimedOut, TooMany

T = TypeVar("T")
#: Maximum number of inspections at the same time.
MAX_CONCURRENT_INSPECTIONS: Final = 16
#: Maximum number of them that are past their timeout and still occupy a thread.
MAX_STUCK_INSPECTIONS: Final = 4


class BoundedInspection:
    """:param threads: shared with others; there are more than `MAX_CONCURRENT_INSPECTIONS`."""

    def __init__(self, threads: IThreads) -> None:
        self._threads = threads
        self._running = 0
        self._stuck: set[str] = set()

    async def run(self, timeout: float, job: str, inspect: Callable[..., T], *arguments: Any) -> T:
        """
        Return what ``inspect`` returns, and raise what it raises. It blocks, and runs on a thread.

        :param timeout: seconds. :param job: the name of the job that is inspected.
        :raises TimedOut: it takes longer, or an earlier inspection of the same job has not ended yet.
        :raises TooMany: too many inspections are running.
        """
        if job in self._stuck:
            raise TimedOut(f"the kernel does not answer what job {job} has open, or about its files")
        if self._running >= MAX_CONCURRENT_INSPECTIONS or len(self._stuck) >= MAX_STUCK_INSPECTIONS:
            raise TooMany(f"{self._running} jobs are being inspected on this node already: try again later")
        ended: list[bool] = []

        @wraps(inspect)
        def work(*arguments: Any) -> T:
            try:
                return inspect(*arguments)
            finally:
                ended.append(True)
                self._stuck.discard(job)

        self._running += 1
        try:
            found: T = await self._threads.run(timeout, work, *arguments)
        except TimedOut:
            self._stuck.add(job)
            if ended:  # it ended at the same moment
                self._stuck.discard(job)
            raise
        finally:
            self._running -= 1
        return found
