"""The turns of requests that need a thread: a few at once for each caller, so that others find one too."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Final

from twisted.internet.defer import CancelledError, DeferredSemaphore
from twisted.internet.interfaces import IReactorTime

from gomd.verbs.quotas import Group, group_of, holder_of
from gomd.verbs.replies import Reply
from libgomd.errors import TooMany
from libgomd.model import Caller

#: Requests of one caller, and of a group, that are worked on at once. The pools of threads have room for two
#: hundred (`gomd.services.threads`), so that what the daemon itself does, and admins, always find some.
OF_ONE: Final = 8
OF_GROUP: Final = {Group.READERS: 48, Group.USERS: 64}
#: Seconds that a request waits for its turn.
PATIENCE: Final = 10.0
#: The verbs that read or write files, look up names or scan processes for each caller anew.
ON_THREADS: Final = frozenset(("auth", "checkpoint", "get", "ls", "ps", "renice", "signal", "where"))


class RequestTurns:
    """Lets requests wait while enough of their caller or its group are worked on. Admins do not wait."""

    def __init__(self) -> None:
        self._groups = {group: DeferredSemaphore(most) for group, most in OF_GROUP.items()}
        self._callers: dict[str, DeferredSemaphore] = {}

    def in_turn(self, clock: IReactorTime, caller: Caller, work: Awaitable[Reply]) -> Awaitable[Reply]:
        """
        Return ``work``, which begins when it is its turn.

        :raises TooMany: when awaited: it was not its turn within `PATIENCE`.
        """
        group = group_of(caller)
        return work if group is Group.ADMINS else self._wait(clock, group, holder_of(caller), work)

    async def _wait(self, clock: IReactorTime, group: Group, holder: str, work: Awaitable[Reply]) -> Reply:
        own = self._callers.setdefault(holder, DeferredSemaphore(OF_ONE))
        taken: list[DeferredSemaphore] = []
        try:
            for places in (own, self._groups[group]):
                await _acquire(clock, places)
                taken.append(places)
            return await work
        finally:
            for places in taken:
                places.release()
            if own.tokens == OF_ONE and self._callers.get(holder) is own:
                del self._callers[holder]
            close = getattr(work, "close", None)  # one that was not begun: it must not be forgotten silently
            if close is not None:
                close()


async def _acquire(clock: IReactorTime, places: DeferredSemaphore) -> None:
    place = places.acquire()
    if place.called:
        return
    timer = clock.callLater(PATIENCE, place.cancel)
    try:
        await place
    except CancelledError:
        if timer.active():
            raise
        raise TooMany(
            f"your request waited {PATIENCE:g} s for others of yours or of callers like you: try again later"
        ) from None
    finally:
        if timer.active():
            timer.cancel()
