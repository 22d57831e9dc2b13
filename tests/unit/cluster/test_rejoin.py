"""How the heartbeat engine searches lost nodes, and keeps to a map."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from gomd.cluster.membership import MapAdmission
from libgomd.model import EventKind
from tests.nodes import Cluster, SimulatedNode, address_of
from tests.unit.cluster.alone import seeds


class SearchTests(SynchronousTestCase):
    """Seeds and lost nodes are asked for ever, ever more rarely."""

    def test_a_seed_that_comes_late_is_found(self) -> None:
        """The first daemon of a cluster may be the last one that is started: the others ask it every 20 s."""
        cluster = Cluster(discovery=False, seeds=seeds(1))
        cluster.add(2)
        cluster.clock.advance(1000.0)
        cluster.add(1)
        cluster.until_agreed(20.5)

    def test_it_asks_ever_more_rarely(self) -> None:
        """One that is lost gets a packet a second at first, and one in 20 s for ever."""
        cluster = Cluster(discovery=False, seeds=seeds(1))
        cluster.network.log = []
        node = cluster.add(2)
        cluster.clock.advance(60.0)
        early = len(cluster.network.log)
        self.assertTrue(40 <= early <= 80, early)
        cluster.clock.advance(4000.0)
        del cluster.network.log[:]
        cluster.clock.advance(1000.0)
        self.assertTrue(50 <= len(cluster.network.log) <= 65, len(cluster.network.log))
        self.assertEqual(node.up(), {2})

    def test_other_seeds_are_taken_over(self) -> None:
        """Seeds written into the configuration while the daemon runs are asked."""
        cluster = Cluster(discovery=False)
        cluster.add(1)
        cluster.add(2)
        cluster.clock.advance(5.0)
        self.assertEqual(cluster.nodes[2].up(), {2})
        cluster.nodes[2].engine.set_seeds(seeds(1))
        cluster.until_agreed(1.0)


class MapTests(SynchronousTestCase):
    """The nodes of a map."""

    def test_the_map_is_listed_from_the_start(self) -> None:
        """`nodes` shows every node of the map, down until it is heard."""
        admission = MapAdmission({3: "gamma"}, {node: (address_of(node),) for node in (1, 2, 3)})
        cluster = Cluster(discovery=False)
        node = cluster.add(1, admission)
        self.assertEqual([(each.id, each.name, each.up) for each in node.engine.nodes()],
                         [(1, "node1", True), (2, "10.0.0.2", False), (3, "gamma", False)])  # fmt: skip

    def test_a_stranger_is_refused(self) -> None:
        """A node that is not in the map is not listed, and both sides say why."""
        admission = MapAdmission({}, {node: (address_of(node),) for node in (1, 2)})
        cluster = Cluster(discovery=True)
        node = cluster.add(1, admission)
        stranger = cluster.add(9)
        cluster.clock.advance(5.0)
        self.assertEqual([each.id for each in node.engine.nodes()], [1, 2])
        for each in (node, stranger):
            [event] = each.said(EventKind.SUSPECT)
            self.assertEqual((event.node, event.reason), (9, "node 9 at 10.0.0.9 is not in the map"))

    def test_a_node_at_its_alias_is_taken(self) -> None:
        """A node may come from any address that the map has for it."""
        admission = MapAdmission({}, {1: (address_of(1),), 2: ("10.5.5.5", address_of(2))})
        cluster = Cluster(discovery=False)
        cluster.add(1, admission)
        cluster.add(2, admission)
        cluster.until_agreed(1.0)

    def test_nobody_of_the_map_is_forgotten(self) -> None:
        """A node of the map that is down for long stays listed."""
        admission = MapAdmission({}, {node: (address_of(node),) for node in (1, 2)})
        cluster = Cluster(discovery=False, forget=10.0)
        node: SimulatedNode = cluster.add(1, admission)
        cluster.clock.advance(100.0)
        self.assertEqual(len(node.engine.nodes()), 2)
