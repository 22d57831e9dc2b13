"""When a process moves by balancing, and when it stays: real balancers on a model of nodes and spinners."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from gomd.jobs.placement.balancing import Balance, MoveCosts
from gomd.services.balancer import Balancer
from libgomd.errors import SourceUnavailable
from libgomd.model import Node, Process, Status
from tests.simulation.balancing import MB, UP, Cluster, node, process


def spinners(count: int, home: int = 1, **other: Any) -> list[Process]:
    return [process(100 * home + number, home, **other) for number in range(count)]


class BalancingTests(SynchronousTestCase):
    def cluster(self, nodes: Sequence[Node], processes: Sequence[Process], **options: Any) -> Cluster:
        cluster = Cluster(nodes, processes, **options)
        self.addCleanup(cluster.stop)
        return cluster

    def test_three_spinners_settle_as_two_and_one_and_rest(self) -> None:
        """On two equal nodes one of three moves within half a minute; in the ten minutes after that none."""
        cluster = self.cluster([node(1), node(2)], spinners(3))
        cluster.run(30)
        self.assertEqual(cluster.counts(), [2, 1])
        cluster.run(600)
        self.assertEqual(cluster.counts(), [2, 1])
        self.assertEqual([(one.source, one.target) for one in cluster.moves], [(1, 2)])

    def test_other_work_that_comes_and_goes_moves_nothing(self) -> None:
        """On both nodes something else runs one second in five: still one move in ten minutes."""
        for seed in range(5):
            cluster = self.cluster([node(1), node(2)], spinners(3), seed=seed, noise=0.2)
            cluster.run(600)
            self.assertEqual(sorted(cluster.counts()), [1, 2])
            self.assertEqual(len(cluster.moves), 1, cluster.moves)

    def test_many_nodes_share_the_work_of_one(self) -> None:
        """Eight spinners on one of four equal nodes: two on each, six moves, one at a time."""
        cluster = self.cluster([node(number) for number in range(1, 5)], spinners(8))
        cluster.run(600)
        self.assertEqual(cluster.counts(), [2, 2, 2, 2])
        self.assertEqual(len(cluster.moves), 6)
        self.assertEqual(cluster.together, 1)

    def test_busy_nodes_do_not_flood_an_idle_one(self) -> None:
        """Five nodes with two spinners each beside an idle one: nobody ends with three, and all rest."""
        for seed in range(3):
            work = [one for home in range(1, 6) for one in spinners(2, home)]
            cluster = self.cluster([node(number) for number in range(1, 7)], work, seed=seed)
            cluster.run(150)
            self.assertEqual(max(cluster.counts()), 2)
            before = len(cluster.moves)
            self.assertLess(before, 8)
            cluster.run(150)
            self.assertEqual(len(cluster.moves), before)

    def test_a_faster_node_draws_work(self) -> None:
        """A lone spinner goes to an idle node that is half as fast again, and stays there."""
        cluster = self.cluster([node(1), node(2, speed=22500)], spinners(1))
        cluster.run(300)
        self.assertEqual([(one.source, one.target) for one in cluster.moves], [(1, 2)])

    def test_processors_count(self) -> None:
        """Three spinners on a node with four processors have no reason to leave it."""
        cluster = self.cluster([node(1, cpus=4), node(2, cpus=4)], spinners(3))
        cluster.run(300)
        self.assertEqual(cluster.moves, [])

    def test_a_move_that_costs_more_than_it_saves_is_not_made(self) -> None:
        """A spinner of 3 GB moves later than one of 20 MB: half a minute of freezing has to be won first."""
        first = []
        for size in (20 * MB, 3000 * MB):
            cluster = self.cluster([node(1), node(2)], spinners(3, rss=size))
            cluster.run(300)
            first.append(cluster.moves[0].at)
        small, large = first
        self.assertLess(small, 15)
        self.assertGreater(large, 3000 * MB / 100e6)

    def test_what_must_not_move(self) -> None:
        """Locked processes, processes that cannot move, stopped ones, sleepers."""
        cases: list[dict[str, Any]] = [{"lock": True}, {"cantmove": "sockets"}, {"state": "T"}]
        for case in cases:
            cluster = self.cluster([node(1), node(2)], spinners(3, **case))
            cluster.run(60)
            self.assertEqual(cluster.tried, [], case)
        idle = [process(1, cpu_percent=1.0, cpu_seconds=1e6)]
        self.assertIsNone(self.decided([replace(node(1), load=300), node(2)], idle))

    def test_one_that_gets_little_is_not_one_that_wants_little(self) -> None:
        """A nice process that could run counts as a whole one there: two here and one there are balanced."""
        nice = [process(1, cpu_percent=20.0, cpu_seconds=1e4), process(2, cpu_percent=80.0, cpu_seconds=1e4)]
        self.assertIsNone(self.decided([replace(node(1), load=200), replace(node(2), load=100)], nice))
        self.assertIsNotNone(self.decided([replace(node(1), load=200), node(2)], nice))

    def decided(self, nodes: Sequence[Node], processes: Sequence[Process]) -> object:
        """What a node decides that sees the same for a minute."""
        balance = Balance(1, MoveCosts(), lambda: 0.0)
        return [balance.decide(nodes, processes, float(now)) for now in range(60)][-1]

    def test_stay_lets_nothing_leave(self) -> None:
        """And `nostay` makes it move again, as on openMosix."""
        cluster = self.cluster([node(1, status=UP | Status.STAY), node(2)], spinners(3))
        cluster.run(60)
        self.assertEqual(cluster.tried, [])
        cluster.nodes[1] = replace(cluster.nodes[1], status=UP)
        cluster.run(30)
        self.assertEqual(cluster.counts(), [2, 1])

    def test_lstay_keeps_what_was_started_here(self) -> None:
        """Guests may still move on."""
        guests = [process(301, 3, node=1, where=1)]
        cluster = self.cluster(
            [node(1, status=UP | Status.LSTAY), node(2), node(3, status=UP | Status.BLOCK)],
            [*spinners(2), *guests],
        )
        cluster.run(120)
        self.assertEqual([(one.pid, one.target) for one in cluster.moves], [(301, 2)])

    def test_nodes_that_take_nothing(self) -> None:
        """Not to a node that blocks, is down, is quiet, has no room or has not told its load."""
        for other in (
            node(2, status=UP | Status.BLOCK),
            replace(node(2, status=UP | Status.QUIET), load=0),
            replace(node(2), status=Status.CONFIGURED, load=None, speed=None, cpus=None),
            replace(node(2), load=None),
            replace(node(2), mem=10 * MB),
        ):
            busy = [process(1, cpu_percent=33.3, cpu_seconds=1e6, rss=20 * MB)]
            self.assertIsNone(self.decided([replace(node(1), load=300), other], busy), other)
            self.assertIsNotNone(self.decided([replace(node(1), load=300), node(2)], busy))

    def test_a_move_that_fails_is_not_tried_again_at_once(self) -> None:
        """Another process goes instead, and the failing one is asked less and less often."""
        cluster = self.cluster([node(1), node(2)], spinners(3))
        cluster.broken = {100}
        cluster.run(120)
        self.assertEqual(cluster.counts(), [2, 1])
        alone = self.cluster([node(1), node(2, speed=60000)], spinners(1))
        alone.broken = {100}
        alone.run(600)
        self.assertIn(len(alone.tried), (3, 4))

    def test_costs_are_learnt(self) -> None:
        """What moves took lately decides what the next one is thought to take."""
        costs = MoveCosts()
        self.assertAlmostEqual(costs.of(100_000_000), 1.5)
        for _ in range(20):
            costs.observe(1_000_000_000, 2.1)
        self.assertAlmostEqual(costs.of(1_000_000_000), 2.1, places=1)
        costs.observe(0, 1e9)
        self.assertLess(costs.of(0), 20.0)


class BalancerTests(SynchronousTestCase):
    def test_it_survives_every_failure(self) -> None:
        """A table that cannot be read is said, a bug is logged, and the next round comes."""
        asked: list[float] = []
        clock = Clock()

        async def processes() -> Sequence[Process]:
            asked.append(clock.seconds())
            if len(asked) == 1:
                raise SourceUnavailable("no /proc")
            raise ZeroDivisionError

        cluster = Cluster([node(1)], [])
        self.addCleanup(cluster.stop)
        balancer = Balancer(
            Balance(1, MoveCosts(), lambda: 0.0), cluster.balancers[0]._members, processes, _never, clock
        )
        balancer.startService()
        clock.pump([1.0, 1.0])
        self.assertEqual(asked, [1.0, 2.0])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        balancer.stopService()
        clock.pump([1.0] * 3)
        self.assertEqual(asked, [1.0, 2.0])
        self.assertEqual(clock.getDelayedCalls(), [])

    def test_it_counts(self) -> None:
        """`stats` tells how many moves were made and how many failed."""
        cluster = Cluster([node(1), node(2)], spinners(3))
        self.addCleanup(cluster.stop)
        cluster.broken = {100}
        cluster.run(120)
        values = [counter.value for counter in cluster.balancers[0].counters()]
        self.assertEqual(values, [1, 1])


async def _never(moved: Process, target: int) -> None:
    pytest.fail("nothing is to be moved")
