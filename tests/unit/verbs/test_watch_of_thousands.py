"""`watch nodes` of thousands has as many rounds as they allow; `watch @all` begins and ends in pieces."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from gomd.verbs import merged_nodes, merged_rounds
from gomd.verbs.first_rows import ROWS_PER_TURN, FirstRows, first_rows
from gomd.verbs.node_feeds import Failure
from gomd.verbs.node_rounds import NodeRound, whole_round
from gomd.verbs.watch_options import ALL, allowed
from libgomd.model import Node, Role, Status
from libgomd.wire.lines import Request

_UP = Status.CONFIGURED | Status.UP


class ThousandsOfNodes:
    """A membership of so many nodes; what else a watch asks of a daemon."""

    own_id = 0
    fan_out, intermediates = 20_000, None  # all of them are asked directly, which is the most work

    def __init__(self, count: int) -> None:
        self.members = self
        self.clock = Clock()
        self.caller = self
        self.role = Role.READ
        self.events = self
        self.peers = self
        self.json = True
        self.asked: set[int] = set()
        self.ended = 0
        self._nodes = [Node(each, f"node{each}", "10.0.0.1", _UP) for each in range(1, count + 1)]

    def nodes(self) -> Sequence[Node]:
        return self._nodes

    def find(self, key: str) -> Node:
        return self._nodes[int(key) - 1]

    async def follow(self, *asked: Any) -> Any:
        """Watch a node: nothing comes."""
        self.asked.add(asked[0].id)
        asked[3]()
        try:
            await Deferred()
        finally:
            self.ended += 1


def _daemon(count: int) -> Any:
    return ThousandsOfNodes(count)


class PeriodTests(SynchronousTestCase):
    """How often a round comes."""

    def allowed(self, verb: str, period: float, nodes: int) -> tuple[float, str]:
        """Return the period that a reader gets, and what the status line says of it."""
        parts: Any = ThousandsOfNodes(nodes)

        class Asked:
            name, slow = verb, False

        asked: Any = Asked
        return allowed(period, asked, parts, parts)

    def test_ten_thousand_nodes(self) -> None:
        """Every four seconds; whoever wants fewer rounds gets those."""
        self.assertEqual(self.allowed("nodes", 1.0, 10_000), (4.0, ", as often as 10000 nodes allow"))
        self.assertEqual(self.allowed("nodes", 10.0, 10_000), (10.0, ""))

    def test_a_thousand_nodes(self) -> None:
        """As often as ever; so are answers without a row for each node."""
        self.assertEqual(self.allowed("nodes", 1.0, 1000), (1.0, ""))
        self.assertEqual(self.allowed("nodes", 0.1, 1000), (1.0, ", as often as read may"))
        self.assertEqual(self.allowed("load", 1.0, 10_000), (1.0, ""))


class PausingNodes(merged_nodes.MergedNodes):
    """:ivar pauses: how often others were looked after."""

    pauses = 0

    async def pause(self) -> None:
        self.pauses += 1
        await super().pause()


class PieceTests(SynchronousTestCase):
    """Nothing is done for thousands of nodes in one turn of the reactor."""

    def setUp(self) -> None:
        self.daemon = _daemon(1000)
        request: Any = type("Asked", (), {"verb": "ps", "arguments": ()})
        gate: Any = _Gate()
        self.nodes = PausingNodes(self.daemon, self.daemon, ALL, request, 1.0, _unused, _unused, gate)
        self.nodes._sync()

    def turns(self, condition: Any) -> int:
        """Return how many turns of the reactor it takes."""
        for turn in range(200):
            if condition():
                return turn
            self.daemon.clock.advance(0.005)
        raise AssertionError("it never came so")

    def test_begun_and_ended(self) -> None:
        """A hundred at a time, each once."""
        self.assertEqual(len(self.nodes.feeds), merged_nodes.FEEDS_PER_TURN)
        self.turns(lambda: len(self.nodes.feeds) == 1000)
        self.assertEqual(len(self.daemon.asked), 1000)
        self.nodes._sync()
        self.assertEqual(len(self.nodes.feeds), 1000)
        self.nodes.stop()
        self.assertLessEqual(self.daemon.ended, merged_nodes.FEEDS_PER_TURN)
        self.turns(lambda: self.daemon.ended == 1000)

    def test_stopped_while_it_begins(self) -> None:
        """Nothing is begun any more."""
        self.nodes.stop()
        self.daemon.clock.pump([0.005] * 100)
        self.assertEqual(self.daemon.ended, len(self.daemon.asked))
        self.assertEqual(self.daemon.clock.getDelayedCalls(), [])

    def composed(self, first: FirstRows | None, least_turns: int) -> Sequence[str]:
        """Return the rows of a round, after it has taken at least so many turns."""
        self.turns(lambda: len(self.nodes.feeds) == 1000)
        for feed in self.nodes.feeds.values():
            feed.failure = Failure(504, "silent")
        self.nodes._wait_until, self.nodes._sync_at = 0.0, float("inf")
        self.nodes._follower = Deferred()
        self.nodes._follower.addErrback(lambda failure: failure.trap(CancelledError))
        rounds = merged_rounds.MergedRounds(self.nodes, True, True, True, first)
        composed = Deferred.fromCoroutine(rounds.round())
        self.turns(lambda: composed.called)
        self.assertGreaterEqual(self.nodes.pauses, least_turns)
        self.nodes.stop()
        self.daemon.clock.pump([0.005] * 100)
        lines: Sequence[str] = self.successResultOf(composed).lines
        return lines

    def have(self, node: int, rows: int) -> None:
        """Let a node have so many processes, the busiest first."""
        self.turns(lambda: len(self.nodes.feeds) == 1000)
        row = '{"cpu_percent": %d, "node": %d, "home": 9, "round": 1, "rows": %d}\r\n'
        data = "".join(row % (rows - at, node, rows) for at in range(rows))
        self.nodes.feeds[node].rows = whole_round(data.encode())

    def test_a_round(self) -> None:
        """Is composed in several turns, and whole."""
        self.assertEqual(len(self.composed(None, 0)), 1000)

    def test_many_rows_of_one_node(self) -> None:
        """They are composed in as many turns as if they were of several nodes."""
        self.have(3, 10_000)
        rows = self.composed(None, 10_000 // merged_rounds.ROWS_PER_TURN)
        self.assertEqual(len(rows), 10_999)

    def test_the_first_rows_of_all(self) -> None:
        """They are chosen and composed in several turns, of the rounds that there are at the beginning."""
        self.have(3, 10_000)
        self.have(4, 5_000)
        first = first_rows(8_000, (), Request("ps", ("--sort", "cpu")))
        turns = 8_000 // merged_rounds.ROWS_PER_TURN + 8_000 // ROWS_PER_TURN - 1
        self.daemon.clock.callLater(0, self.have, 3, 1)
        shown = [json.loads(row) for row in self.composed(first, turns)]
        found = [row["cpu_percent"] for row in shown if "cpu_percent" in row]
        self.assertEqual(sorted(found), sorted([*range(3501, 10_001), *range(3501, 5_001)]))
        self.assertEqual(len(shown), 8_000 + 998)

    def test_a_row_that_pretends_is_refused_whenever_it_comes(self) -> None:
        """The node has an error in place of all its rows; those of the others are shown."""
        self.have(3, 4_000)
        self.have(4, 4_000)
        round_of_3 = self.nodes.feeds[3].rows
        assert isinstance(round_of_3, NodeRound)
        last = round_of_3.data.rindex(b'"node": 3')
        data = bytearray(round_of_3.data)
        data[last : last + 9] = b'"node": 7'
        self.nodes.feeds[3].rows = whole_round(bytes(data))
        for first in (None, first_rows(8_000, (), Request("ps", ("--sort", "cpu")))):
            shown = [json.loads(row) for row in self.composed(first, 1)]
            self.assertEqual(len(shown), 4_000 + 999)
            [told] = [row["error"] for row in shown if row["from"] == 3]
            self.assertIn("a process of another node", told)
            self.setUp()
            self.have(3, 4_000)
            self.have(4, 4_000)
            self.nodes.feeds[3].rows = whole_round(bytes(data))


class _Gate:
    """Lets everybody in."""

    def acquire(self) -> Deferred[None]:
        gone: Deferred[None] = Deferred()
        gone.callback(None)
        return gone

    def release(self) -> None:
        """Nobody waits."""


def _unused(*_asked: Any) -> Any:
    """Stand for this node's own answers, which are not asked for."""
    raise AssertionError("this node is none of them")
