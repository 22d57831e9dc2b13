"""Whole migrations between daemons in memory: what users, homes and disks see of them, whatever fails."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from libgomd.wire import frames
from tests.unit.jobs.moving_nodes import Cluster
from tests.unit.scratch import scratch


class MovingTests(SynchronousTestCase):
    """A job that is moved about."""

    def setUp(self) -> None:
        self.cluster = Cluster(scratch(self))
        self.addCleanup(self.cluster.end)

    def settled(self) -> None:
        """All that was begun has come to its end, and nothing is left of it."""
        self.cluster.run(3)
        self.assertEqual(self.cluster.left(), [])

    def test_away_to_a_third_node_and_home_again(self) -> None:
        """It runs once, in each place in turn; its home knows where, and who waits gets its exit status."""
        _job, terminal = self.cluster.begin()
        for count, (source, target) in enumerate([(1, 2), (2, 3), (3, 1), (1, 3)], 1):
            moving = self.cluster.move(source, target)
            self.cluster.settle()
            self.assertIsNone(self.successResultOf(moving))
            [(node, program)] = self.cluster.programs()
            self.assertEqual(node, target)
            self.settled()
            known = self.cluster.job()
            self.assertEqual((known.node, known.nmigs), (target, count))
            self.assertEqual(terminal.told.count(frames.ATTACHED), terminal.told.count(frames.RESUME) + 1)
            self.assertGreaterEqual(terminal.told.count(frames.RESUME), count)
        self.assertEqual(program.seen, ["node1", "node2", "node3", "node1", "node3"])
        self.cluster.machines[3].supervisors[0].end(7)
        self.cluster.settle()
        self.assertEqual(terminal.exit, 7)
        self.assertEqual((self.cluster.job().exit, self.cluster.job().node), (7, 3))
