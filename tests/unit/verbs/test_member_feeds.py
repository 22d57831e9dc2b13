"""Feeds of thousands of nodes: begun and ended in pieces, light, and as robust as any other."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from gomd.verbs import merged_nodes
from gomd.verbs.branch_rounds import joined_bytes
from gomd.verbs.branches import RELAY, parse_branch
from gomd.verbs.intermediates import Intermediates
from gomd.verbs.member_feeds import MEMBERS_PER_TURN
from gomd.verbs.node_feeds import FIRST_PAUSE, SILENCE_GRAIN, SILENCE_TIMEOUT, Failure
from gomd.verbs.node_rounds import whole_round
from gomd.verbs.watch_options import ALL
from libgomd.errors import MalformedReply, NotFound, PeerUnreachable
from libgomd.model import Node, Role, Status
from libgomd.wire.lines import Request

_UP = Status.CONFIGURED | Status.UP
ROUND = whole_round(b'{"value": 7, "round": 1, "rows": 1}\r\n')
#: Objects that the collector of cycles has to look at, for each node: its feed, its round and little more.
MOST_OBJECTS = 5
NODES = 2000


class Stream:
    """A stream that is open. :ivar nodes: whose rounds it brings, first the node to which it leads."""

    def __init__(self, take: Callable[[bytes], None], nodes: tuple[int, ...]) -> None:
        self.take = take
        self.nodes = nodes
        self.ended: Deferred[None] = Deferred()


class Cluster:
    """
    A membership of so many nodes, and streams to them.

    :ivar open: the streams. :ivar unreachable: nodes to which no stream opens.
    """

    own_id, fan_out = 0, 32
    role, json = Role.READ, True

    def __init__(self, count: int) -> None:
        self.members = self.caller = self.events = self.peers = self
        self.clock = Clock()
        self.intermediates = Intermediates()
        self.known = {each: Node(each, f"node{each}", "10.0.0.1", _UP) for each in range(1, count + 1)}
        self.open: set[Stream] = set()
        self.unreachable: set[int] = set()

    def nodes(self) -> list[Node]:
        return list(self.known.values())

    def find(self, key: str) -> Node:
        if int(key) not in self.known:
            raise NotFound(f"node {key} is not known")
        return self.known[int(key)]

    async def follow(self, node: Node, request: Request, _caller: object, opened: Any, take: Any) -> None:
        """Open a stream."""
        if node.id in self.unreachable:
            raise PeerUnreachable(f"node {node.id} {node.name} cannot be reached")
        branch = parse_branch(request.arguments, node.id).nodes if request.verb == RELAY else ()
        opened()
        stream = Stream(take, (node.id, *branch))
        self.open.add(stream)
        try:
            await stream.ended
        finally:
            self.open.remove(stream)

    def send(self, *silent: int) -> None:
        """Let all nodes send a round, but those that are silent."""
        for stream in tuple(self.open):
            sent = [(each, ROUND) for each in stream.nodes if each not in silent]
            for data in joined_bytes(sent, lambda _: None):
                stream.take(data if len(stream.nodes) > 1 else ROUND.data)

    def relay(self) -> Stream:
        """Return a stream to a relay."""
        return min((each for each in self.open if len(each.nodes) > 2), key=lambda each: each.nodes)

    def directly(self) -> set[int]:
        """Return the nodes that have a stream of their own."""
        return {each.nodes[0] for each in self.open if len(each.nodes) == 1}


class MemberFeedTests(SynchronousTestCase):
    """Two thousand nodes, watched through thirty-two of them or some more."""

    def setUp(self) -> None:
        self.cluster: Any = Cluster(NODES)
        self.nodes = self.watch()
        self.nodes._sync()
        self.cluster.clock.pump([0.005] * 20)
        self.cluster.send()

    def watch(self) -> merged_nodes.MergedNodes:
        """Watch all of them."""
        gate: Any = None
        return merged_nodes.MergedNodes(
            self.cluster, self.cluster, ALL, Request("load", ()), 1.0, _unused, _unused, gate
        )

    def tearDown(self) -> None:
        self.nodes.stop()
        self.cluster.clock.pump([0.005] * 20)
        self.assertEqual(self.cluster.open, set())
        self.assertEqual(self.cluster.clock.getDelayedCalls(), [])

    def rows_age(self, node: int) -> float:
        """How old the rows of a node are."""
        return self.nodes.feeds[node].age()

    def failure(self, node: int) -> Failure:
        """Why there are no newer rows of a node."""
        found = self.nodes.feeds[node].failure
        assert found is not None
        return found

    def pass_seconds(self, seconds: int, *silent: int) -> None:
        """Let time pass, in which all send a round each second."""
        for _ in range(seconds):
            self.cluster.clock.advance(1.0)
            self.cluster.send(*silent)

    def test_all_are_followed(self) -> None:
        """Each by one stream, and few streams in all."""
        followed = [each for stream in self.cluster.open for each in stream.nodes]
        self.assertEqual(sorted(followed), list(range(1, NODES + 1)))
        self.assertLessEqual(len(self.cluster.open), 2 * 32)
        self.assertTrue(all(each.rows for each in self.nodes.feeds.values()))

    def test_in_pieces(self) -> None:
        """Some are begun, and ended, in one turn of the reactor."""
        watch = self.watch()
        watch._sync()
        self.assertEqual(len(watch.feeds), MEMBERS_PER_TURN)
        self.cluster.clock.advance(0.005)
        self.assertEqual(len(watch.feeds), 2 * MEMBERS_PER_TURN)
        watch.stop()
        self.cluster.clock.pump([0.005] * 20)

    def test_a_node_takes_few_objects(self) -> None:
        """Or each full collection of cycles would stop a daemon that watches thousands."""
        gc.collect()
        with_feeds = len(gc.get_objects())
        self.nodes.stop()
        self.cluster.clock.pump([0.005] * 20)
        gc.collect()
        self.assertLess(with_feeds - len(gc.get_objects()), MOST_OBJECTS * NODES)

    def test_one_that_is_silent(self) -> None:
        """It is asked directly in time, with its old rows until it answers; nobody else is affected."""
        silent = self.cluster.relay().nodes[-1]
        self.pass_seconds(5, silent)
        self.assertGreater(self.rows_age(silent), 3)
        self.assertNotIn(silent, self.cluster.directly())
        self.pass_seconds(int(SILENCE_TIMEOUT + 3 + SILENCE_GRAIN + FIRST_PAUSE), silent)
        self.assertEqual(self.cluster.directly(), {silent})
        self.cluster.send()
        self.assertEqual({self.rows_age(each) for each in self.nodes.feeds}, {0})

    def test_one_that_cannot_be_reached(self) -> None:
        """It says why, is tried again ever more rarely, and at once when it is up again."""
        stream = self.cluster.relay()
        relay = stream.nodes[0]
        self.cluster.unreachable = {relay}
        stream.ended.errback(PeerUnreachable("it has gone"))
        self.pass_seconds(20)
        self.assertEqual(self.failure(relay).code, PeerUnreachable.code)
        self.assertEqual({self.rows_age(each) for each in stream.nodes[1:]}, {0})
        self.cluster.unreachable = set()
        self.nodes.feeds[relay].wake()
        self.cluster.send()
        self.assertIsNone(self.nodes.feeds[relay].failure)

    def test_one_whose_rows_are_refused(self) -> None:
        """They are shown no more, with the reason, until it sends others."""
        self.nodes.feeds[9].refuse(MalformedReply("a process of another node"))
        self.assertIsNone(self.nodes.feeds[9].rows)
        self.assertIn("node 9 node9: a process of another node", self.failure(9).text)
        self.pass_seconds(3)
        self.assertEqual(self.rows_age(9), 0)

    def test_one_that_is_not_known_any_more(self) -> None:
        """When its feed begins again; that ends no other feed."""
        del self.cluster.known[9]
        self.nodes.feeds[9].refuse(MalformedReply("nonsense"))
        self.pass_seconds(3)
        self.assertEqual(self.failure(9).code, NotFound.code)
        self.nodes._sync()
        self.assertNotIn(9, self.nodes.feeds)
        self.assertEqual(self.rows_age(10), 0)


def _unused(*_asked: Any) -> Any:
    """Stand for this node's own answers, which are not asked for."""
    raise AssertionError("this node is none of them")
