"""
Which nodes of a large cluster a node keeps the past of: itself and the thousand before it in the ring of ids.

Every node of a small cluster keeps that of all nodes. Of 10,000 nodes that would be 3.5 GB a day on each of
them; so each is kept by a thousand others, and the cost of the history does not grow any more.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Final

from libgomd.model import Node

#: Number of nodes whose values a node records.
MAX_RECORDED: Final = 1000


def nearby(own_id: int, nodes: Sequence[Node], count: int = MAX_RECORDED) -> Sequence[Node]:
    """
    Return all nodes, or of more than ``count`` this one and those before it.

    :param nodes: ordered by id, as the answer is.
    """
    if len(nodes) <= count:
        return nodes
    end = bisect_right(nodes, own_id, key=lambda node: node.id)
    before = nodes[max(0, end - count) : end]
    return [*before, *nodes[len(nodes) - (count - len(before)) :]] if len(before) < count else before
