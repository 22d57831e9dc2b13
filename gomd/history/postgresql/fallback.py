"""Reads the database of the collectors beside this node's own file, so that either may be away."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from typing import Final, TypeVar

from zope.interface import implementer

from gomd.history.moments import MAX_EVENTS
from gomd.interfaces import HistoryPage, IHistory, RememberedEvent, RememberedTable
from libgomd.errors import NotPossible, SourceUnavailable, TimedOut
from libgomd.model import HistoryRow, Node

T = TypeVar("T")
_Read = Callable[[IHistory], T]
#: Seconds for which a database that could not be read is not asked again: a verb reads several times, and one
#: that hangs would cost it its whole time.
AWAY_SECONDS: Final = 10.0


@implementer(IHistory)
class DatabaseOrFile:
    """
    Reads the database, and this node's own file while the database cannot be read or knows less of this node.

    :param database: what collectors have stored. :param file: the history of this node itself.
    :param seconds: the time of a monotonic clock.
    """

    def __init__(
        self, own_id: int, database: IHistory, file: IHistory, seconds: Callable[[], float] = time.monotonic
    ) -> None:
        self._own_id = own_id
        self._database = database
        self._file = file
        self._seconds = seconds
        self._away_until = 0.0

    def _first(self, read: _Read[T]) -> T:
        try:
            return self._read(read)
        except (SourceUnavailable, NotPossible):
            return read(self._file)

    def _read(self, read: _Read[T]) -> T:
        """Read the database. :raises SourceUnavailable: it is away, or was a moment ago."""
        if self._seconds() < self._away_until:
            raise SourceUnavailable("the database could not be read a moment ago")
        try:
            return read(self._database)
        except SourceUnavailable:
            self._away_until = self._seconds() + AWAY_SECONDS
            raise

    def fields(self, node: int) -> Sequence[str]:
        """See `IHistory.fields`."""
        if node == self._own_id:
            return self._file.fields(node)
        return self._first(lambda history: history.fields(node))

    def find_node(self, key: str) -> Node | None:
        """See `IHistory.find_node`."""
        return self._first(lambda history: history.find_node(key)) or self._file.find_node(key)

    def values(
        self, node: int, fields: Sequence[str], since: float, until: float, points: int
    ) -> Sequence[HistoryRow]:
        """See `IHistory.values`. This node's own values are newest in its file."""
        if node == self._own_id:
            return self._file.values(node, fields, since, until, points)
        return self._first(lambda history: history.values(node, fields, since, until, points)) or (
            self._file.values(node, fields, since, until, points)
        )

    def nodes_at(self, moment: float) -> Sequence[Node]:
        """See `IHistory.nodes_at`."""
        return self._file.nodes_at(moment) or self._first(lambda history: history.nodes_at(moment))

    def processes_at(self, node: int, moment: float) -> RememberedTable | None:
        """See `IHistory.processes_at`."""
        if node == self._own_id:
            return self._file.processes_at(node, moment)
        found = self._first(lambda history: history.processes_at(node, moment))
        return self._file.processes_at(node, moment) if found is None else found

    def events(self, since: float, until: float, kinds: Collection[str] = ()) -> Sequence[RememberedEvent]:
        """See `IHistory.events`: those of this node's file, and those that other nodes know."""
        own = self._file.events(since, until, kinds)
        try:
            others = self._read(lambda history: history.events(since, until, kinds))
        except (SourceUnavailable, NotPossible, TimedOut):
            return own
        known = {each.event for each in own}
        found = [*own, *(each for each in others if each.event not in known)]
        return sorted(found, key=lambda each: each.event.time)[-MAX_EVENTS:]

    def page(self, cursor: str, stream: str) -> HistoryPage:
        """See `IHistory.page`: what this node itself has written."""
        return self._file.page(cursor, stream)
