"""What every IMembership promises; each engine's tests inherit it."""

from __future__ import annotations

from typing import Any

from zope.interface.verify import verifyObject

from gomd.cluster.membership import IAdmission
from gomd.interfaces import IMembership
from libgomd.errors import NotFound
from libgomd.model import Counter, EventKind, Node, Status
from tests.nodes import Cluster, SimulatedNode, address_of


class MembershipContract:
    """
    Promises of every engine, with peers or without.

    A test case has `make_membership`, which gives the membership of node 7, named ``node7``.
    """

    def make_membership(self) -> IMembership:
        raise NotImplementedError

    def test_it_is_a_membership(self: Any) -> None:
        """Verbs find every method they call."""
        verifyObject(IMembership, self.make_membership())

    def test_the_own_node_is_listed(self: Any) -> None:
        """`nodes` always lists the node that is asked, up."""
        members = self.make_membership()
        self.assertEqual(members.own_id, 7)
        self.assertEqual([node.up for node in members.nodes() if node.id == 7], [True])

    def test_nodes_are_ordered(self: Any) -> None:
        """`nodes` lists by id, each node once."""
        ids = [node.id for node in self.make_membership().nodes()]
        self.assertEqual(ids, sorted(set(ids)))

    def test_a_node_is_found_by_id_and_by_name(self: Any) -> None:
        """`@7` and `@node7` mean the same node."""
        members = self.make_membership()
        self.assertEqual(members.find("7").name, "node7")
        self.assertEqual(members.find("node7").id, 7)

    def test_who_is_not_there_is_not_found(self: Any) -> None:
        """A misspelt name is answered with the nearest that there is."""
        members = self.make_membership()
        with self.assertRaisesRegex(NotFound, "node7"):
            members.find("node77x")
        with self.assertRaises(NotFound):
            members.find("65000")

    def test_it_counts(self: Any) -> None:
        """`stats` has the number of nodes, and no name twice."""
        counters = list(self.make_membership().counters())
        self.assertTrue(all(isinstance(counter, Counter) for counter in counters))
        names = [counter.name for counter in counters]
        self.assertEqual(len(names), len(set(names)))
        self.assertLessEqual({"nodes", "nodes_up"}, set(names))


class PeersContract(MembershipContract):
    """
    Promises of the engines that find other nodes: everything that happens in a cluster.

    :cvar settings: of every node. A test case with an admission rule gives it in `admission`.
    """

    settings: dict[str, Any] = {}

    def admission(self) -> IAdmission | None:
        return None

    def make_membership(self) -> IMembership:
        members: IMembership = self.cluster(7, 8).nodes[7].engine
        return members

    def cluster(self, *numbers: int, settle: float = 6.0, seed: int = 1, **settings: Any) -> Cluster:
        """Return a cluster of these nodes, which know each other."""
        cluster = Cluster(seed, **{**self.settings, **settings})
        for number in numbers:
            self.add(cluster, number)
        cluster.clock.advance(settle)
        return cluster

    def add(self, cluster: Cluster, number: int, **own: Any) -> SimulatedNode:
        return cluster.add(number, self.admission(), **own)

    def node(self, cluster: Cluster, number: int, seen_by: int) -> Node:
        node: Node = cluster.nodes[seen_by].engine.find(str(number))
        return node

    def test_all_find_each_other(self: Any) -> None:
        """Daemons started together all list each other within half a second."""
        cluster = self.cluster(*range(1, 9), settle=0.0)
        self.assertLess(cluster.until_agreed(0.5, 0.01), 0.5)

    def test_a_join_is_seen_by_all_at_once(self: Any) -> None:
        """A ninth node is on everybody's list, and everybody on its own, within half a second."""
        cluster = self.cluster(*range(1, 9))
        began = cluster.clock.seconds()
        self.add(cluster, 9)
        cluster.until_agreed(0.5, 0.01)
        [event] = cluster.nodes[3].said(EventKind.JOIN, since=began)
        self.assertEqual((event.node, event.name, event.by), (9, "node9", 3))

    def test_values_travel(self: Any) -> None:
        """`load 3` on another node says what node 3 itself measures, and how old it is."""
        cluster = self.cluster(2, 3)
        seen = self.node(cluster, 3, seen_by=2)
        self.assertEqual((seen.load, seen.speed, seen.cpus, seen.tmem), (3, 15000, 4, 2**33))
        self.assertEqual((seen.address, seen.name), (address_of(3), "node3"))
        self.assertTrue(0.5 <= seen.age <= 1.7, seen.age)

    def test_a_goodbye_is_seen_by_all_at_once(self: Any) -> None:
        """A daemon that is stopped is said to have left, within half a second, by everybody."""
        cluster = self.cluster(*range(1, 9))
        began = cluster.clock.seconds()
        cluster.leave(4)
        cluster.until_agreed(0.5, 0.01)
        for node in cluster.nodes.values():
            [event] = node.said(EventKind.LEAVE, EventKind.DOWN, since=began)
            self.assertEqual((event.kind, event.node, event.by), (EventKind.LEAVE, 4, 4))
            self.assertEqual(event.reason, "gomd stopped")

    def test_a_killed_node_is_down_within_four_seconds(self: Any) -> None:
        """kill -9 of any node: all others say down within 4 s, and who found it out and why."""
        for victim in (1, 4, 6):
            cluster = self.cluster(*range(1, 9), seed=victim)
            began = cluster.clock.seconds()
            cluster.kill(victim)
            self.assertLess(cluster.until_agreed(4.0), 4.0)
            for node in cluster.nodes.values():
                down = node.said(EventKind.DOWN, since=began)
                self.assertEqual([event.node for event in down], [victim])
                self.assertIn(down[0].by, cluster.nodes)
                self.assertRegex(down[0].reason, rf"silent for .* does not answer node {down[0].by} nor node")

    def test_a_node_that_is_down_has_no_values(self: Any) -> None:
        """It stays listed as configured; its values are unknown, not old."""
        cluster = self.cluster(1, 2, 3)
        cluster.kill(2)
        cluster.clock.advance(5.0)
        self.assertEqual(self.node(cluster, 2, seen_by=1), Node(2, "node2", address_of(2), Status.CONFIGURED))

    def test_a_restart_is_a_new_start(self: Any) -> None:
        """A daemon killed and started within a second is said to have gone and joined."""
        cluster = self.cluster(1, 2, 3)
        began = cluster.clock.seconds()
        cluster.kill(2)
        cluster.clock.advance(0.5)
        self.add(cluster, 2)
        cluster.until_agreed(1.0)
        kinds = [event.kind for event in cluster.nodes[1].said(*EventKind, since=began) if event.node == 2]
        self.assertEqual(kinds, [EventKind.LEAVE, EventKind.JOIN])

    def test_a_restart_with_the_clock_set_back_is_taken(self: Any) -> None:
        """A machine whose clock was wrong before its reboot is not refused for its younger start."""
        cluster = self.cluster(1, 2)
        cluster.nodes[1].engine._members.get(2).instance += 10**9  # as if its last start had been later
        cluster.kill(2)
        cluster.clock.advance(5.0)
        self.add(cluster, 2)
        cluster.until_agreed(5.0)

    def test_a_parted_network_heals_at_once(self: Any) -> None:
        """Cut in two for 90 s, each side calls the other down; 3 s after the cut is mended all are up."""
        cluster = self.cluster(*range(1, 9))
        cluster.network.part(cluster.hosts([1, 2, 3]), cluster.hosts([4, 5, 6, 7, 8]))
        cluster.clock.advance(90.0)
        self.assertEqual(cluster.nodes[1].up(), {1, 2, 3})
        self.assertEqual(cluster.nodes[8].up(), {4, 5, 6, 7, 8})
        cluster.network.heal()
        cluster.until_agreed(3.0)

    def test_two_nodes_parted_for_long(self: Any) -> None:
        """Nobody is given up: two nodes without a seed find each other within 30 s, forgotten or not."""
        for forget in (86400.0, 300.0):
            cluster = self.cluster(1, 3, 4, forget=forget)
            cluster.kill(1)
            cluster.network.part(cluster.hosts([3]))
            cluster.clock.advance(600.0)
            self.assertEqual(cluster.nodes[3].up(), {3})
            cluster.network.heal()
            cluster.until_agreed(30.0)

    def test_a_node_that_one_cannot_reach_is_not_down(self: Any) -> None:
        """Whoever answers anybody is up, also for those who cannot reach it themselves."""
        cluster = self.cluster(*range(1, 7))
        began = cluster.clock.seconds()
        one, other = cluster.hosts([1, 2])
        cluster.network.block(one, other)
        cluster.network.block(other, one)
        cluster.clock.advance(60.0)
        self.assertTrue(cluster.agreed(), cluster.disagreement())
        for node in cluster.nodes.values():
            self.assertEqual(node.said(EventKind.DOWN, since=began), [])

    def test_a_lossy_network_brings_nobody_down(self: Any) -> None:
        """With 20 % of all packets lost, doubled and overtaken ones among the rest, nobody is called down."""
        cluster = self.cluster(*range(1, 11))
        network = cluster.network
        network.loss, network.doubled, network.delay = 0.2, 0.1, (0.001, 0.15)
        cluster.clock.advance(60.0)
        for node in cluster.nodes.values():
            self.assertEqual(node.said(EventKind.DOWN, EventKind.LEAVE), [])
        self.assertTrue(cluster.agreed(), cluster.disagreement())

    def test_a_process_that_was_stopped_blames_nobody(self: Any) -> None:
        """A daemon stopped for a minute, or a clock set an hour on, does not take silence for death."""
        cluster = self.cluster(1, 2, 3)
        began = cluster.clock.seconds()
        cluster.clock.rightNow += 3600.0  # everybody's clock at once; no call was made in between
        cluster.clock.advance(10.0)
        for node in cluster.nodes.values():
            self.assertEqual(node.said(EventKind.DOWN, EventKind.SUSPECT, since=began), [])

    def test_what_others_said_ages_while_the_process_is_stopped(self: Any) -> None:
        """Their silence proves nothing then, but their values are as old as they are."""
        cluster = self.cluster(1, 2)
        cluster.network.part(cluster.hosts([2]))
        cluster.clock.rightNow += 600.0  # no call was made in between
        cluster.clock.advance(0.3)
        self.assertGreater(self.node(cluster, 2, seen_by=1).age, 600.0)

    def test_quiet_keeps_values_to_itself(self: Any) -> None:
        """`quiet` on a node: the others see its status, and none of its values."""
        cluster = self.cluster(1, 2)
        node = cluster.nodes[2]
        node.node = Node(2, "node2", address_of(2), node.node.status | Status.QUIET, 5, 5, 5, 5, 5, 5, 5, 0.0)
        cluster.clock.advance(2.0)
        seen = self.node(cluster, 2, seen_by=1)
        self.assertEqual(seen, Node(2, "node2", address_of(2), node.node.status))

    def test_a_second_node_with_the_same_id(self: Any) -> None:
        """The first one stays; both daemons and all others say that the id is used twice."""
        cluster = self.cluster(1, 2, 3)
        second = SimulatedNode(
            cluster, 3, cluster.settings, self.admission(), name="twin", address="10.9.9.9"
        )
        second.engine.start()
        cluster.clock.advance(20.0)
        self.assertEqual(self.node(cluster, 3, seen_by=1).name, "node3")
        for node in (*cluster.nodes.values(), second):
            self.assertIn("3", [str(event.node) for event in node.said(EventKind.SUSPECT)])
        for node in cluster.nodes.values():
            self.assertEqual(node.said(EventKind.DOWN, EventKind.LEAVE), [])

    def test_a_namesake_is_said_to_be_one(self: Any) -> None:
        """Two nodes of one name: the event of the second says so, the name means the first by id."""
        cluster = self.cluster(1, 2)
        self.add(cluster, 5, name="node2")
        cluster.clock.advance(1.0)
        self.assertEqual(cluster.nodes[1].engine.find("node2").id, 2)
        [event] = [event for event in cluster.nodes[1].said(EventKind.JOIN) if event.node == 5]
        self.assertIn("node 2 has the same name", event.reason)

    def test_a_wrong_clock_is_reported_once(self: Any) -> None:
        """A node whose clock is 5 minutes off is named in an event, not silently dropped."""
        cluster = self.cluster(1, 2)
        for _ in range(3):
            cluster.nodes[1].engine.wrong_clock(9, "late", -300.0)
        [event] = [event for event in cluster.nodes[1].said(EventKind.SUSPECT) if event.node == 9]
        self.assertEqual(event.name, "late")
        self.assertIn("300 s behind ours", event.reason)

    def test_a_stopped_engine_says_nothing(self: Any) -> None:
        """After `stop` has fired not one packet leaves."""
        cluster = self.cluster(1, 2)
        node = cluster.nodes[1]
        stopped = node.engine.stop()
        self.assertNoResult(stopped)
        cluster.clock.advance(0.5)
        self.successResultOf(stopped)
        sent = node.host.sent
        cluster.clock.advance(60.0)
        self.assertEqual(node.host.sent, sent)
