"""
Whose turn it is to start a job: few at once, few of one user among them, and nobody waits for another's disk.

A turn lasts until the supervisor of the job has received what it is to run, which takes milliseconds. What
the program does from there, such as waiting for a directory that does not answer, holds up nobody.
"""

from __future__ import annotations

from collections.abc import Iterator

from twisted.internet.defer import DeferredSemaphore

#: Supervisors that are being started at the same time, and starts of one user under way.
AT_ONCE, OF_ONE = 32, 16


class StartQueue:
    """The turns of all users. A user's come in their order."""

    def __init__(self) -> None:
        self._all = DeferredSemaphore(AT_ONCE)
        self._of: dict[int, DeferredSemaphore] = {}

    def waiting(self) -> Iterator[int]:
        """Yield the user of each start that waits for its own user's turn."""
        for uid, turns in self._of.items():
            for _ in turns.waiting:
                yield uid

    def turn(self, uid: int) -> StartSlot:
        """Return a turn of user ``uid``, to be taken."""
        return StartSlot(self, uid)

    async def take(self, uid: int) -> None:
        """Wait for a turn of that user."""
        await self._of.setdefault(uid, DeferredSemaphore(OF_ONE)).acquire()

    def release(self, uid: int) -> None:
        """Give it back."""
        turns = self._of[uid]
        turns.release()
        if turns.tokens == turns.limit:
            del self._of[uid]

    async def launch(self) -> None:
        """Wait until a supervisor may be started."""
        await self._all.acquire()

    def launched(self) -> None:
        """Let another one be started."""
        self._all.release()


class StartSlot:
    """A turn of one user: to start a job, and then to start a supervisor on this node."""

    def __init__(self, turns: StartQueue, uid: int) -> None:
        self._turns = turns
        self._uid = uid
        self._taken = False
        self._launching = False

    async def take(self) -> None:
        """Wait for it."""
        if not self._taken:
            await self._turns.take(self._uid)
            self._taken = True

    async def launch(self) -> None:
        """Wait until a supervisor may be started here."""
        await self._turns.launch()
        self._launching = True

    def release(self) -> None:
        """Give back what is taken. May be done again."""
        if self._launching:
            self._launching = False
            self._turns.launched()
        if self._taken:
            self._taken = False
            self._turns.release(self._uid)
