"""How far a collector of histories is behind: whether it stores what its nodes write as fast as they do."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

#: Seconds since a node's past was last stored up to its end, after which that is said. It is said once, until
#: all nodes are below half of it.
BEHIND_AFTER: Final = 900.0
#: For how long a node keeps single values: what is not collected by then is lost.
_KEPT_HOURS: Final = 24


class Backlog:
    """Times are seconds of a monotonic clock."""

    def __init__(self) -> None:
        self._whole_at: dict[int, float] = {}
        self._is_behind = False

    def nodes_are(self, nodes: Collection[int], now: float) -> None:
        """Note the nodes that are collected here; a new one counts from now on."""
        self._whole_at = {node: self._whole_at.get(node, now) for node in nodes}

    def note_whole(self, node: int, now: float) -> None:
        """Note that all that a node had is stored, or that it gives nothing, which is said elsewhere."""
        if node in self._whole_at:
            self._whole_at[node] = now

    def seconds(self, now: float) -> float:
        """Return for how many seconds the node that waits longest waits; 0 unless the collector is behind."""
        return self._longest(now) if self._is_behind else 0.0

    def _longest(self, now: float) -> float:
        return now - min(self._whole_at.values(), default=now)

    def sentence(self, now: float) -> str:
        """Return what has to be said now, empty for nothing."""
        behind = self._longest(now)
        if self._is_behind:
            if behind >= BEHIND_AFTER / 2:
                return ""
            self._is_behind = False
            return "the collection of the history has caught up"
        if behind < BEHIND_AFTER:
            return ""
        self._is_behind = True
        late = sum(now - at >= BEHIND_AFTER / 2 for at in self._whole_at.values())
        return (
            f"the collection of the history falls behind: {late} of {len(self._whole_at)} nodes wait "
            f"for up to {behind:.0f} s. It catches up if the database was away; else give it a faster one, "
            f"or let a second node collect, too: single values that wait for {_KEPT_HOURS} hours are lost"
        )
