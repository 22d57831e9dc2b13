"""Migrations between daemons in memory while something fails: afterwards all is settled."""

from __future__ import annotations

from collections.abc import Callable

from twisted.trial.unittest import SynchronousTestCase

from gomd.jobs.migration.service import CALLER_TIMEOUT
from libgomd.errors import GomdError, TimedOut
from libgomd.model import JobState
from tests.unit.jobs.migration.moving import cut
from tests.unit.jobs.moving_nodes import Cluster, failure_of
from tests.unit.scratch import quick_scratch

Fault = Callable[[Cluster, int, int], None]


def _kill_source(cluster: Cluster, source: int, target: int) -> None:
    cluster.kill(source)


def _stop_source(cluster: Cluster, source: int, target: int) -> None:
    cluster.stop(source)


def _kill_busy_source(cluster: Cluster, source: int, target: int) -> None:
    cluster.kill(source)
    cluster.machines[source].busy = 3


def _kill_busy_target(cluster: Cluster, source: int, target: int) -> None:
    cluster.kill(target)
    cluster.machines[target].busy = 3


def _kill_target(cluster: Cluster, source: int, target: int) -> None:
    cluster.kill(target)


def _stop_target(cluster: Cluster, source: int, target: int) -> None:
    cluster.stop(target)


def _crash_source(cluster: Cluster, source: int, target: int) -> None:
    cluster.crash(source)


def _crash_target(cluster: Cluster, source: int, target: int) -> None:
    cluster.crash(target)


class FaultTests(SynchronousTestCase):
    """Something fails at one step of a migration after the other; when all are up again, all is settled."""

    def begin(self, source: int) -> Cluster:
        """Start a job of node 1 and bring it to ``source``."""
        cluster = Cluster(quick_scratch(self))
        self.addCleanup(cluster.end)
        cluster.begin(detach=True)
        if source != 1:
            self.assertNoResult(cluster.move(1, source).addErrback(self.fail))
            cluster.settle()
            cluster.run(2, 1.0)
        return cluster

    def fail_at(self, fault: Fault, at: int, source: int, target: int) -> Cluster | None:
        """Let ``fault`` happen at that step; None when it takes fewer."""
        cluster = self.begin(source)
        begun = cluster.network.delivered
        happened: list[int] = []

        def strike(count: int, _link: object) -> None:
            if count - begun == at and not happened:
                happened.append(count)
                fault(cluster, source, target)

        cluster.network.at = strike
        cluster.move(source, target).addErrback(lambda failure: failure.trap(GomdError))
        cluster.settle()
        if not happened:
            return None
        for number, machine in cluster.machines.items():
            if machine.daemon is None:
                machine.up = True
                cluster.start(number)
        cluster.settle()
        cluster.run(16, 2.0)
        self.assertEqual(cluster.left(), [], (at, fault))
        return cluster

    def check_all(self, fault: Fault, source: int, target: int, first: int = 1, each: int = 1) -> None:
        """The job runs, once, where its home says; when it ends its home knows how."""
        at, places = first, set()
        while cluster := self.fail_at(fault, at, source, target):
            [(node, _program)] = cluster.programs()
            places.add(node)
            self.assertEqual(cluster.job().node, node, (at, fault))
            [supervisor] = cluster.machines[node].supervisors
            supervisor.end(7)
            cluster.settle()
            self.assertEqual((cluster.job().state, cluster.job().exit), (JobState.DONE, 7), (at, fault))
            cluster.end()
            at += each
        self.assertGreater(at, 12)
        self.assertEqual(places, {source, target})

    def test_a_daemon_that_cannot_ask_its_supervisors_at_first(self) -> None:
        """It has no descriptor free after its start: no copy is taken for gone, nor runs twice."""
        self.check_all(_kill_busy_source, 2, 3, each=2)
        self.check_all(_kill_busy_target, 2, 3, each=2)
        self.check_all(_kill_busy_target, 2, 1, each=3)

    def test_the_sources_daemon(self) -> None:
        """Killed, and stopped as it should, and started again; on its way to a third node, and from home."""
        self.check_all(_kill_source, 2, 3)
        self.check_all(_stop_source, 1, 2, first=2, each=5)

    def test_the_targets_daemon(self) -> None:
        """The same there, and where the target is the job's home."""
        self.check_all(_kill_target, 2, 3)
        self.check_all(_stop_target, 2, 1, first=2, each=4)

    def test_the_connection(self) -> None:
        """Broken at any step."""
        self.check_all(cut, 2, 3, each=2)

    def test_a_machine_goes_down(self) -> None:
        """With the only copy the job is lost, and said to be; with any other one it runs on."""
        for fault, source, target in (
            (_crash_source, 1, 2), (_crash_source, 2, 3), (_crash_target, 2, 3), (_crash_target, 2, 1)
        ):  # fmt: skip
            found, at = set(), 1
            while cluster := self.fail_at(fault, at, source, target):
                running = [node for node, _program in cluster.programs()]
                job = cluster.job()
                self.assertLess(len(running), 2)
                if running:
                    self.assertEqual((job.state, job.node), (JobState.RUNNING, running[0]), (at, fault))
                else:
                    self.assertEqual((job.state, job.exit), (JobState.LOST, 143), (at, fault))
                    self.assertTrue(job.reason)
                found.add(tuple(running))
                cluster.end()
                at += 4
            self.assertEqual(found, {(), (target,) if fault is _crash_source else (source,)})

    def test_a_target_that_stays_away(self) -> None:
        """Who waits is told after a while that it is not known; it is settled when the node is back."""
        cluster = self.begin(1)
        moving = cluster.move(1, 2)
        while not self.decided(cluster):
            self.assertTrue(cluster.network.step())
        cluster.kill(2)
        cluster.settle()
        cluster.run(CALLER_TIMEOUT - 20, 10.0)
        self.assertNoResult(moving)
        cluster.run(30, 10.0)
        self.assertIsInstance(failure_of(moving), TimedOut)
        self.assertEqual(cluster.programs(), [])
        cluster.start(2)
        cluster.run(20, 2.0)
        [(node, _program)] = cluster.programs()
        self.assertEqual((node, cluster.job().node), (2, 2))
        self.assertEqual(cluster.left(), [])

    def decided(self, cluster: Cluster) -> bool:
        """Whether the source has decided."""
        return any(
            active.driver.side.state.word == "decided"
            for active in cluster[1].migrations.active._active.values()
        )
