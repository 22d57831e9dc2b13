"""
The stream of a Serf agent drops events when its reader is slow (512 wait there), and does not say so.

Whatever is lost is made up for by the comparison with the list of all members, once a minute.
"""

from __future__ import annotations

from typing import Any

from gomd.cluster.serf.link import COMPARE_INTERVAL, PING_INTERVAL
from libgomd.model import EventKind
from tests.unit.cluster.serf.case import SerfCase, member

#: Seconds until the next comparison is over, and whoever fails has been asked.
COMPARED = COMPARE_INTERVAL + PING_INTERVAL + 3.0


class LostEventTests(SerfCase):
    """Nodes 3 to 6 are up; then the agent knows of changes that it does not tell."""

    def setUp(self) -> None:
        super().setUp()
        self.begin(3, 4, 5, 6)
        self.assertEqual(self.up(), [3, 4, 5, 6, 7])

    def silently(self, **changed: Any) -> None:
        """Let the agent have other members, without an event. ``nN`` is what it says of node N, or None."""
        said = {f"n{node}": member(node) for node in (3, 4, 5, 6)} | changed
        self.agent.present = [each for each in said.values() if each is not None]

    def test_a_goodbye(self) -> None:
        """It is asked until it does not answer any more: then it has left, and is not down."""
        self.silently(n3=member(3, "left"))
        self.run_for(COMPARED)
        self.assertIn(3, self.up())
        self.dead(3)
        self.run_for(4.0)
        self.assertEqual(self.up(), [4, 5, 6, 7])
        self.assertEqual(self.seen()[-1], (EventKind.LEAVE, 3, 3))

    def test_a_new_node(self) -> None:
        """It joins with the comparison, not before."""
        self.alive(9)
        self.silently(n9=member(9))
        self.run_for(COMPARE_INTERVAL / 2)
        self.assertNotIn(9, self.up())
        self.run_for(COMPARED - COMPARE_INTERVAL / 2)
        self.assertIn(9, self.up())

    def test_a_new_start(self) -> None:
        """Told by its tags."""
        self.silently(n5=member(5, start=2000))
        self.run_for(COMPARED)
        self.assertEqual(self.seen()[-2:], [(EventKind.LEAVE, 5, 5), (EventKind.JOIN, 5, 7)])

    def test_a_mass_death(self) -> None:
        """All are down, also who is not listed any more; a node that Serf calls failed wrongly is not."""
        self.dead(3, 4)
        self.silently(n3=member(3, "failed"), n4=None, n5=member(5, "failed"))
        self.run_for(COMPARED)
        self.assertEqual(self.up(), [5, 6, 7])
        downs = {each[1] for each in self.seen() if each[0] is EventKind.DOWN}
        self.assertEqual(downs, {3, 4})

    def test_a_node_that_is_back(self) -> None:
        """It failed, which was told, and recovered, which was not."""
        self.dead(6)
        self.agent.say("member-failed", member(6, "failed"))
        self.run_for(5.0)
        self.assertNotIn(6, self.up())
        self.alive(6)
        self.silently()
        self.run_for(COMPARED)
        self.assertIn(6, self.up())
        self.assertEqual(self.seen()[-1], (EventKind.UP, 6, 7))

    def test_a_stream_that_says_nothing_any_more(self) -> None:
        """The connection answers, so nothing else shows it: each change comes with the next comparison."""
        for wire in self.agent.wires:
            wire.stream = None
        for node in (9, 10):
            self.alive(node)
            self.silently(n9=member(9), **({"n10": member(10)} if node == 10 else {}))
            self.agent.say("member-join", member(node))
            self.assertNotIn(node, self.up())
            self.run_for(COMPARED)
            self.assertIn(node, self.up())
        self.assertEqual(self.link.connections, 1)
