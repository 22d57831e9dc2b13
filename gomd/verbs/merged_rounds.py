"""Composes the rounds of a merged watch from the newest rows of each node, as text or as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from gomd.verbs.first_rows import FirstRows, RefusedRound
from gomd.verbs.node_feeds import Failure, NodeFeed
from gomd.verbs.node_rounds import NodeRound, checked
from gomd.verbs.numbered_lines import ByteLines
from gomd.verbs.replies import Prepared
from libgomd.errors import MalformedReply
from libgomd.wire.values import dumps

if TYPE_CHECKING:
    from gomd.verbs.merged_nodes import MergedNodes

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
            lines = await self._all_lines(feeds)
            return Prepared(text, lines + [f"{self._prefix(node)}(has left)" for node in left])
        if self._first is None:
            rows, _is_refused = await self._rows(feeds, _rounds_of(feeds))
        else:
            rows = await self._first_of(feeds, self._first)
        rows += [_row({"from": node, "left": True}) for node in left]
        return Prepared(text, ByteLines(rows))

    # -- in JSON

    async def _first_of(self, feeds: Mapping[int, NodeFeed], first: FirstRows) -> list[bytes]:
        """Return the first rows of all, those of one node together, and the errors of nodes without rows."""
        while True:
            rounds = _rounds_of(feeds)
            try:
                chosen, total = await first.of(rounds, self.nodes.pause)
            except RefusedRound as refused:
                if refused.node in feeds:  # it may have left meanwhile
                    feeds[refused.node].refuse(refused.error)
                continue
            rows, is_refused = await self._rows(feeds, rounds, chosen, b', "total": %d' % total)
            if not is_refused:
                return rows

    async def _rows(
        self,
        feeds: Mapping[int, NodeFeed],
        rounds: Mapping[int, NodeRound],
        chosen: Mapping[int, Sequence[int]] | None = None,
        more: bytes = b"",
    ) -> tuple[list[bytes], bool]:
        """
        Return the rows of ``rounds`` without their last brace, and the errors of nodes without one.

        It is done in pieces, of nodes and of the rows of one: thousands would keep others waiting.

        :param chosen: the places of the rows that are shown; None for all. :param more: the end of each row.
        :returns: the rows, and whether those of a node were refused.
        """
        rows: list[bytes] = []
        is_refused, pause_at = False, ROWS_PER_TURN
        for at, (node, feed) in enumerate(sorted(feeds.items())):
            begin, found = len(rows), rounds.get(node)
            try:
                if found is None:
                    rows.append(_error_of(node, feed))
                elif chosen is None or node in chosen:
                    lines = found.rows()
                    head, tail = b'{"from": %d, ' % node, b'"rows_age": %g' % feed.age() + more
                    for place in range(len(lines)) if chosen is None else chosen[node]:
                        row = checked(lines[place], node, self._are_processes)
                        rows.append(b"".join((head, row, tail)))
                        if len(rows) + at >= pause_at:
                            pause_at = len(rows) + at + ROWS_PER_TURN
                            await self.nodes.pause()
            except MalformedReply as error:
                feed.refuse(error)
                rows[begin:] = [_error_of(node, feed)]
                is_refused = True
            if len(rows) + at >= pause_at:
                pause_at = len(rows) + at + ROWS_PER_TURN
                await self.nodes.pause()
        return rows, is_refused

    # -- in text

    async def _all_lines(self, feeds: Mapping[int, NodeFeed]) -> list[str]:
        """Return the lines of each node. It is done in pieces."""
        found: list[str] = []
        pause_at = ROWS_PER_TURN
        for at, (node, feed) in enumerate(sorted(feeds.items())):
            found += self._lines(node, feed)
            if len(found) + at >= pause_at:
                pause_at = len(found) + at + ROWS_PER_TURN
                await self.nodes.pause()
        return found

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


def _rounds_of(feeds: Mapping[int, NodeFeed]) -> dict[int, NodeRound]:
    return {node: feed.rows for node, feed in feeds.items() if isinstance(feed.rows, NodeRound)}


def _error_of(node: int, feed: NodeFeed) -> bytes:
    failure = feed.failure or _NOT_YET
    return _row({"from": node, "code": failure.code, "error": failure.text})


def _row(values: dict[str, object]) -> bytes:
    return dumps(values)[:-1].encode("ascii")
