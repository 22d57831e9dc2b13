"""The tree over all nodes: files from the source of this one, values of nodes from what is known of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from gomd.cluster.names import find_node
from gomd.interfaces import IMembership, ITree
from gomd.sources.memory import MemorySource
from gomd.tree.cluster_tree import ClusterTree
from libgomd.errors import NotFound, TimedOut
from libgomd.model import Caller, Counter, Node, Role, Status
from libgomd.wire.tree import TreePath
from tests.unit.services.held import HeldThreads

ROOT = Caller(Role.ADMIN, "root", 0, "unix")
UP = Status.CONFIGURED | Status.UP
NODES = (
    Node(1, "alpha", "10.0.0.1", UP, load=5),
    Node(2, "beta", "10.0.0.2", UP | Status.STAY, 57, 30000, 2, 200, 1024, 512, 4096, 0.5),
    Node(3, "gamma", "10.0.0.3", Status.CONFIGURED),
    Node(4, "delta", "10.0.0.4", UP),
)


@implementer(IMembership)
class Members:
    """Four nodes: this one, one that is up, one down, one that has not said a word yet."""

    own_id = 1

    def nodes(self) -> Sequence[Node]:
        return NODES

    def find(self, key: str) -> Node:
        return find_node(NODES, key)

    def counters(self) -> Iterable[Counter]:
        return ()


class TreeTests(SynchronousTestCase):
    """As node 1 sees it."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.threads = HeldThreads(self.clock)
        self.source = MemorySource([70], files={"/proc/loadavg": b"0.1 0.2 0.3 1/2 3\n"})
        self.tree = ClusterTree(self.source, Members(), self.threads)

    def ask(self, asked: Any) -> Any:
        deferred: Deferred[Any] = Deferred.fromCoroutine(asked)
        self.threads.work()
        return self.successResultOf(deferred)

    def get(self, path: str) -> bytes:
        found: bytes = self.ask(self.tree.read_file(TreePath.parse(path), ROOT))
        return found

    def test_it_is_what_it_promises(self) -> None:
        verifyObject(ITree, self.tree)
        verifyObject(IMembership, Members())

    def test_values_of_another_node(self) -> None:
        """Each as openMosix writes it: a number and a line end."""
        found = {name: self.get(f"/proc/hpc/nodes/2/{name}") for name in self.ls("/proc/hpc/nodes/2")}
        self.assertEqual(
            found,
            {
                "load": b"57\n", "speed": b"30000\n", "cpus": b"2\n", "util": b"200\n", "mem": b"1024\n",
                "rmem": b"512\n", "tmem": b"4096\n", "status": b"7\n",
            },
        )  # fmt: skip

    def ls(self, path: str) -> list[str]:
        return list(self.ask(self.tree.list_directory(TreePath.parse(path), ROOT)))

    def test_a_node_that_is_down(self) -> None:
        """-101 for every value, 1 for its status."""
        for name in self.ls("/proc/hpc/nodes/3"):
            self.assertEqual(self.get(f"/proc/hpc/nodes/3/{name}"), b"1\n" if name == "status" else b"-101\n")

    def test_a_node_that_has_said_nothing_yet(self) -> None:
        """No number is made up for it."""
        asked = Deferred.fromCoroutine(self.tree.read_file(TreePath.parse("/proc/hpc/nodes/4/load"), ROOT))
        self.failureResultOf(asked, NotFound)

    def test_nodes_there_are(self) -> None:
        """A directory for each, none for others."""
        self.assertEqual(self.ls("/proc/hpc/nodes"), ["1", "2", "3", "4"])
        for path in ("/proc/hpc/nodes/5", "/proc/hpc/nodes/70000"):
            asked = Deferred.fromCoroutine(self.tree.list_directory(TreePath.parse(path), ROOT))
            self.failureResultOf(asked, NotFound)

    def test_this_nodes_own_files(self) -> None:
        """From the source, on a thread; its values are those that `load` and its like give."""
        self.assertEqual(self.get("/proc/loadavg"), b"0.1 0.2 0.3 1/2 3\n")
        self.assertEqual(self.get("/proc/hpc/nodes/1/load"), b"5\n")

    def test_a_read_that_hangs_is_given_up(self) -> None:
        """A file on a dead disk does not hold the asker for ever."""
        asked = Deferred.fromCoroutine(self.tree.read_file(TreePath.parse("/proc/loadavg"), ROOT))
        self.clock.advance(10.1)
        self.failureResultOf(asked, TimedOut)
