"""The list of all nodes: made each time for hundreds of nodes, kept for a moment for thousands."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from libgomd.model import Node

#: Nodes up to which the list is made anew each time, at about 3 us a node.
_FEW_NODES: Final = 500
#: Nodes a second for which it is made in a larger cluster: of 10,000 nodes once a second.
NODES_PER_SECOND: Final = 10_000


class NodeList:
    """
    Keeps the list. This node in it is always that of the moment.

    :param own: gives this node. :param others: makes the other nodes, in any order.
    :param seconds: the time of a monotonic clock.
    """

    def __init__(
        self, own: Callable[[], Node], others: Callable[[], Iterable[Node]], seconds: Callable[[], float]
    ) -> None:
        self._own = own
        self._others = others
        self._seconds = seconds
        self._nodes: list[Node] = []
        self._own_at = 0
        self._made_at = 0.0
        self._version = -1

    def nodes(self, version: int) -> list[Node]:
        """
        Return all nodes by id; the caller must not change the list.

        :param version: another number whenever a node has come, gone or changed its name or address.
        """
        now, own, count = self._seconds(), self._own(), len(self._nodes)
        is_fresh = version == self._version and now - self._made_at < count / NODES_PER_SECOND
        if count > _FEW_NODES and is_fresh:
            self._nodes[self._own_at] = own
            return self._nodes
        found = sorted([own, *self._others()], key=lambda node: node.id)
        if len(found) > _FEW_NODES:
            self._nodes, self._made_at, self._version = found, now, version
            self._own_at = found.index(own)
        elif count:
            self._nodes = []
        return found
