"""Reports problems of the cluster that a person must solve, each at most once an hour."""

from __future__ import annotations

from typing import ClassVar, Final

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from gomd.interfaces import IEvents
from libgomd.model import Event, EventKind
from libgomd.wallclock import Wall

#: Seconds after which a problem that is still there is reported again.
REPEAT_AFTER: Final = 3600.0
#: Maximum number of problems that are remembered as reported; more are not reported.
MAX_REPORTED: Final = 1000


class ProblemReports:
    """:param own_id: of this node, which reports. :param wall: gives the time stamp of events."""

    _log: ClassVar[Logger] = Logger()

    def __init__(self, own_id: int, clock: IReactorTime, events: IEvents, wall: Wall) -> None:
        self._own_id = own_id
        self._clock = clock
        self._events = events
        self._wall = wall
        self._reported_at: dict[str, float] = {}

    def report(self, node: int, name: str, reason: str, key: str = "") -> None:
        """
        Log and publish a problem with a node, unless it was reported within the last hour.

        :param reason: what is wrong and what to do. :param key: names the problem; its reason unless given.
        """
        now = self._clock.seconds()
        self._reported_at = {text: at for text, at in self._reported_at.items() if now - at < REPEAT_AFTER}
        if (key or reason) not in self._reported_at and len(self._reported_at) < MAX_REPORTED:
            self._reported_at[key or reason] = now
            self._log.warn("{name}: {reason}", name=name, reason=reason)
            self._events.publish(Event(self._wall(), EventKind.SUSPECT, node, name, reason, self._own_id))

    def solved(self, key: str) -> None:
        """Note that a problem is over, so that it is reported when it comes back."""
        self._reported_at.pop(key, None)
