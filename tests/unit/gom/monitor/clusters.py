"""Made-up clusters for the tests of the screens."""

from __future__ import annotations

from typing import Any

from gom.monitor.mon_model import ClusterView, presentable
from gom.monitor.mon_moves import Move
from gom.monitor.rows import NodeRow

GIB = 1 << 30
UP, DOWN = 3, 1
_KNOWN: dict[str, Any] = {
    "load": 50, "speed": 15000, "cpus": 1, "util": 100, "mem": 6 * GIB, "rmem": 2 * GIB, "tmem": 8 * GIB,
    "age": 0.5,
}  # fmt: skip


def node(number: int, **values: Any) -> NodeRow:
    """Return a node that is up, unless ``status`` says that it is down."""
    status = values.pop("status", UP)
    name = values.pop("name", f"node{number}")
    address = values.pop("address", f"10.0.{number >> 8}.{number & 255}")
    if not status & 2:
        return NodeRow(number, name, address, status, False)
    return NodeRow(number, name, address, status, True, **{**_KNOWN, **values})


def cluster(*nodes: NodeRow, moves: tuple[Move, ...] = (), **more: Any) -> ClusterView:
    """Return a cluster whose first node is asked."""
    return ClusterView(presentable(nodes), moves, asked=nodes[0].id if nodes else 0, **more)
