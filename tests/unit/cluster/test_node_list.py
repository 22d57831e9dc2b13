"""The list of nodes: always that of the moment where there are few, and where something changed."""

from __future__ import annotations

from collections.abc import Iterator

from twisted.trial.unittest import SynchronousTestCase

from gomd.cluster.node_list import NodeList
from libgomd.model import Node, Status

_UP = Status.CONFIGURED | Status.UP


class NodeListTests(SynchronousTestCase):
    """One list."""

    def setUp(self) -> None:
        self.now = 100.0
        self.made = 0
        self.count = 10
        self.own = Node(7, "node7", "10.0.0.7", _UP, 1)
        self.list = NodeList(lambda: self.own, self.others, lambda: self.now)

    def others(self) -> Iterator[Node]:
        """Return the other nodes, in no order."""
        self.made += 1
        ids = range(self.count + 1, 0, -1)
        return (Node(each, f"node{each}", "10.0.0.1", _UP) for each in ids if each != 7)

    def ask(self, version: int = 1) -> list[Node]:
        """Return the list; its ids are in order, and this node is as it is now."""
        found = self.list.nodes(version)
        self.assertEqual([node.id for node in found], list(range(1, self.count + 2)))
        self.assertIs(found[6], self.own)
        return found

    def test_few_nodes(self) -> None:
        """It is made each time."""
        self.ask()
        self.ask()
        self.assertEqual(self.made, 2)

    def test_thousands_of_nodes(self) -> None:
        """It is made once a second at 10,000; this node is that of the moment all the same."""
        self.count = 10_000
        self.ask()
        self.own = Node(7, "other", "10.0.0.7", _UP, 2)
        self.now += 0.9
        self.ask()
        self.assertEqual(self.made, 1)
        self.now += 0.2
        self.ask()
        self.assertEqual(self.made, 2)

    def test_a_change(self) -> None:
        """Is seen at once."""
        self.count = 10_000
        self.ask()
        self.count = 9_999
        self.ask(2)
        self.count = 20
        self.ask(3)
        self.ask(3)
        self.assertEqual(self.made, 4)
