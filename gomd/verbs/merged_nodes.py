"""
The nodes of a merged watch: a feed for each (gomd.verbs.node_feeds), begun and ended as nodes come and leave.

A cluster may have ten thousand nodes, so feeds are begun and ended some at a time, in turns of the reactor.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import Any, Final

from twisted.internet.defer import CancelledError, Deferred, DeferredSemaphore
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import deferLater

from gomd.verbs.context import ISession, Parts
from gomd.verbs.many_nodes import ManyNodes
from gomd.verbs.member_feeds import MEMBERS_PER_TURN, MemberFeeds
from gomd.verbs.node_feeds import Failure, Feed, NodeFeed, Take
from gomd.verbs.own_rounds import follow_here
from gomd.verbs.replies import Replying, WatchReply
from gomd.verbs.watch_options import ALL
from libgomd.errors import NotFound, PeerUnreachable
from libgomd.model import EventKind, Node
from libgomd.wire.lines import Request

#: Seconds for which the first round waits for the nodes.
FIRST_ROUND_TIMEOUT: Final = 2.0
#: Seconds after which it is looked for new nodes though no event told of one.
SYNC_PERIOD: Final = 15.0
#: Feeds that are begun in one turn of the reactor, about 10 ms of work, and seconds until the next ones are.
FEEDS_PER_TURN: Final = 100
_NEXT_TURN: Final = 0.005
#: Events after which the nodes are looked at again.
_CHANGES: Final = (EventKind.JOIN, EventKind.LEAVE, EventKind.UP, EventKind.DOWN)


class MergedNodes:
    """
    The nodes of merged watches of the same words, with a feed for each.

    :ivar feeds: by the ids of the nodes.
    :param node: ``@all``, or the node's id or name behind ``@``. :param request: what each node is asked.
    :param session: as whom the nodes are asked. :param period: seconds between two rounds.
    :param ask_here: asks this node: ``(session, request)``. :param watch_here: gives the rounds of this
        node's own watch. :param gate: limits how many nodes all such watches connect to at once.
    :ivar watches: how many watches use it.
    """

    def __init__(
        self,
        parts: Parts,
        session: ISession,
        node: str,
        request: Request,
        period: float,
        ask_here: Callable[[ISession, Request], Replying],
        watch_here: Callable[[ISession, Request], WatchReply],
        gate: DeferredSemaphore,
    ) -> None:
        self.feeds: dict[int, NodeFeed] = {}
        self.watches = 0
        self._parts = parts
        self._session = session
        self._node = node
        self._request = request
        self._period = period
        self._ask_here = ask_here
        self._watch_here = watch_here
        self._gate = gate
        self._up: set[int] = set()
        self._leaving: set[int] = set()
        self._left: set[int] = set()
        self._unanswered: set[int] = set()
        self._beginning: dict[int, Node] = {}
        self._next_turn: IDelayedCall | None = None
        self._waiting: list[Deferred[None]] = []
        self._follower: Deferred[None] | None = None
        self._wait_until = 0.0
        self._sync_at = 0.0
        self._many = ManyNodes(parts, session, request, period)
        self._members = MemberFeeds(parts.clock, self._many.follower, self._find, self._changed, period)

    async def current(self) -> Mapping[int, NodeFeed]:
        """Return the feeds of the nodes there are now. The first time it waits for their answers."""
        now = self._parts.clock.seconds()
        if self._follower is None:
            self._follower = Deferred.fromCoroutine(self._follow())
            self._follower.addErrback(lambda failure: failure.trap(CancelledError))
            self._wait_until = now + FIRST_ROUND_TIMEOUT
        if now >= self._sync_at:
            self._sync_at = now + SYNC_PERIOD
            self._sync()
        if now < self._wait_until:
            await self._answers(self._wait_until)
            self._wait_until = 0.0
        return self.feeds

    def stop(self) -> None:
        """End all feeds."""
        if self._next_turn is not None:
            self._next_turn.cancel()
            self._next_turn = None
        self._beginning.clear()
        feeds, self.feeds = list(self.feeds.values()), {}
        self._stop_feeds(feeds)
        if self._follower is not None:
            self._follower.cancel()

    def _stop_feeds(self, feeds: list[NodeFeed]) -> None:
        """Stop feeds, some of them now and the others in later turns."""
        count = self._per_turn()
        for feed in feeds[:count]:
            feed.stop()
        if rest := feeds[count:]:
            self._parts.clock.callLater(0, self._stop_feeds, rest)

    def _per_turn(self) -> int:
        return MEMBERS_PER_TURN if self._are_members() else FEEDS_PER_TURN

    async def pause(self) -> None:
        """Let the reactor look after all others."""
        await deferLater(self._parts.clock, 0)

    async def _follow(self) -> None:
        """Note which nodes have come and left."""
        followed = self._parts.events.follow()
        try:
            async for event in followed:
                if event.kind in _CHANGES:
                    self._sync_at = 0.0
                if event.kind is EventKind.LEAVE:
                    self._leaving.add(event.node)
        finally:
            await followed.aclose()

    def _nodes(self) -> Sequence[Node]:
        if self._node == ALL:
            return self._parts.members.nodes()
        try:
            return [self._parts.members.find(self._node[1:])]
        except NotFound:
            return []

    def _sync(self) -> None:
        """Begin feeds for new nodes, and end those of nodes that have left."""
        nodes = {node.id: node for node in self._nodes()}
        self._many.count(nodes.values())
        leaving, self._leaving = self._leaving, set()
        gone = {each for each in self.feeds if each not in nodes or (each in leaving and not nodes[each].up)}
        for each in gone:
            self.feeds.pop(each).stop()
            self._unanswered.discard(each)
        self._left = {each for each in self._left | gone if each in nodes and not nodes[each].up}
        for each, node in nodes.items():
            feed = self.feeds.get(each)
            if feed is None and each not in self._left:
                self._unanswered.add(each)
                self._beginning.setdefault(each, node)
            elif feed is not None and not node.up and feed.failure is None:
                feed.failure = Failure(PeerUnreachable.code, f"node {each} {node.name} is down")
            elif feed is not None and node.up and each not in self._up:
                feed.wake()
        self._up = {each for each, node in nodes.items() if node.up}
        for each in [each for each in self._beginning if each not in nodes]:
            del self._beginning[each]
            self._unanswered.discard(each)
        if self._next_turn is None:
            self._begin()

    def _begin(self) -> None:
        """Begin the next feeds; thousands at once would keep all others waiting."""
        self._next_turn = None
        for each in list(islice(self._beginning, self._per_turn())):
            self.feeds[each] = self._feed(self._beginning.pop(each))
        if self._beginning:
            self._next_turn = self._parts.clock.callLater(_NEXT_TURN, self._begin)

    def _are_members(self) -> bool:
        """Return whether new feeds of other nodes are followed with many others."""
        return self._many.is_large and self._session.json

    def _feed(self, node: Node) -> NodeFeed:
        if self._are_members() and node.id != self._parts.members.own_id:
            return self._members.begin(node)
        return Feed(
            self._parts.clock, lambda: self._find(node.id), self._ask,
            self._follow_node if self._session.json else None, self._many.gate(self._gate), self._period,
            lambda: self._changed(node.id),
        )  # fmt: skip

    def _find(self, node_id: int) -> Node:
        node: Node = self._parts.members.find(str(node_id))
        return node

    def _changed(self, node_id: int) -> None:
        self._unanswered.discard(node_id)
        if not self._unanswered:
            self._wake()

    async def _ask(self, node: Node) -> Any:
        session, request = self._session, self._request
        if node.id == self._parts.members.own_id:
            replying = self._ask_here(session, request)
            return await replying if hasattr(replying, "__await__") else replying
        return await self._many.ask(node)

    async def _follow_node(self, node: Node, opened: Callable[[], None], take: Take) -> None:
        session, request = self._session, self._request
        if node.id == self._parts.members.own_id:
            opened()
            await follow_here(self._watch_here(session, request), take)
            return
        await self._many.follow(node, opened, take)

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            each.callback(None)

    async def _answers(self, until: float) -> None:
        """Wait until every node has answered, or until that moment."""
        clock = self._parts.clock
        while self._unanswered and (left := until - clock.seconds()) > 0:
            changed: Deferred[None] = Deferred(self._waiting.remove)
            self._waiting.append(changed)
            timer = clock.callLater(left, self._wake)
            try:
                await changed
            finally:
                if timer.active():
                    timer.cancel()
