"""
Limits how many jobs are started at once, in total and for each user.

A slot is occupied until the supervisor of the job has received its job, which takes milliseconds.
What the program does afterwards, such as waiting for a file system that hangs, delays no other start.
"""

from __future__ import annotations

from collections.abc import Iterator

from twisted.internet.defer import DeferredSemaphore

#: Maximum number of supervisors that are being started at the same time.
MAX_CONCURRENT_STARTS = 32
#: Maximum number of concurrent starts of one user.
MAX_STARTS_A_USER = 16


class StartQueue:
    """The slots of all users. The starts of one user get their slots in order."""

    def __init__(self) -> None:
        self._all = DeferredSemaphore(MAX_CONCURRENT_STARTS)
        self._of: dict[int, DeferredSemaphore] = {}

    def waiting(self) -> Iterator[int]:
        """Yield the user id of each start that waits for a slot."""
        for uid, slots in self._of.items():
            for _ in slots.waiting:
                yield uid

    def slot(self, uid: int) -> StartSlot:
        """Return a slot of user ``uid`` that is not taken yet."""
        return StartSlot(self, uid)

    async def take(self, uid: int) -> None:
        """Wait for a slot of user ``uid``."""
        await self._of.setdefault(uid, DeferredSemaphore(MAX_STARTS_A_USER)).acquire()

    def release(self, uid: int) -> None:
        """Give a slot of user ``uid`` back."""
        slots = self._of[uid]
        slots.release()
        if slots.tokens == slots.limit:
            del self._of[uid]

    async def launch(self) -> None:
        """Wait until a supervisor may be started."""
        await self._all.acquire()

    def launched(self) -> None:
        """Allow another supervisor to be started."""
        self._all.release()


class StartSlot:
    """A slot of one user: to start a job, and then to start a supervisor on this node."""

    def __init__(self, queue: StartQueue, uid: int) -> None:
        self._queue = queue
        self._uid = uid
        self._taken = False
        self._launching = False

    async def take(self) -> None:
        """Wait for the slot. Returns at once if it is taken already."""
        if not self._taken:
            await self._queue.take(self._uid)
            self._taken = True

    async def launch(self) -> None:
        """Wait until a supervisor may be started here."""
        await self._queue.launch()
        self._launching = True

    def release(self) -> None:
        """Give back everything that is taken. It may be called again."""
        if self._launching:
            self._launching = False
            self._queue.launched()
        if self._taken:
            self._taken = False
            self._queue.release(self._uid)
