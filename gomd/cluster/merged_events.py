"""
One event per change when several membership engines watch the same nodes.

Theory of operation. A node is up when any engine has it up. The first engine that has it up makes its `join`
or `up`, the last one that loses it makes its `leave` or `down`; a goodbye that another engine heard before is
the better reason. A daemon that was started again is gone and back with one engine before the other has
noticed: that is told once, by the first, and what the others say of it later is left out.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from typing import Final

from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from gomd.cluster.isolation import BEGIN_OF_ISOLATION, END_OF_ISOLATION
from gomd.interfaces import IEvents
from libgomd.model import Event, EventKind

#: Seconds within which the same sentence about a node is told once.
SAME_WITHIN: Final = 10.0
_HERE: Final = (EventKind.JOIN, EventKind.UP)
_GONE: Final = (EventKind.LEAVE, EventKind.DOWN)


class _Watched:
    """
    One node.

    :ivar up: the engines that have it up. :ivar lost: the events of those that lost it while others have it.
    :ivar stale: the engines that have not noticed its new start. :ivar suspects: those that suspect it.
    """

    __slots__ = ("lost", "stale", "suspects", "up")

    def __init__(self) -> None:
        self.up: set[int] = set()
        self.lost: dict[int, Event] = {}
        self.stale: set[int] = set()
        self.suspects: set[int] = set()


class EventMerger:
    """
    Publishes what several engines say, each change once.

    :param names: of the engines. :param own_id: this node.
    """

    def __init__(self, names: Sequence[str], own_id: int, clock: IReactorTime, events: IEvents) -> None:
        self._names = tuple(names)
        self._own_id = own_id
        self._clock = clock
        self._events = events
        self._nodes: dict[int, _Watched] = {}
        self._isolated: set[int] = set()
        self._told: dict[tuple[int, EventKind, str], float] = {}

    def of(self, engine: int) -> EngineEvents:
        """Return where the engine of this number publishes."""
        return EngineEvents(self, engine, self._events)

    def take(self, engine: int, event: Event) -> None:
        """Publish an event of an engine, unless that is told already or is no change."""
        if event.node == self._own_id:
            self._take_own(engine, event)
            return
        node = self._nodes.setdefault(event.node, _Watched())
        if event.kind in _HERE:
            self._here(engine, node, event)
        elif event.kind in _GONE:
            self._gone(engine, node, event)
        elif event.kind is EventKind.SUSPECT:
            self._suspected(engine, node, event)
        else:
            self._events.publish(event)

    def _here(self, engine: int, node: _Watched, event: Event) -> None:
        had_it, others = engine in node.up, node.up - {engine}
        node.up.add(engine)
        suspected = engine in node.suspects
        node.suspects.discard(engine)
        left = node.lost.pop(engine, None)
        if engine in node.stale:
            node.stale.discard(engine)
        elif had_it:
            if not (suspected and node.suspects):
                self._once(event)
        elif not others:
            node.lost.clear()
            self._events.publish(event)
        elif event.kind is EventKind.JOIN and left is not None:
            node.stale |= others
            self._events.publish(left)
            self._events.publish(event)

    def _gone(self, engine: int, node: _Watched, event: Event) -> None:
        node.up.discard(engine)
        suspected = engine in node.suspects
        node.suspects.discard(engine)
        if not node.up:
            node.stale.clear()
            goodbyes = [lost for lost in node.lost.values() if lost.kind is EventKind.LEAVE]
            node.lost.clear()
            better = event.kind is EventKind.DOWN and goodbyes
            self._events.publish(replace(goodbyes[-1], time=event.time) if better else event)
            return
        if engine not in node.stale:
            node.lost[engine] = event
        if suspected and not node.suspects:
            holder = self._names[min(node.up)]
            reason = f"engine {holder} has it up, {self._names[engine]} has not: {event.reason}"
            self._events.publish(replace(event, kind=EventKind.UP, reason=reason, by=self._own_id))

    def _suspected(self, engine: int, node: _Watched, event: Event) -> None:
        if engine not in node.up:  # not that it is silent: a clock, an id
            self._once(event)
            return
        is_first = not node.suspects
        node.suspects.add(engine)
        if is_first:
            self._once(event)

    def _take_own(self, engine: int, event: Event) -> None:
        """This node is isolated when all engines are, and not any more when one hears others."""
        was = len(self._isolated) == len(self._names)
        if event.reason.startswith(BEGIN_OF_ISOLATION):
            self._isolated.add(engine)
            if not was and len(self._isolated) == len(self._names):
                self._events.publish(event)
        elif event.reason.startswith(END_OF_ISOLATION):
            self._isolated.discard(engine)
            if was:
                self._events.publish(event)
        else:
            self._once(event)

    def _once(self, event: Event) -> None:
        """Publish an event, unless another engine has just said the same."""
        now = self._clock.seconds()
        self._told = {told: at for told, at in self._told.items() if now - at < SAME_WITHIN}
        key = (event.node, event.kind, event.reason)
        if key not in self._told:
            self._told[key] = now
            self._events.publish(event)


@implementer(IEvents)
class EngineEvents:
    """The events as one engine sees them: what it publishes goes through the merger."""

    def __init__(self, merger: EventMerger, engine: int, events: IEvents) -> None:
        self._merger = merger
        self._engine = engine
        self._events = events

    def publish(self, event: Event) -> None:
        """See `IEvents.publish`."""
        self._merger.take(self._engine, event)

    def recent(self) -> Sequence[Event]:
        """See `IEvents.recent`."""
        return self._events.recent()

    def follow(self) -> AsyncGenerator[Event, None]:
        """See `IEvents.follow`."""
        return self._events.follow()
