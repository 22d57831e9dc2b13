"""Asks nodes for pages of their histories: this one its own file, the others over their streams."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from gomd.interfaces import HistoryPage, IHistory, IPeers, IThreads
from gomd.verbs.collect import FROM_START
from libgomd.deadlines import within
from libgomd.errors import MalformedReply, NotPossible, TimedOut
from libgomd.model import Caller, Node, Role
from libgomd.wire.lines import BLOCK, Request
from libgomd.wire.values import loads

#: Seconds that a node may take for a page.
PAGE_TIMEOUT: Final = 30.0
#: Bytes of one page, and characters of a cursor, at most.
MAX_PAGE_BYTES: Final = 48 << 20
MAX_CURSOR: Final = 300
_ASKER: Final = Caller(Role.ADMIN, "", None, "history")


class HistoryPages:
    """
    :param history: the past of this node itself, which ``threads`` read.
    """

    def __init__(self, history: IHistory, threads: IThreads, peers: IPeers, clock: IReactorTime) -> None:
        self._history = history
        self._threads = threads
        self._peers = peers
        self._clock = clock

    async def own(self, stream: str, cursor: str) -> HistoryPage:
        """Return the page of this node behind a cursor. :raises GomdError: it cannot be read now."""
        return await self._threads.run(PAGE_TIMEOUT, self._history.page, cursor, stream)

    async def of(self, node: Node, cursor: str) -> HistoryPage:
        """Return the page of another node behind a cursor. :raises GomdError: it does not give it."""
        late = TimedOut(f"node {node.id} did not answer within {PAGE_TIMEOUT:g} s")
        return await within(self._clock, PAGE_TIMEOUT, Deferred.fromCoroutine(self._ask(node, cursor)), late)

    async def _ask(self, node: Node, cursor: str) -> HistoryPage:
        request = Request("collect", (cursor or FROM_START,))
        code, text, rows = await self._peers.ask(node, request, _ASKER, True)
        if code != BLOCK or rows is None:
            raise NotPossible(f"{code} {text}")
        lines: list[str] = []
        size = 0
        try:
            async for some in rows:
                size += sum(map(len, some))
                if size > MAX_PAGE_BYTES:
                    raise MalformedReply(f"a page of more than {MAX_PAGE_BYTES} bytes")
                lines += some
        finally:
            await rows.aclose()
        return _page_in(lines)


def _page_in(lines: Sequence[str]) -> HistoryPage:
    """Return the page in the lines of an answer. :raises MalformedReply: it is none."""
    head: Any = loads(lines[0]) if lines else None
    try:
        cursor, more = head["cursor"], head["more"]
    except (TypeError, KeyError):
        raise MalformedReply("a page of the history without its cursor") from None
    if not (isinstance(cursor, str) and len(cursor) <= MAX_CURSOR and cursor.isascii()):
        raise MalformedReply("a page of the history with another cursor")
    if not cursor.isprintable() or not isinstance(more, bool):
        raise MalformedReply("a page of the history with another cursor")
    return HistoryPage(cursor, more, lines[1:])
