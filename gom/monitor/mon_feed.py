"""What `gom mon` follows: the nodes as one daemon knows them, and the migrations that all of them know of."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator
from typing import Any, Final

from gom.monitor.mon_arrivals import Arrivals
from gom.monitor.mon_fetch import MIGRATIONS, NODES, place_of
from gom.monitor.mon_model import ClusterView, presentable
from gom.monitor.mon_moves import Move, moves_of, recent
from gom.monitor.rows import EventRow, node_of, parse
from gom.monitor.subscription import DaemonEndpoints, Subscription, rounds_of
from libgomd.wallclock import Wall
from libgomd.wire.lines import Request

#: Seconds between two looks at the migrations, at least, and of how many nodes a second they are asked for:
#: migrations take seconds themselves, and need not cost more than the table of nodes.
MOVES_PERIOD: Final = 2.0
NODES_PER_SECOND: Final = 100
_WHOAMI: Final = Request("whoami")
_Work = Generator[None, None, None]


class MonFeed:
    """
    Follows a cluster. Its two subscriptions run on threads of their own, and reconnect by themselves.

    :param period: seconds from round to round. :param wall: for the ages of migrations.
    :param changed: called, on any thread, when `cluster` gives something new.
    """

    def __init__(
        self,
        place: DaemonEndpoints,
        period: float,
        wall: Wall,
        changed: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._place = place
        self._period = period
        self._wall = wall
        self._changed = changed
        self._clock = clock
        self._lock = threading.Lock()
        self._latest: dict[str, Any] = {}
        self._moves: tuple[Move, ...] = ()
        self._arrivals = Arrivals()
        self._fresh_at = clock()
        self._troubles: dict[Subscription, str] = {}
        self._following: list[Subscription] = []

    def start(self) -> None:
        """Begin to follow; returns at once."""
        for work in (self._nodes, self._migrations):
            subscription = Subscription(self._place, work, self._said)
            self._following.append(subscription)
            subscription.start()

    def stop(self) -> None:
        """End the subscriptions. Does not wait for them."""
        for each in self._following:
            each.stop()

    def cluster(self) -> ClusterView:
        """Return what is known now."""
        with self._lock:
            trouble = next(iter(self._troubles.values()), "")
            age = self._clock() - self._fresh_at
            return ClusterView(
                **self._latest, moves=recent(self._moves, self._wall()), trouble=trouble, trouble_age=age
            )

    def _said(self, subscription: Subscription, sentence: str) -> None:
        with self._lock:
            if sentence and not subscription.stopped:
                self._troubles[subscription] = sentence
            else:
                self._troubles.pop(subscription, None)
        self._changed()

    def _nodes(self, subscription: Subscription) -> _Work:
        request = Request("watch", ("-n", f"{self._period:g}", "nodes"))
        line = self._place.line(request)
        asked, standard = place_of(line)
        for lines in rounds_of(subscription.open(line, request).chunks()):
            nodes = presentable([node_of(parse(each)) for each in lines])
            with self._lock:
                self._latest = {"nodes": nodes, "asked": asked, "standard": standard}
                self._fresh_at = self._clock()
            self._changed()
            yield

    def _migrations(self, subscription: Subscription) -> _Work:
        line = self._place.line(NODES)
        count, _, _ = line.ask(NODES, line.timeout).text.partition(" ")  # 500 nodes, 498 up
        nodes = int(count) if count.isdecimal() else 1
        period = max(MOVES_PERIOD, nodes / NODES_PER_SECOND)
        request = Request("watch", ("-n", f"{period:g}", *MIGRATIONS))
        line.ask(_WHOAMI, line.timeout)  # the rest of the first answer is dropped
        before: list[EventRow] = []
        self._arrivals.begin()
        for lines in rounds_of(subscription.open(line, request).chunks()):
            events = self._arrivals.stamped(map(parse, lines), self._wall())
            if events != before:
                before = events
                with self._lock:
                    self._moves = moves_of(events, self._wall())
                self._changed()
            yield
