"""Collects what all parts of the daemon count, for `stats` and for the metrics."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from gomd.interfaces.counters import Counting
from libgomd.model import Counter


class Counters:
    """The parts that count, in the order in which `stats` lists them."""

    def __init__(self) -> None:
        self._parts: list[Counting] = []

    def add(self, parts: Iterable[Counting]) -> None:
        """List these parts behind those that were added before."""
        self._parts.extend(parts)

    def counters(self) -> Iterator[Counter]:
        """Ask each part what it has counted."""
        for part in self._parts:
            yield from part.counters()
