"""
`watch @all VERB` and `watch @NODE VERB`: the answers of several nodes, merged into rounds where it is asked.

Theory of operation. A `MergedNodes` has one feed a node (gomd.verbs.node_feeds), which keeps the newest rows
of that node. A round is composed of what the feeds have at that moment and waits for no node; only the first
one waits, `FIRST_ROUND_TIMEOUT` at most, until every node has answered. So a node that is slow or silent
delays nobody, and its last rows stay with their age. Equal viewers share the rounds (gomd.verbs.rounds), and
with them the feeds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from twisted.internet.defer import CancelledError, Deferred, DeferredSemaphore

from gomd.verbs.context import ISession, Parts
from gomd.verbs.fan_out import MAX_CONCURRENT_NODES
from gomd.verbs.node_feeds import Failure, Feed
from gomd.verbs.quotas import Group
from gomd.verbs.replies import Prepared, Relayed, Replying, WatchReply
from gomd.verbs.rounds import Watches
from libgomd.errors import MalformedRequest, NotFound, PeerUnreachable
from libgomd.model import EventKind, Node
from libgomd.wire.lines import Request
from libgomd.wire.values import dumps

#: The word for every node.
ALL: Final = "@all"
#: Seconds for which the first round waits for the nodes.
FIRST_ROUND_TIMEOUT: Final = 2.0
#: Largest number of such watches at once, of each group and of one caller: each asks every node.
MAX_MERGED: Final = {Group.READERS: 128, Group.USERS: 256, Group.ADMINS: 2048}
MAX_MERGED_PER_CALLER: Final = {Group.READERS: 32, Group.USERS: 64, Group.ADMINS: 1024}
_NOT_YET: Final = Failure(504, "this node has not answered yet")


def refusal(verb: str, node: str) -> MalformedRequest:
    """Return why the ``verb``, which cannot be watched with others, is refused, and what to do instead."""
    if verb.startswith("@"):
        return MalformedRequest(f"name the nodes once: watch {node} VERB ...")
    if verb == "watch":
        return MalformedRequest(f"`watch {node}` takes the verb itself: watch {node} VERB ...")
    if verb == "events":
        return MalformedRequest(
            f"this would repeat all events: say `watch events`, or watch {node} events --kind KIND"
        )
    if verb == "do":
        return MalformedRequest("a command runs on one node at a time: say `@NODE do NAME` for each")
    return MalformedRequest(f"`{verb}` cannot be watched: watch a verb that only reads")


@dataclass(frozen=True, slots=True)
class MergedRequest:
    """
    The request of a merged watch.

    :ivar node: ``@all``, or the node's id or name behind ``@``. :ivar request: what each node is asked.
    """

    node: str
    request: Request


class MergedNodes:
    """
    The nodes of one merged watch, with a feed for each.

    :param session: as whom the nodes are asked. :param ask_here: asks this node: ``(session, request)``.
    :param watch_here: gives the rounds of this node's own watch.
    :param gate: limits how many nodes all such watches connect to at once.
    """

    def __init__(
        self,
        parts: Parts,
        session: ISession,
        merged: MergedRequest,
        period: float,
        ask_here: Callable[[ISession, Request], Replying],
        watch_here: Callable[[ISession, Request], WatchReply],
        gate: DeferredSemaphore,
    ) -> None:
        self._parts = parts
        self._session = session
        self._merged = merged
        self._period = period
        self._ask_here = ask_here
        self._watch_here = watch_here
        self._gate = gate
        self._feeds: dict[int, Feed] = {}
        self._up: set[int] = set()
        self._leaving: set[int] = set()
        self._left: set[int] = set()
        self._changed: Deferred[None] | None = None
        self._follower: Deferred[None] | None = None

    async def round(self) -> Prepared:
        """Return a round of the newest rows. The first one waits for the nodes."""
        is_first = self._follower is None
        if is_first:
            self._follower = Deferred.fromCoroutine(self._follow())
            self._follower.addErrback(lambda failure: failure.trap(CancelledError))
        left = self._sync()
        if is_first:
            await self._answers(self._parts.clock.seconds() + FIRST_ROUND_TIMEOUT)
        lines = [line for node, feed in sorted(self._feeds.items()) for line in self._lines(node, feed)]
        lines += [self._gone(node) for node in left]
        return Prepared(f"{len(self._feeds)} nodes", lines)

    def stop(self) -> None:
        """End all feeds."""
        feeds, self._feeds = self._feeds, {}
        for feed in feeds.values():
            feed.stop()
        if self._follower is not None:
            self._follower.cancel()

    async def _follow(self) -> None:
        """Note which nodes have left."""
        followed = self._parts.events.follow()
        try:
            async for event in followed:
                if event.kind is EventKind.LEAVE:
                    self._leaving.add(event.node)
        finally:
            await followed.aclose()

    def _nodes(self) -> Sequence[Node]:
        if self._merged.node == ALL:
            return self._parts.members.nodes()
        try:
            return [self._parts.members.find(self._merged.node[1:])]
        except NotFound:
            return []

    def _sync(self) -> list[int]:
        """Begin feeds for new nodes, end those of nodes that have left, and return the ids of these."""
        nodes = {node.id: node for node in self._nodes()}
        leaving, self._leaving = self._leaving, set()
        gone = {each for each in self._feeds if each not in nodes or (each in leaving and not nodes[each].up)}
        for each in gone:
            self._feeds.pop(each).stop()
        self._left = {each for each in self._left | gone if each in nodes and not nodes[each].up}
        for each, node in nodes.items():
            feed = self._feeds.get(each)
            if feed is None and each not in self._left:
                self._feeds[each] = self._feed(each)
            elif feed is not None and not node.up and feed.failure is None:
                feed.failure = Failure(PeerUnreachable.code, f"node {each} {node.name} is down")
            elif feed is not None and node.up and each not in self._up:
                feed.wake()
        self._up = {each for each, node in nodes.items() if node.up}
        return sorted(gone)

    def _feed(self, node_id: int) -> Feed:
        def find() -> Node:
            node: Node = self._parts.members.find(str(node_id))
            return node

        return Feed(
            self._parts.clock, find, self._ask, self._gate, self._period, self._session.json, self._on_change
        )

    async def _ask(self, node: Node) -> Any:
        session, request = self._session, self._merged.request
        if node.id == self._parts.members.own_id:
            if session.json:
                return self._watch_here(session, request)
            replying = self._ask_here(session, request)
            return await replying if hasattr(replying, "__await__") else replying
        if session.json:
            words = ("-n", f"{self._period:g}", request.verb, *request.arguments)
            request = Request("watch", words)
        code, text, rows = await self._parts.peers.ask(node, request, session.caller, session.json)
        return Relayed(code, text, rows)

    def _on_change(self) -> None:
        waiting, self._changed = self._changed, None
        if waiting is not None:
            waiting.callback(None)

    async def _answers(self, until: float) -> None:
        """Wait until every node has answered, or until that moment."""
        clock = self._parts.clock
        while (left := until - clock.seconds()) > 0 and not all(f.answered for f in self._feeds.values()):
            changed: Deferred[None] = Deferred()
            self._changed = changed
            timer = clock.callLater(left, self._on_change)
            try:
                await changed
            finally:
                self._changed = None
                if timer.active():
                    timer.cancel()

    # -- the lines

    def _lines(self, node: int, feed: Feed) -> list[str]:
        json = self._session.json
        failure = feed.failure
        if feed.rows is None:
            failure = failure or _NOT_YET
            if json:
                return [dumps({"from": node, "code": failure.code, "error": failure.text})]
            return [f"{self._prefix(node)}{failure.code} {failure.text}"]
        age = feed.age()
        if json:
            return [f'{{"from": {node}, {fields}"rows_age": {age:g}}}' for fields in feed.rows]
        lines = [f"{self._prefix(node)}{line}" for line in feed.rows]
        if age:
            why = f": {failure.code} {failure.text}" if failure else ""
            lines.append(f"{self._prefix(node)}(as it was {age:.0f} s ago{why})")
        return lines

    def _gone(self, node: int) -> str:
        if self._session.json:
            return dumps({"from": node, "left": True})
        return f"{self._prefix(node)}(has left)"

    def _prefix(self, node: int) -> str:
        return f"{node}: " if self._merged.node == ALL else ""


class MergedWatches:
    """The merged watches of a daemon. :param watches: where equal ones are shared."""

    def __init__(self, watches: Watches) -> None:
        self._watches = watches
        self._gate = DeferredSemaphore(MAX_CONCURRENT_NODES)

    def join(
        self,
        parts: Parts,
        session: ISession,
        merged: MergedRequest,
        period: float,
        count: int | None,
        shared: bool,
        ask_here: Callable[[ISession, Request], Replying],
        watch_here: Callable[[ISession, Request], WatchReply],
    ) -> Any:
        """
        Return ``count`` rounds of a merged watch.

        :param shared: whether equal watches share it. Other parameters as for `MergedNodes`.
        """
        if merged.node != ALL:
            parts.members.find(merged.node[1:])
        nodes: list[MergedNodes] = []

        def ask(watcher: ISession) -> Any:
            if not nodes:
                nodes.append(MergedNodes(parts, watcher, merged, period, ask_here, watch_here, self._gate))
            return nodes[0].round()

        def ended() -> None:
            for each in nodes:
                each.stop()
            nodes.clear()

        return self._watches.join(parts.clock, session, merged if shared else None, period, count, ask, ended)
