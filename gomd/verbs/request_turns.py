"""Limits how many requests that need a thread each caller may have under way, so that others find one too."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Final

from twisted.internet.defer import DeferredSemaphore
from twisted.internet.interfaces import IReactorTime

from gomd.verbs.quotas import Group, group_of, holder_of
from gomd.verbs.replies import Reply
from libgomd.deadlines import within
from libgomd.errors import TooMany
from libgomd.model import Caller

#: Largest number of such requests at once, of one caller and of a group. The pools of threads accept two
#: hundred calls (`gomd.services.threads`), so the daemon itself and admins always find a thread.
MAX_PER_CALLER: Final = 8
MAX_PER_GROUP: Final = {Group.READERS: 48, Group.USERS: 64}
#: Seconds for which a request waits in the queue.
QUEUE_TIMEOUT: Final = 10.0
#: The verbs that read or write files, look up names, or scan processes anew for each caller.
BLOCKING_VERBS: Final = frozenset(("auth", "checkpoint", "get", "ls", "ps", "renice", "signal", "where"))


class RequestTurns:
    """Queues requests while their caller or its group has enough under way. Admins do not wait."""

    def __init__(self) -> None:
        self._groups = {group: DeferredSemaphore(most) for group, most in MAX_PER_GROUP.items()}
        self._callers: dict[str, DeferredSemaphore] = {}

    def in_turn(self, clock: IReactorTime, caller: Caller, work: Awaitable[Reply]) -> Awaitable[Reply]:
        """
        Return ``work``, which begins when its turn has come.

        :raises TooMany: when awaited, if its turn has not come within `QUEUE_TIMEOUT`.
        """
        group = group_of(caller)
        return work if group is Group.ADMINS else self._wait(clock, group, holder_of(caller), work)

    async def _wait(self, clock: IReactorTime, group: Group, holder: str, work: Awaitable[Reply]) -> Reply:
        own = self._callers.setdefault(holder, DeferredSemaphore(MAX_PER_CALLER))
        taken: list[DeferredSemaphore] = []
        try:
            for places in (own, self._groups[group]):
                await _acquire(clock, places)
                taken.append(places)
            return await work
        finally:
            for places in taken:
                places.release()
            if own.tokens == MAX_PER_CALLER and self._callers.get(holder) is own:
                del self._callers[holder]
            close = getattr(work, "close", None)  # a coroutine that was never started has to be closed
            if close is not None:
                close()


async def _acquire(clock: IReactorTime, places: DeferredSemaphore) -> None:
    place = places.acquire()
    if place.called:
        return
    late = TooMany(
        f"your request waited {QUEUE_TIMEOUT:g} s for others of yours or of callers like you: try again later"
    )
    await within(clock, QUEUE_TIMEOUT, place, late)
