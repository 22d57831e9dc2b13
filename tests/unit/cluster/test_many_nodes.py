"""The heartbeat engine in large clusters, and when many nodes start at once."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from libgomd.wire.messages import (
    Datagram,
)
from libgomd.wire.messages import Heartbeat as Beat
from tests.nodes import PORT, Cluster, address_of
from tests.unit.cluster.alone import Alone, beat, seeds


class ScaleTests(SynchronousTestCase):
    """More nodes than one heartbeat goes to directly."""

    def test_many_nodes_without_multicast(self) -> None:
        """60 nodes find each other through one seed; a node gets at most some 35 packets a second."""
        cluster = Cluster(discovery=False, seeds=seeds(1), replays=False)
        for number in range(1, 61):
            cluster.add(number)
        self.assertLess(cluster.until_agreed(2.0), 2.0)
        cluster.clock.advance(3.0)
        before = {node.number: node.host.received for node in cluster.nodes.values()}
        cluster.clock.advance(5.0)
        for node in cluster.nodes.values():
            self.assertLess((node.host.received - before[node.number]) / 5, 50)
        cluster.kill(7)
        self.assertLess(cluster.until_agreed(4.0), 4.0)
        cluster.leave(8)
        self.assertLess(cluster.until_agreed(0.5), 0.5)

    def test_heartbeats_come_less_often_where_there_are_many(self) -> None:
        """With 300 nodes a heartbeat is sent every other second, and still heard in time."""
        alone = Alone()
        for number in range(2, 302):
            alone.hear(number, beat(number), multicast=True)
        del alone.wire.sent[:]
        for _ in range(20):
            for number in range(2, 302):
                alone.sequence += 1
                alone.engine.receive(
                    Datagram(number, 7, 0, alone.sequence, beat(number)), (address_of(number), PORT), True
                )
            alone.clock.advance(1.0)
        beats = [message for message, to in alone.wire.sent if isinstance(message, Beat) and to is None]
        self.assertTrue(9 <= len(beats) <= 11, len(beats))


class StormTests(SynchronousTestCase):
    """Many nodes that start at once."""

    def test_a_storm_stays_small(self) -> None:
        """60 nodes that start at once get a handful of packets from each other, however they meet."""
        for discovery, seed in ((True, ()), (True, seeds(1)), (False, seeds(1))):
            cluster = Cluster(discovery=discovery, seeds=seed, replays=False)
            for number in range(1, 61):
                cluster.clock.callLater(cluster.network.random.random() * 0.1, cluster.add, number)
            cluster.clock.advance(0.1)
            self.assertLess(cluster.until_agreed(1.9), 1.9)
            most = max(node.host.received for node in cluster.nodes.values())
            self.assertLess(most, 60 * 6)
