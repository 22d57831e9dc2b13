"""
`watch @all VERB` and `watch @NODE VERB`: the answers of several nodes, merged into rounds where it is asked.

Theory of operation. A `MergedNodes` (gomd.verbs.merged_nodes) has one feed a node, which keeps the newest
rows of that node. A round is composed of what the feeds have at that moment and waits for no node; only the
first one waits, `gomd.verbs.merged_nodes.FIRST_ROUND_TIMEOUT` at most, until every node has answered. So a
node that is slow or silent delays nobody, and its last rows stay with their age. Watches of the same words
share the feeds, whatever `--most` shows of them; equal ones share the rounds too (gomd.verbs.rounds).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Hashable
from dataclasses import dataclass
from typing import Any, Final

from twisted.internet.defer import DeferredSemaphore

from gomd.verbs.context import ISession, Parts
from gomd.verbs.fan_out import MAX_CONCURRENT_NODES
from gomd.verbs.first_rows import FirstRows
from gomd.verbs.merged_nodes import MergedNodes
from gomd.verbs.merged_rounds import MergedRounds
from gomd.verbs.quotas import Group
from gomd.verbs.replies import Reply, Replying, WatchReply
from gomd.verbs.round_times import of_merging
from gomd.verbs.rounds import Watches
from gomd.verbs.watch_options import ALL
from libgomd.errors import MalformedRequest
from libgomd.wire.lines import Request

#: Largest number of such watches at once, of each group and of one caller: each asks every node.
MAX_MERGED: Final = {Group.READERS: 128, Group.USERS: 256, Group.ADMINS: 2048}
MAX_MERGED_PER_CALLER: Final = {Group.READERS: 32, Group.USERS: 64, Group.ADMINS: 1024}


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
    :ivar first: which rows of all nodes are shown; None for all.
    """

    node: str
    request: Request
    first: FirstRows | None = None


def _are_own_processes(request: Request) -> bool:
    """Return whether the rows are processes of the node that sends them, not what it remembers of others."""
    return request.verb == "ps" and not any(word.startswith("--of") for word in request.arguments)


class _Later:
    """Work that begins when it is waited for, and may never be."""

    def __init__(self, work: Callable[[], Awaitable[Reply]]) -> None:
        self._work = work

    def __await__(self) -> Generator[Any, None, Reply]:
        return self._work().__await__()


class MergedWatches:
    """The merged watches of a daemon. :param watches: where equal ones are shared."""

    def __init__(self, watches: Watches) -> None:
        self._watches = watches
        self._gate = DeferredSemaphore(MAX_CONCURRENT_NODES)
        self._nodes: dict[Hashable, MergedNodes] = {}

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
        caller = session.caller
        key: Hashable = object()
        if shared:
            key = (merged.node, merged.request, period, session.json, caller.role, caller.uid, caller.user)
        rounds: list[MergedRounds] = []

        def nodes(watcher: ISession) -> MergedNodes:
            found = self._nodes.get(key)
            if found is None:
                found = self._nodes[key] = MergedNodes(
                    parts, watcher, merged.node, merged.request, period, ask_here, watch_here, self._gate
                )
            found.watches += 1
            return found

        async def work(watcher: ISession) -> Reply:
            if not rounds:
                has_prefix, are_processes = merged.node == ALL, _are_own_processes(merged.request)
                rounds.append(
                    MergedRounds(nodes(watcher), watcher.json, has_prefix, are_processes, merged.first)
                )
            return await rounds[0].round()

        def ask(watcher: ISession) -> Any:
            # A viewer may go before it takes its first round, and then `ended` is not called: nothing is
            # begun, and no watch counted, before a round is waited for.
            return _Later(lambda: work(watcher))

        def ended() -> None:
            for each in rounds:
                each.nodes.watches -= 1
                if not each.nodes.watches:
                    each.nodes.stop()
                    self._nodes.pop(key, None)
            rounds.clear()

        times = of_merging(parts.clock, parts.wall)
        what = merged if shared else None
        return self._watches.join(parts.clock, session, what, period, count, ask, ended, times)
