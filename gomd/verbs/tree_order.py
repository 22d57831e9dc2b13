"""
`@all` beyond `[peers] fan_out` nodes: the answers that come through other nodes, in the order of the nodes.

Answers come in any order and are kept until their turn. How much is kept is bounded, however large the
cluster is, however slowly the caller reads and however many there are (gomd.verbs.kept_shares): beyond that
what is under way is cancelled, and asked again, fewer nodes at a time, when the caller has read what is kept.
Only verbs that change nothing are asked in this way.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence

from twisted.internet.defer import CancelledError, Deferred

from gomd.verbs.branches import MAX_DEPTH
from gomd.verbs.fan_out import NODE_TIMEOUT, all_marked, asked_text, error_line
from gomd.verbs.kept_shares import KeptShare
from gomd.verbs.replies import Relayed
from gomd.verbs.tree_fan_out import TreeFanOut, Ways
from libgomd.errors import GomdError
from libgomd.model import Node
from libgomd.wire.lines import BLOCK, Request


def ask_tree(nodes: Sequence[Node], ways: Ways, request: Request, json: bool, share: KeptShare) -> Relayed:
    """
    Return the answers of ``nodes`` as one block, as `gomd.verbs.fan_out.ask_everywhere` does.

    :param share: how much may be kept.
    """
    up = [node for node in nodes if node.up]
    return Relayed(BLOCK, asked_text(nodes), OrderedAnswers(up, ways, request, json, share).pieces())


class OrderedAnswers:
    """
    The answers to one request, in order.

    :ivar peak: the largest number of characters that were kept at a time.
    """

    def __init__(
        self, nodes: Sequence[Node], ways: Ways, request: Request, json: bool, share: KeptShare
    ) -> None:
        self.peak = 0
        self._nodes = nodes
        self._ways = ways
        self._request = request
        self._json = json
        self._share = share
        self._answers: dict[int, list[str]] = {}
        self._kept = self._counted = 0
        self._next = 0
        self._wave = len(nodes)
        self._overflowed = False
        self._fan_out: TreeFanOut | None = None
        self._running: Deferred[None] | None = None
        self._waiting: Deferred[None] | None = None
        self._error: BaseException | None = None

    async def pieces(self) -> AsyncGenerator[Sequence[str], None]:
        """Yield the lines of each node, marked with its id."""
        self._share.requests += 1
        try:
            for at, node in enumerate(self._nodes):
                self._next = node.id
                while node.id not in self._answers:
                    if self._error is not None:
                        raise self._error
                    if self._running is None:
                        self._start(at)
                    else:
                        self._waiting = Deferred()
                        await self._waiting
                lines = self._answers.pop(node.id)
                self._kept -= _size(lines)
                self._count()
                yield all_marked(node, lines, self._json)
        finally:
            self._stop()
            self._answers, self._kept = {}, 0
            self._count()
            self._share.requests -= 1

    def _start(self, at: int) -> None:
        """Ask the next nodes that have not answered, from place ``at`` on."""
        if not self._overflowed and at:
            self._wave = min(2 * self._wave, len(self._nodes))
        self._overflowed = False
        wanted = [node for node in self._nodes[at:] if node.id not in self._answers][: self._wave]
        self._fan_out = TreeFanOut(
            self._ways, self._request, self._json, self._answered, self._failed, self._grown
        )
        running = Deferred.fromCoroutine(self._fan_out.run(wanted, MAX_DEPTH, NODE_TIMEOUT))
        self._running = running
        running.addBoth(self._ended)

    def _ended(self, result: object) -> None:
        self._running = self._fan_out = None
        self._count()
        error = getattr(result, "value", None)
        if error is not None and not isinstance(error, CancelledError):
            self._error = error
        self._wake()

    def _stop(self) -> None:
        running, self._running = self._running, None
        if running is not None:
            running.cancel()

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.callback(None)

    # -- what the fan-out tells

    def _answered(self, node: int, lines: list[str]) -> None:
        if self._overflowed and node != self._next:
            return
        self._answers[node] = lines
        self._kept += _size(lines)
        self._grown()
        if node == self._next:
            self._wake()

    def _failed(self, node: Node, error: GomdError) -> None:
        self._answered(node.id, [error_line(error, self._json)])

    def _count(self) -> int:
        """Return how many characters are kept here, and have all requests know."""
        kept = self._kept + (self._fan_out.held if self._fan_out is not None else 0)
        self._share.kept += kept - self._counted
        self._counted = kept
        return kept

    def _grown(self) -> None:
        kept = self._count()
        self.peak = max(self.peak, kept)
        most = self._share.of_one
        if kept > most and self._wave > 1 and not self._overflowed:
            self._overflowed = True
            self._wave = self._wave // 2 if 2 * self._kept < most else 1
            self._ways.clock.callLater(0, self._stop_wave)

    def _stop_wave(self) -> None:
        if self._overflowed:
            self._stop()
            self._wake()


def _size(lines: list[str]) -> int:
    return sum(map(len, lines))
