"""
Limits how many threads job inspections may occupy, so that a hung file system cannot exhaust the pool.

A thread in the kernel cannot be called back. Without a bound a user could take all of them, one look at a
time, and with them the journal of everybody's migrations.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Final, TypeVar

from gomd.interfaces import IThreads
from libgomd.errors import TimedOut, TooMany

T = TypeVar("T")
#: BoundedInspection at the same time, and those among them that took too long and are not back yet.
MOST: Final = 10
STUCK: Final = 4


class BoundedInspection:
    """:param threads: shared with others; there are more than `MOST`."""

    def __init__(self, threads: IThreads) -> None:
        self._threads = threads
        self._out = 0
        self._stuck: set[str] = set()

    async def do(self, limit: float, name: str, look: Callable[..., T], *arguments: Any) -> T:
        """
        Return what ``look`` returns, and raise what it raises. It blocks, on a thread.

        :param limit: seconds. :param name: of the job.
        :raises TimedOut: it takes longer, or an earlier one for the same job still does.
        :raises TooMany: too many are under way.
        """
        if name in self._stuck:
            raise TimedOut(f"the kernel does not answer what job {name} has open, or about its files")
        if self._out >= MOST or len(self._stuck) >= STUCK:
            raise TooMany(f"{self._out} jobs are being looked at on this node already: try again later")
        back: list[bool] = []

        @wraps(look)
        def work(*arguments: Any) -> T:
            try:
                return look(*arguments)
            finally:
                back.append(True)
                self._stuck.discard(name)

        self._out += 1
        try:
            found: T = await self._threads.run(limit, work, *arguments)
        except TimedOut:
            self._stuck.add(name)
            if back:  # at this very moment
                self._stuck.discard(name)
            raise
        finally:
            self._out -= 1
        return found
