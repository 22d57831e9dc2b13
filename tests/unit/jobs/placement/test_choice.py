"""Which node a job is put on, and why a node is not taken."""

from __future__ import annotations

from collections import Counter

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyClass

from gomd.interfaces import IPlacement, Need
from gomd.jobs.placement.choice import CHOICE_LIFETIME, Placement
from libgomd.errors import NotPossible
from libgomd.model import Node, Status
from libgomd.opportunity_cost import cost

GB = 1 << 30
UP = Status.CONFIGURED | Status.UP


def node(
    number: int,
    load: int | None = 0,
    mem: int | None = 4 * GB,
    tmem: int = 4 * GB,
    status: Status = UP,
    speed: int = 15000,
    cpus: int = 1,
) -> Node:
    return Node(
        number, f"n{number}", f"10.0.0.{number}", status,
        load=load, speed=speed, cpus=cpus, util=100 * cpus, mem=mem, rmem=mem, tmem=tmem, age=0.1,
    )  # fmt: skip


class PlacementTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.placement = Placement(1, self.clock)

    def choose(self, *nodes: Node, need: Need | None = None) -> int:
        return self.placement.choose(nodes, need or Need()).id

    def fresh(self, *nodes: Node, need: Need | None = None) -> int:
        """The choice of a daemon that has not chosen before."""
        return Placement(1, Clock()).choose(nodes, need or Need()).id

    def test_interface(self) -> None:
        """It is what the verbs expect."""
        self.assertTrue(verifyClass(IPlacement, Placement))

    def test_the_least_busy_node_is_taken(self) -> None:
        """Of equal machines the idle one; of idle ones home; of the others the smallest id."""
        self.assertEqual(self.fresh(node(1, 100), node(2, 30), node(3, 60)), 2)
        self.assertEqual(self.fresh(node(2), node(1), node(3)), 1)
        self.assertEqual(self.fresh(node(3), node(2), node(1, 100)), 2)

    def test_speed_and_processors_count(self) -> None:
        """A machine twice as fast, or with two processors, is taken before a plain one as busy as it."""
        for big in (node(2, 50, speed=30000), node(2, 50, cpus=2)):
            self.assertEqual(self.fresh(node(1, 20), big), 2)
        self.assertEqual(self.fresh(node(1, 20), node(2, 100, speed=30000)), 1)

    def test_scarce_memory_weighs_against_an_idle_processor(self) -> None:
        """A job of 3 GB goes to the somewhat busier node with 16 GB, not into the last corner of one."""
        need = Need(memory=3 * GB)
        small, large = node(1, 0, mem=int(3.1 * GB)), node(2, 20, mem=12 * GB, tmem=16 * GB)
        self.assertEqual(self.fresh(small, large, need=need), 2)
        self.assertEqual(self.fresh(small, large, need=Need(memory=GB // 8)), 1)

    def test_the_cost_is_that_of_the_paper(self) -> None:
        """n to the share of the memory in use, plus n to the load over the ceiling."""
        self.assertAlmostEqual(cost(16, 0.5, 0.25), 4.0 + 2.0)
        self.assertAlmostEqual(cost(3, 0.0, 0.0), 2.0)

    def test_the_ceiling_doubles_whenever_a_load_passes_it(self) -> None:
        """One busy machine makes the loads of all smaller in proportion; it stays so."""
        self.assertEqual(self.placement.ceiling, 100.0)
        self.choose(node(1, 0), node(2, 330))
        self.assertEqual(self.placement.ceiling, 400.0)
        self.choose(node(1, 0), node(2, 0))
        self.assertEqual(self.placement.ceiling, 400.0)

    def test_ten_at_once_spread_out(self) -> None:
        """Ten runs within a second on five equal nodes: two on each, though no load shows any of them yet."""
        nodes = [node(number) for number in range(1, 6)]
        chosen = []
        for _ in range(10):
            chosen.append(self.choose(*nodes))
            self.clock.advance(0.09)
        self.assertEqual(Counter(chosen), dict.fromkeys(range(1, 6), 2))

    def test_ten_at_once_spread_out_by_speed(self) -> None:
        """A node of four processors gets four times what the others get."""
        nodes = [node(1, cpus=4), node(2), node(3)]
        self.assertEqual(Counter(self.choose(*nodes) for _ in range(12)), {1: 8, 2: 2, 3: 2})

    def test_the_memory_of_recent_choices_is_taken(self) -> None:
        """The second job of 3 GB does not go where the first one is just beginning to use its memory."""
        need = Need(memory=3 * GB)
        self.assertEqual(self.choose(node(1), node(2, 50), need=need), 1)
        self.assertEqual(self.choose(node(1), node(2, 50), need=need), 2)
        with self.assertRaises(NotPossible):
            self.choose(node(1), node(2, 50), need=need)

    def test_a_choice_is_forgotten_when_the_loads_show_it(self) -> None:
        """Later only what the nodes say counts."""
        self.assertEqual(self.choose(node(1), node(2)), 1)
        self.clock.advance(CHOICE_LIFETIME)
        self.assertEqual(self.choose(node(1), node(2)), 1)

    def test_a_choice_can_be_withdrawn(self) -> None:
        """A start that failed leaves no trace; withdrawing what was never chosen does nothing."""
        self.assertEqual(self.choose(node(1), node(2)), 1)
        self.placement.withdraw(1)
        self.placement.withdraw(7)
        self.assertEqual(self.choose(node(1), node(2)), 1)

    def test_why_a_node_is_not_taken(self) -> None:
        """The error says it of each, with what to look at."""
        need = Need(memory=GB, blind=frozenset({4}), nodes=frozenset({2, 3, 4, 5, 9}))
        with self.assertRaises(NotPossible) as caught:
            self.choose(
                node(1), node(2, status=Status.CONFIGURED), node(3, status=UP | Status.BLOCK), node(4),
                node(5, mem=GB // 2), need=need,
            )  # fmt: skip
        self.assertEqual(
            str(caught.exception),
            "no node can take this job: n2 (2) is down; n3 (3) takes no guests (block); n4 (4) does not have "
            "the job's directory; n5 (5) has 512 MB of memory free, not 1024 MB; 9 is no node",
        )

    def test_a_long_list_of_reasons_is_cut(self) -> None:
        """A thousand nodes that are down make one readable line."""
        nodes = [node(number, status=Status.CONFIGURED) for number in range(1, 1001)]
        with self.assertRaises(NotPossible) as caught:
            self.choose(*nodes)
        self.assertIn("n8 (8) is down; and 992 more", str(caught.exception))
        with self.assertRaises(NotPossible) as caught:
            self.choose()
        self.assertEqual(str(caught.exception), "no node can take this job: there is none")

    def test_a_node_that_blocks_still_takes_its_own(self) -> None:
        """`block` refuses guests; a job started at home is none."""
        self.assertEqual(self.choose(node(1, status=UP | Status.BLOCK), node(2, 200)), 1)

    def test_unknown_loads(self) -> None:
        """A node that tells no load is only taken when no other can be, home first, or when `-n` names it."""
        quiet = node(2, 0, status=UP | Status.QUIET)
        self.assertEqual(self.choose(node(1, 500), quiet, node(3, load=None)), 1)
        self.assertEqual(self.choose(node(1, None), quiet), 1)
        self.assertEqual(self.choose(node(1, 0), quiet, need=Need(nodes=frozenset({2}))), 2)

    def test_extreme_values_are_no_error(self) -> None:
        """A load or a speed out of all proportion still gives an answer."""
        nodes = [node(1, 10**9, speed=1), node(2, 10**9 + 1, speed=1), node(3, -5, mem=0, tmem=0)]
        self.assertEqual(self.choose(*nodes), 3)
        self.assertEqual(self.choose(*nodes[:2]), 1)
