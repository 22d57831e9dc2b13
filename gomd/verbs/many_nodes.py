"""How the feeds of a merged watch reach other nodes: each by a stream of its own, or most through others."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence

from twisted.internet.defer import Deferred, DeferredSemaphore

from gomd.verbs.branches import MAX_DEPTH, RELAYED
from gomd.verbs.context import ISession, Parts
from gomd.verbs.node_feeds import SILENCE_TIMEOUT, Take
from gomd.verbs.relay_gates import Gates
from gomd.verbs.replies import Relayed, Reply
from gomd.verbs.tree_fan_out import TreeFanOut, Ways
from gomd.verbs.tree_watch import TreeFollower
from libgomd.errors import GomdError
from libgomd.model import Node
from libgomd.wire.lines import BLOCK, Request

#: Of the seconds that a feed waits for an answer in text, the part that the fan-out may take.
ANSWER_PART = 0.6
#: Seconds for which questions in text are gathered, which the feeds ask at about the same time.
GATHER_SECONDS = 0.02


class ManyNodes:
    """
    The other nodes, as the feeds of one merged watch ask them.

    :ivar is_large: whether most of them are reached through others. :ivar follower: watches them.
    :param session: as whom they are asked. :param request: what each is asked every ``period`` seconds.
    """

    def __init__(self, parts: Parts, session: ISession, request: Request, period: float) -> None:
        self._parts = parts
        self._session = session
        self._request = request
        self._period = period
        self.is_large = False
        self._asked: dict[int, tuple[Node, Deferred[list[str]]]] = {}
        self._gates = Gates().of(session)
        watched = Request("watch", ("-n", f"{period:g}", request.verb, *request.arguments))
        peers = parts.peers

        def direct(node: Node, opened: Callable[[], None], take: Callable[[bytes], None]) -> Awaitable[None]:
            following: Awaitable[None] = peers.follow(node, watched, session.caller, opened, take)
            return following

        def through(
            node: Node, asked: Request, opened: Callable[[], None], take: Callable[[bytes], None]
        ) -> Awaitable[None]:
            following: Awaitable[None] = peers.follow(node, asked, session.caller, opened, take)
            return following

        self.follower = TreeFollower(
            parts.clock, parts.members.own_id, parts.fan_out, MAX_DEPTH, watched, direct, through,
            parts.intermediates, lambda: self.is_large,
        )  # fmt: skip

    def count(self, nodes: Iterable[Node]) -> None:
        """Note which nodes there are: beyond `Parts.fan_out` others, most are reached through others."""
        up = sum(node.up for node in nodes)
        self.is_large = self._request.verb in RELAYED and up > self._parts.fan_out + 1

    def gate(self, few: DeferredSemaphore) -> DeferredSemaphore:
        """Return what limits how many nodes are being connected to; ``few`` where each has its own stream."""
        return DeferredSemaphore(1) if self.is_large else few

    async def follow(self, node: Node, opened: Callable[[], None], take: Take) -> None:
        """Watch another node in JSON, as `gomd.verbs.node_feeds.Follow`."""
        await self.follower.follow(node, opened, take)

    async def ask(self, node: Node) -> Reply:
        """Ask another node once, in text."""
        if self.is_large:
            return Relayed(BLOCK, "", _in_one_piece(await self._answer(node)))
        code, text, rows = await self._parts.peers.ask(node, self._request, self._session.caller, False)
        return Relayed(code, text, rows)

    # -- many, in text

    def _answer(self, node: Node) -> Deferred[list[str]]:
        """Ask a node together with all that are asked now."""
        if not self._asked:
            self._parts.clock.callLater(GATHER_SECONDS, self._ask_all)
        waiting: Deferred[list[str]] = Deferred()
        self._asked[node.id] = node, waiting
        return waiting

    def _ask_all(self) -> None:
        asked, self._asked = self._asked, {}
        parts, session, request = self._parts, self._session, self._request

        def answered(node: int, lines: list[str]) -> None:
            waiting = asked[node][1]
            if not waiting.called:
                waiting.callback(lines)

        def failed(node: Node, error: GomdError) -> None:
            waiting = asked[node.id][1]
            if not waiting.called:
                waiting.errback(error)

        async def ask(node: Node) -> Reply:
            code, text, rows = await parts.peers.ask(node, request, session.caller, False)
            return Relayed(code, text, rows)

        ways = Ways(
            parts.clock, parts.members.own_id, parts.fan_out, ask,
            lambda node, branch: parts.peers.ask(node, branch, session.caller, False), parts.intermediates,
            self._gates,
        )  # fmt: skip
        limit = ANSWER_PART * (SILENCE_TIMEOUT + 3 * self._period)
        nodes = [node for node, waiting in asked.values() if not waiting.called]
        running = Deferred.fromCoroutine(
            TreeFanOut(ways, request, False, answered, failed).run(nodes, MAX_DEPTH, limit, limit)
        )

        def ended(result: object) -> object:
            for _, waiting in asked.values():  # none is left, unless there is a bug
                if not waiting.called:
                    waiting.cancel()
            return result

        running.addBoth(ended)


async def _in_one_piece(lines: list[str]) -> AsyncGenerator[Sequence[str], None]:
    yield lines
