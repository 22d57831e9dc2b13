"""Composes the rounds of a merged watch from the newest rows of each node, as text or as JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final, TypeVar

from gomd.verbs.first_rows import FirstRows, RefusedRound
from gomd.verbs.node_feeds import Failure, NodeFeed
from gomd.verbs.node_rounds import NodeRound, checked
from gomd.verbs.numbered_lines import ByteLines
from gomd.verbs.replies import Prepared
from libgomd.errors import MalformedReply
from libgomd.wire.values import dumps

if TYPE_CHECKING:
    from gomd.verbs.merged_watch import MergedNodes

T = TypeVar("T")
#: Rows, and nodes, that are taken in one turn of the reactor: 5 to 10 ms of work.
ROWS_PER_TURN: Final = 1500
_NOT_YET: Final = Failure(504, "this node has not answered yet")


class MergedRounds:
    """
    The rounds of one watch.

    :ivar nodes: where the rows come from. :param has_prefix: whether lines of text say whose they are.
    :param are_processes: whether the rows are of `ps`. :param first: which rows are shown; None for all.
    """

    def __init__(
        self, nodes: MergedNodes, json: bool, has_prefix: bool, are_processes: bool, first: FirstRows | None
    ) -> None:
        self.nodes = nodes
        self._json = json
        self._has_prefix = has_prefix
        self._are_processes = are_processes
        self._first = first
        self._told: set[int] = set()

    async def round(self) -> Prepared:
        """Return a round of the newest rows. The first one waits for the nodes; see `MergedNodes`."""
        feeds = await self.nodes.current()
        left = sorted(self._told - feeds.keys())
        self._told = set(feeds)
        text = f"{len(feeds)} nodes"
        if not self._json:
            lines = await self._by_node(feeds, self._lines)
            return Prepared(text, lines + [f"{self._prefix(node)}(has left)" for node in left])
        rows = self._first_of(feeds) if self._first is not None else None
        if rows is None:
            rows = await self._by_node(feeds, self._rows)
        rows += [_row({"from": node, "left": True}) for node in left]
        return Prepared(text, ByteLines(rows))

    async def _by_node(
        self, feeds: Mapping[int, NodeFeed], made: Callable[[int, NodeFeed], list[T]]
    ) -> list[T]:
        """Return what is made of each node, in pieces: the rows of thousands would keep others waiting."""
        found: list[T] = []
        pause_at = ROWS_PER_TURN
        for at, (node, feed) in enumerate(sorted(feeds.items())):
            found += made(node, feed)
            if len(found) + at >= pause_at:
                pause_at = len(found) + at + ROWS_PER_TURN
                await self.nodes.pause()
        return found

    # -- in JSON

    def _first_of(self, feeds: Mapping[int, NodeFeed]) -> list[bytes]:
        """Return the first rows of all, those of one node together, and the errors of nodes without rows."""
        assert self._first is not None
        while True:
            rounds = {node: feed.rows for node, feed in feeds.items() if isinstance(feed.rows, NodeRound)}
            try:
                chosen, total = self._first.of(rounds)
            except RefusedRound as refused:
                feeds[refused.node].refuse(refused.error)
                continue
            rows = []
            refusals = 0
            for node, feed in sorted(feeds.items()):
                if node in chosen or feed.rows is None:
                    rows += self._rows(node, feed, chosen.get(node), b', "total": %d' % total)
                    refusals += node in chosen and feed.rows is None
            if not refusals:
                return rows

    def _rows(
        self, node: int, feed: NodeFeed, places: list[int] | None = None, more: bytes = b""
    ) -> list[bytes]:
        """Return the rows of a node, all or those at some places, without their last brace."""
        if isinstance(feed.rows, NodeRound):
            head, tail = b'{"from": %d, ' % node, b'"rows_age": %g' % feed.age() + more
            try:
                rows = feed.rows.rows()
                chosen = rows if places is None else [rows[at] for at in places]
                return [b"".join((head, checked(row, node, self._are_processes), tail)) for row in chosen]
            except MalformedReply as error:
                feed.refuse(error)
        failure = feed.failure or _NOT_YET
        return [_row({"from": node, "code": failure.code, "error": failure.text})]

    # -- in text

    def _lines(self, node: int, feed: NodeFeed) -> list[str]:
        if not isinstance(feed.rows, list):
            failure = feed.failure or _NOT_YET
            return [f"{self._prefix(node)}{failure.code} {failure.text}"]
        lines = [f"{self._prefix(node)}{line}" for line in feed.rows]
        if age := feed.age():
            why = f": {feed.failure.code} {feed.failure.text}" if feed.failure else ""
            lines.append(f"{self._prefix(node)}(as it was {age:.0f} s ago{why})")
        return lines

    def _prefix(self, node: int) -> str:
        return f"{node}: " if self._has_prefix else ""


def _row(values: dict[str, object]) -> bytes:
    return dumps(values)[:-1].encode("ascii")
