"""A speed of more than 65535 reaches the others, and those who know nothing of it read 65535."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from gomd.tree.cluster_tree import node_value
from libgomd.model import Node, Status
from libgomd.wire.messages import Heartbeat, TrueSpeed
from tests.nodes import Cluster
from tests.unit.cluster.alone import Alone, beat


def speeds(cluster: Cluster, at: int) -> dict[int, int | None]:
    """Return what node ``at`` holds for the speed of each."""
    return {node.id: node.speed for node in cluster.nodes[at].engine.nodes()}


class SpreadTests(SynchronousTestCase):
    def test_all_know_the_speed_within_seconds(self) -> None:
        """With multicast and without, also of one that comes late."""
        for discovery in (True, False):
            seeds = () if discovery else (("10.0.0.1", 5428),)
            cluster = Cluster(discovery=discovery, seeds=seeds)
            for number, speed in ((1, 15000), (2, 131072), (3, 65535)):
                cluster.add(number, speed=speed)
            cluster.clock.advance(6.0)
            cluster.add(4, speed=2_000_000)
            cluster.clock.advance(6.0)
            expected = {1: 15000, 2: 131072, 3: 65535, 4: 2_000_000}
            for at in cluster.nodes:
                self.assertEqual(speeds(cluster, at), expected, (discovery, at))

    def test_lost_packets_are_made_up_for(self) -> None:
        """It is said again and again."""
        cluster = Cluster()
        cluster.network.loss = 0.3
        for number in range(1, 5):
            cluster.add(number, speed=70000 + number)
        cluster.clock.advance(40.0)
        self.assertEqual(speeds(cluster, 1), {number: 70000 + number for number in range(1, 5)})

    def test_a_heartbeat_says_what_older_daemons_have_room_for(self) -> None:
        """65535, and nothing beside it from a node that is not as fast."""
        cluster = Cluster()
        log = cluster.network.log = []
        cluster.add(1, speed=131072)
        cluster.add(2, speed=65535)
        cluster.add(3, speed=131072, status=Status.CONFIGURED | Status.UP | Status.QUIET)
        cluster.clock.advance(10.0)
        said = {(sender[0], type(message)) for _, sender, _, message in log}
        self.assertIn(("10.0.0.1", TrueSpeed), said)
        self.assertNotIn(("10.0.0.2", TrueSpeed), said)
        self.assertNotIn(("10.0.0.3", TrueSpeed), said)
        beats = [message for _, _, _, message in log if isinstance(message, Heartbeat)]
        self.assertEqual({message.speed for message in beats}, {65535, None})


class BelievingTests(SynchronousTestCase):
    """What is made of it by one node."""

    def speed(self, alone: Alone) -> int | None:
        return alone.engine.find("2").speed

    def test_it_holds_while_the_heartbeats_say_65535(self) -> None:
        """A smaller speed in a heartbeat is the newer word; another start has said nothing yet."""
        alone = Alone()
        alone.hear(2, beat(2, speed=65535))
        self.assertEqual(self.speed(alone), 65535)
        alone.hear(2, TrueSpeed(70000))
        self.assertEqual(self.speed(alone), 70000)
        alone.hear(2, beat(2, speed=65535), multicast=True)
        self.assertEqual(self.speed(alone), 70000)
        alone.hear(2, beat(2, speed=20000))
        self.assertEqual(self.speed(alone), 20000)
        alone.hear(2, beat(2, speed=65535), instance=8)
        self.assertEqual(self.speed(alone), 65535)

    def test_a_stranger_is_not_known_by_its_speed(self) -> None:
        """Only a heartbeat makes a member."""
        alone = Alone()
        alone.hear(2, TrueSpeed(70000))
        self.assertEqual(alone.up(), [1])

    def test_the_tree_has_sixteen_bits_for_it(self) -> None:
        """`get /proc/hpc/nodes/2/speed` is what openMosix's programs can read."""
        node = Node(2, "fast", "10.0.0.2", Status.CONFIGURED | Status.UP, speed=131072)
        self.assertEqual(node_value(node, "speed"), b"65535\n")
