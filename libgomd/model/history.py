"""Values of nodes over time, as a node remembers them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class HistoryRow:
    """
    One value of a node over some time. Times about which nothing is known have no row.

    :ivar time: when it begins, in seconds since the epoch.
    :ivar field: the name of the value, such as ``load``.
    :ivar min: the smallest value during that time; ``mean`` and ``max`` likewise, in the value's own unit.
    :ivar node: id of the node whose value it is. :ivar by: id of the node that remembered it.
    """

    JSON: ClassVar[tuple[str, ...]] = ("time", "field", "min", "mean", "max", "node", "by")

    time: float
    field: str
    min: float | None
    mean: float | None
    max: float | None
    node: int
    by: int
