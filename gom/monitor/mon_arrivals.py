"""
When migrations happened by the viewer's clock, whatever the clocks of the nodes say.

A node stamps its events with its own clock, which may be minutes off, as the viewer's may be. What a node
tells for the first time while it is followed has just happened; only what it told from the beginning on, in
the first round, is as old as its stamp says.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from gom.monitor.mon_moves import MIGRATED
from gom.monitor.rows import EventRow, event_of
from libgomd.errors import MalformedReply

#: Seconds by which a stamp may be ahead of the viewer's clock; how old such an event is, is not known.
_MAX_AHEAD: Final = 10.0


class Arrivals:
    """Follows the rounds of one watch of migrations."""

    def __init__(self) -> None:
        self._known: dict[int, dict[EventRow, float]] = {}
        self._unheard: set[int] = set()
        self._is_first = True

    def begin(self) -> None:
        """Begin anew: what is told next may have happened while nobody watched."""
        self._is_first = True

    def stamped(self, rows: Iterable[Mapping[str, Any]], now: float) -> list[EventRow]:
        """
        Return the migrations in the rows of a round, with the moments at which they happened here.

        The rows of nodes that failed are left out.

        :param now: seconds since the epoch by the viewer's clock.
        """
        told: dict[int, list[EventRow]] = {}
        failed: set[int] = set()
        for row in rows:
            node = row.get("from")
            node = node if type(node) is int else 0
            if "error" in row and "kind" not in row:
                failed.add(node)
            elif row.get("kind") == MIGRATED:
                try:
                    told.setdefault(node, []).append(event_of(row))
                except MalformedReply:
                    continue
        found: list[EventRow] = []
        for node, events in told.items():
            before = self._known.get(node, {})
            is_new = not self._is_first and node not in self._unheard
            self._known[node] = times = {
                event: before.get(event, now if is_new else _by_stamp(event, now)) for event in events
            }
            found += [event._replace(time=at) for event, at in times.items()]
        # A node that has answered nothing yet tells its whole past when it does.
        self._unheard = failed - self._known.keys()
        self._is_first = False
        return found


def _by_stamp(event: EventRow, now: float) -> float:
    return event.time if event.time <= now + _MAX_AHEAD else 0.0
