"""The watch of a branch that this node passes on to another daemon: the newest round of each of its nodes."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from functools import partial
from typing import Final

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import deferLater

from gomd.verbs.branch_rounds import ALIVE_BYTES, PassedOnBytes, joined_bytes, refusal_bytes, round_bytes
from gomd.verbs.branches import BranchRequest
from gomd.verbs.context import ISession, Parts
from gomd.verbs.first_rows import rank_of
from gomd.verbs.forwarding import Asking
from gomd.verbs.node_rounds import NodeRound, RoundCutter
from gomd.verbs.own_rounds import follow_here
from gomd.verbs.replies import WatchReply
from gomd.verbs.tree_watch import TreeFollower
from libgomd.errors import GomdError, MalformedReply, NotFound, TooMany
from libgomd.model import Node
from libgomd.wire.lines import Request

#: Seconds between two signs that this node is there.
ALIVE_PERIOD: Final = 1.0
#: Seconds for which rounds are gathered that come together: all of a period, as a rule, which nodes send over
#: `gomd.verbs.round_times.SPREAD`. Two relays one after the other are through by its `MERGING_DELAY`.
GATHER_SECONDS: Final = 0.06
#: Bytes of rounds that are kept for one watch until the other daemon has read them.
MAX_KEPT: Final = 64 << 20


class RelayedWatch:
    """
    One watch that is passed on. Of each node only the newest round is kept, as where it is shown.

    :param asked: its request is a `watch` of one node.
    """

    def __init__(self, parts: Parts, session: ISession, asked: BranchRequest, asking: Asking) -> None:
        self._parts = parts
        self._session = session
        self._asked = asked
        self._asking = asking
        self._newest: dict[int, NodeRound] = {}
        self._kept = 0
        self._lines: list[bytes] = []
        self._wakeup: Deferred[None] | None = None
        self._tasks: set[Deferred[None]] = set()
        repeated = asked.request.arguments[2:]  # behind -n SECONDS, see gomd.verbs.branches.is_relayed
        self._rank = rank_of(Request(repeated[0], repeated[1:]))
        self._follower = TreeFollower(
            parts.clock, parts.members.own_id, parts.fan_out, asked.depth, asked.request, self._direct,
            self._through, parts.intermediates, lambda: len(asked.nodes) > parts.fan_out,
        )  # fmt: skip

    async def pieces(self) -> AsyncGenerator[Sequence[str], None]:
        """Yield what there is, gathered for a moment, or at least a sign each second. It does not end."""
        clock, members = self._parts.clock, self._parts.members
        own = self._parts.collector.own
        known: dict[int, Node] = {node.id: node for node in members.nodes()}
        try:
            for each in (members.own_id, *self._asked.nodes):
                if each in known:
                    self._begin(known[each])
                else:
                    gone = NotFound(f"node {each} is not known to node {own.id} {own.name}")
                    self._lines.append(refusal_bytes(each, gone))
            while True:
                if not self._newest and not self._lines:
                    await self._something()
                await deferLater(clock, GATHER_SECONDS)
                lines, newest = self._lines, self._newest
                self._lines, self._newest, self._kept = [], {}, 0
                if self._asked.joined:
                    for data in joined_bytes(newest.items(), self._rank):
                        yield PassedOnBytes(data)
                else:
                    lines += [round_bytes(node, each.data) for node, each in newest.items()]
                if lines or not newest:
                    yield PassedOnBytes(b"".join(lines) or ALIVE_BYTES)
        finally:
            for task in tuple(self._tasks):
                task.cancel()

    async def _something(self) -> None:
        """Wait until there is something to send, or a second has passed."""
        wakeup: Deferred[None] = Deferred()
        self._wakeup = wakeup
        timer: IDelayedCall = self._parts.clock.callLater(ALIVE_PERIOD, self._wake)
        try:
            await wakeup
        finally:
            self._wakeup = None
            if timer.active():
                timer.cancel()

    def _wake(self) -> None:
        wakeup, self._wakeup = self._wakeup, None
        if wakeup is not None:
            wakeup.callback(None)

    # -- the nodes

    def _begin(self, node: Node) -> None:
        task = Deferred.fromCoroutine(self._follow(node))
        self._tasks.add(task)

        def done(_result: object) -> None:
            self._tasks.discard(task)

        task.addBoth(done)

    async def _follow(self, node: Node) -> None:
        """Follow a node until it fails, and say so. A node that fails is not tried again: the asker does."""
        error: GomdError = MalformedReply("its watch has ended")
        try:
            cutter = RoundCutter()
            take = partial(self._take, node.id, cutter)
            if node.id == self._parts.members.own_id:
                await self._here(node, take)
            else:
                await self._follower.follow(node, _nothing, take)
        except CancelledError:
            raise
        except GomdError as failed:
            error = failed
        if (kept := self._newest.pop(node.id, None)) is not None:
            self._kept -= len(kept.data)
        self._lines.append(refusal_bytes(node.id, error))
        self._wake()

    def _take(self, node: int, cutter: RoundCutter, data: bytes | NodeRound) -> None:
        """Keep the newest round. :raises GomdError: the bytes are no rounds, or there are too many."""
        for found in cutter.feed(data) if isinstance(data, bytes) else (data,):
            older = self._newest.get(node)
            self._kept += len(found.data) - (0 if older is None else len(older.data))
            self._newest[node] = found
            if self._kept > MAX_KEPT:
                raise TooMany("its rounds are more than a node keeps for others: watch this node itself")
        self._wake()

    async def _here(self, node: Node, take: Callable[[bytes], None]) -> None:
        reply = await self._asking.ask(
            self._parts, self._session, node, self._asked.request, is_passed_on=True
        )
        if not isinstance(reply, WatchReply):
            raise MalformedReply("this verb is not watched in rounds")
        await follow_here(reply, take)

    async def _direct(self, node: Node, opened: Callable[[], None], take: Callable[[bytes], None]) -> None:
        await self._through(node, self._asked.request, opened, take)

    async def _through(
        self, node: Node, request: Request, opened: Callable[[], None], take: Callable[[bytes], None]
    ) -> None:
        await self._parts.peers.follow(node, request, self._session.caller, opened, take)


def _nothing() -> None:
    pass
