"""Three nodes in memory between which jobs move."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from gomd.interfaces import MoveCost
from gomd.jobs.migration.source import MigrationSource
from libgomd.errors import CannotMove, GomdError
from tests.unit.jobs.moving_nodes import Cluster, failure_of
from tests.unit.scratch import quick_scratch


class Moving(SynchronousTestCase):
    """Three nodes."""

    def setUp(self) -> None:
        self.cluster = Cluster(quick_scratch(self))
        self.addCleanup(self.cluster.end)

    def check_settled(self) -> None:
        """Check that every migration has ended, and that nothing is left of them."""
        self.cluster.run(3)
        self.assertEqual(self.cluster.left(), [])

    def move(self, source: int, target: int) -> None:
        """Move the job that runs on ``source``, and check that it runs on ``target``."""
        moving = self.cluster.move(source, target)
        self.cluster.settle()
        self.assertIsInstance(self.successResultOf(moving), MoveCost)
        [(node, _program)] = self.cluster.programs()
        self.assertEqual(node, target)
        self.check_settled()

    def leaving(self) -> list[tuple[str, MigrationSource]]:
        """Return the migrations from node 1, by their ids."""
        found = []
        for (name, _role), active in self.cluster[1].migrations.active._active.items():
            assert isinstance(active.participant, MigrationSource)
            found.append((name, active.participant))
        return found

    def refused(self, source: int, target: int, kind: type[GomdError] = CannotMove) -> str:
        """Try to move a job that stays; return the reason."""
        moving = self.cluster.move(source, target)
        self.cluster.settle()
        self.cluster.run(2)
        error = failure_of(moving)
        self.assertIsInstance(error, kind)
        self.check_settled()
        [(node, program)] = self.cluster.programs()
        self.assertEqual((node, program.seen[-1]), (source, f"node{source}"))
        return str(error)


def cut(cluster: Cluster, source: int, target: int) -> None:
    """Break the connections between two nodes whose daemons run."""
    if cluster.machines[source].daemon and cluster.machines[target].daemon:
        cluster.network.cut_between(cluster[source], cluster[target])
        cluster.network.cut_between(cluster[target], cluster[source])
