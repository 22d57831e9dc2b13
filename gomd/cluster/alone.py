"""Membership without peers: only the nodes that the source itself knows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from zope.interface import implementer

from gomd.cluster.names import find_node
from gomd.interfaces import ICollector, IMembership
from libgomd.model import Counter, Node


@implementer(IMembership)
class Alone:
    """
    Contacts no other node.

    A stock kernel knows only its own node; an openMosix kernel knows the cluster.
    """

    def __init__(self, own_id: int, collector: ICollector) -> None:
        self.own_id = own_id
        self._collector = collector

    def nodes(self) -> Sequence[Node]:
        """See `IMembership.nodes`."""
        return self._collector.known_nodes()

    def find(self, key: str) -> Node:
        """See `IMembership.find`."""
        return find_node(self.nodes(), key)

    def counters(self) -> Iterable[Counter]:
        """See `IMembership.counters`."""
        nodes = self.nodes()
        yield Counter("nodes", len(nodes), "configured nodes")
        yield Counter("nodes_up", sum(node.up for node in nodes), "nodes that are up")
