"""
Limits how many threads job inspections may occupy, so that a hung file system cannot exhaust the pool.

A thread that is stuck in the kernel cannot be cancelled. Without a bound a user could occupy all of them, one
inspection at a time, and nobody's migration could write its journal any more. Each user has a part of the
bound, so that what one has made hang does not keep the jobs of others from moving.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import wraps
from typing import Any, Final, TypeVar

from gomd.interfaces import IThreads
from libgomd.errors import TimedOut, TooMany

T = TypeVar("T")
#: Maximum number of inspections at the same time.
MAX_CONCURRENT_INSPECTIONS: Final = 16
#: Maximum number of those of one user's jobs.
MAX_CONCURRENT_PER_USER: Final = 8
#: Maximum number of inspections that are past their timeout and still occupy a thread, and of one user's.
MAX_STUCK_INSPECTIONS: Final = 12
MAX_STUCK_PER_USER: Final = 4


class BoundedInspection:
    """:param threads: shared with others; there are more than `MAX_CONCURRENT_INSPECTIONS`."""

    def __init__(self, threads: IThreads) -> None:
        self._threads = threads
        self._running: Counter[int] = Counter()
        self._stuck: dict[str, int] = {}

    async def run(self, timeout: float, job: str, uid: int, inspect: Callable[..., T], *arguments: Any) -> T:
        """
        Return what ``inspect`` returns, and raise what it raises. It blocks, and runs on a thread.

        :param timeout: seconds. :param job: the name of the job that is inspected. :param uid: its user.
        :raises TimedOut: it takes longer, or an earlier inspection of the same job has not ended yet.
        :raises TooMany: too many inspections are running.
        """
        if job in self._stuck:
            raise TimedOut(f"the kernel does not answer what job {job} has open, or about its files")
        running, stuck = self._running.total(), list(self._stuck.values())
        if running >= MAX_CONCURRENT_INSPECTIONS or len(stuck) >= MAX_STUCK_INSPECTIONS:
            raise TooMany(f"{running} jobs are being inspected on this node already: try again later")
        if self._running[uid] >= MAX_CONCURRENT_PER_USER or stuck.count(uid) >= MAX_STUCK_PER_USER:
            raise TooMany(
                f"{self._running[uid]} jobs of its user are being inspected on this node, and the kernel "
                f"does not answer about {stuck.count(uid)}: try again later"
            )
        ended: list[bool] = []

        @wraps(inspect)
        def work(*arguments: Any) -> T:
            try:
                return inspect(*arguments)
            finally:
                ended.append(True)
                self._stuck.pop(job, None)

        self._running[uid] += 1
        try:
            found: T = await self._threads.run(timeout, work, *arguments)
        except TimedOut:
            self._stuck[job] = uid
            if ended:  # it ended at the same moment
                self._stuck.pop(job, None)
            raise
        finally:
            self._running -= Counter((uid,))  # forgets who has none
        return found
