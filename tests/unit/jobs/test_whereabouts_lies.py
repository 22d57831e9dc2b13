"""What a home does not believe another node about where a job of it runs."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from libgomd.errors import Conflict
from libgomd.model import JobState
from tests.unit.jobs.moving_nodes import Cluster
from tests.unit.scratch import quick_scratch


class LieTests(SynchronousTestCase):
    """A job of node 1 that runs there."""

    def setUp(self) -> None:
        self.cluster = Cluster(quick_scratch(self))
        self.addCleanup(self.cluster.end)
        self.cluster.begin(node=1)

    def test_a_job_that_runs_at_its_home_is_not_taken_from_it(self) -> None:
        """Node 3 says that it runs there, after any number of moves: the home sees its supervisor."""
        for nmigs in (1, 99):
            self.assertRaises(Conflict, self.cluster[1].jobs.moved, "1-1", 3, nmigs)
        self.assertEqual((self.cluster.job().node, self.cluster.job().nmigs), (1, 0))
        [supervisor] = self.cluster.machines[1].supervisors
        supervisor.end(7)
        self.cluster.settle()
        self.assertIs(self.cluster.job().state, JobState.DONE)
        self.assertEqual(self.cluster.job().exit, 7)

    def test_one_that_came_home_neither(self) -> None:
        """It moved away and back: it is the home's own again."""
        self.cluster.move(1, 2)
        self.cluster.settle()
        self.cluster.move(2, 1)
        self.cluster.settle()
        self.assertEqual(self.cluster.job().node, 1)
        self.assertRaises(Conflict, self.cluster[1].jobs.moved, "1-1", 3, 9)
        self.assertEqual(self.cluster.job().node, 1)
