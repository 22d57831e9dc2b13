"""How many jobs leave this node, or come to it, at the same time: a number for all, and one for each user."""

from __future__ import annotations

from twisted.internet.defer import DeferredSemaphore


class MigrationTurns:
    """
    The turns of all users. Those of one user are given in order.

    A user may make a migration stand still for minutes: by a file that became a named pipe, which criu waits
    for, or by stopping what gomd runs with their rights. So one user never has all turns.

    :param total: for all users. :param per_user: for one of them.
    """

    def __init__(self, total: int, per_user: int) -> None:
        self._all = DeferredSemaphore(total)
        self._per_user = per_user
        self._of: dict[int, DeferredSemaphore] = {}

    async def take(self, uid: int) -> None:
        """Wait for a turn of user ``uid``."""
        await self._of.setdefault(uid, DeferredSemaphore(self._per_user)).acquire()
        await self._all.acquire()

    def release(self, uid: int) -> None:
        """Give a turn of user ``uid`` back."""
        self._all.release()
        own = self._of[uid]
        own.release()
        if own.tokens == own.limit:
            del self._of[uid]
