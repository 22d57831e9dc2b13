"""The event log: recent events, and followers that receive new ones. Both are bounded."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, Iterable, Sequence
from dataclasses import replace

from twisted.internet.defer import Deferred
from zope.interface import implementer

from gomd.interfaces import IEvents
from libgomd.model import Counter, Event


class _Follower:
    """The events that one follower has not consumed yet."""

    def __init__(self, max_pending: int) -> None:
        self.pending: deque[Event] = deque(maxlen=max_pending)
        self.lost = 0
        self.wakeup: Deferred[None] | None = None

    def add(self, event: Event) -> None:
        self.lost += len(self.pending) == self.pending.maxlen
        self.pending.append(event)
        if self.wakeup is not None:
            wakeup, self.wakeup = self.wakeup, None
            wakeup.callback(None)


@implementer(IEvents)
class Events:
    """
    Keeps recent events and passes new ones to followers.

    :param keep: number of events that `recent` returns, and by which a slow follower may fall behind.
    """

    def __init__(self, keep: int = 1000) -> None:
        self._recent: deque[Event] = deque(maxlen=keep)
        self._followers: set[_Follower] = set()
        self._published = 0

    def recent(self) -> Sequence[Event]:
        """See `IEvents.recent`."""
        return tuple(self._recent)

    def publish(self, event: Event) -> None:
        """See `IEvents.publish`."""
        self._published += 1
        self._recent.append(event)
        for follower in tuple(self._followers):
            follower.add(event)

    async def follow(self) -> AsyncGenerator[Event, None]:
        """See `IEvents.follow`."""
        follower = _Follower(self._recent.maxlen or 0)
        self._followers.add(follower)
        try:
            while True:
                while follower.pending:
                    event, lost = follower.pending.popleft(), follower.lost
                    follower.lost = 0
                    yield replace(event, reason=f"{event.reason} ({lost} events lost)") if lost else event
                follower.wakeup = Deferred()
                await follower.wakeup
        finally:
            self._followers.discard(follower)

    def counters(self) -> Iterable[Counter]:
        """Return the number of events and of followers."""
        yield Counter("events", self._published, "events since the start")
        yield Counter("events_followers", len(self._followers), "connections that watch events")
