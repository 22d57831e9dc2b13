"""
Collects the histories of all nodes into a database: asks each for what was written since, and stores it.

Theory of operation. Every few seconds the collector leases the nodes that are up from the database, and gets
their cursors from it. Each node is asked for one page at a time, a few nodes at once, and nodes that have
more are asked again after the others. The database stores a page together with its cursor. While it is slow,
full or away, nothing is asked: the cursors wait, and the nodes keep their own past. What may block is on
threads; a call that exceeds its time costs a new connection.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar, Final, TypeVar

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, DeferredLock, gatherResults
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from gomd.interfaces import HistoryPage, ICollectedHistory, IHistory, IMembership, IPeers, IThreads
from gomd.verbs.collect import FROM_START, OWN
from libgomd.deadlines import within
from libgomd.errors import GomdError, MalformedReply, NotPossible, SourceUnavailable, TimedOut, TooMany
from libgomd.model import Caller, Counter, Node, Role
from libgomd.wire.lines import BLOCK, Request
from libgomd.wire.values import loads

R = TypeVar("R")
#: Seconds from round to round; after which a round ends, so that leases are renewed; and until the next try
#: after an error of the database, which doubles up to the second number.
PERIOD: Final = 5.0
ROUND_LIMIT: Final = 15.0
RETRY_DELAYS: Final = (5.0, 60.0)
#: Seconds that a node may take for a page, and the database for one call.
PAGE_TIMEOUT: Final = 30.0
DATABASE_TIMEOUT: Final = 90.0
#: Nodes that are asked at once, and bytes of one page at most.
NODES_AT_ONCE: Final = 8
MAX_PAGE_BYTES: Final = 48 << 20
#: Seconds between two removals of what is too old.
EXPIRE_PERIOD: Final = 3600.0
#: The stream of what this node knows of others.
SEEN: Final = "seen"
_ASKER: Final = Caller(Role.ADMIN, "", None, "history")


class Collecting(Service):
    """
    Stores the past of all nodes that are up, this one's included.

    :param database: makes what stores the pages. :param history: the past of this node itself.
    :param threads: those of the database, and those that read this node's file.
    """

    _log: ClassVar[Logger] = Logger()

    def __init__(
        self,
        database: Callable[[], ICollectedHistory],
        history: IHistory,
        members: IMembership,
        peers: IPeers,
        threads: IThreads,
        reading: IThreads,
        clock: IReactorTime,
    ) -> None:
        self._make = database
        self._database: ICollectedHistory | None = None
        self._history = history
        self._members = members
        self._peers = peers
        self._threads = threads
        self._reading = reading
        self._clock = clock
        self._turn = DeferredLock()
        self._round: Deferred[None] | None = None
        self._expired_at = clock.seconds() - EXPIRE_PERIOD
        self._wait_until = 0.0
        self._delay = RETRY_DELAYS[0]
        self._trouble = ""
        self._troubled_at = 0.0
        self._rows = self._pages = self._failed = self._nodes = 0
        self._refusals: dict[int, str] = {}
        self._loop = LoopingCall(self._start)
        self._loop.clock = clock

    def startService(self) -> None:
        """Collect periodically from now on."""
        super().startService()
        self._loop.start(PERIOD, now=False)

    def stopService(self) -> None:
        """Stop; a page under way is stored or not, as its transaction ends."""
        super().stopService()
        if self._loop.running:
            self._loop.stop()
        running, self._round = self._round, None
        if running is not None:
            running.cancel()
        database, self._database = self._database, None
        if database is not None:
            database.close()

    def _start(self) -> None:
        """Begin a round, unless the last one still runs. Never raises."""
        if self._round is not None or self._clock.seconds() < self._wait_until:
            return
        self._round = running = Deferred.fromCoroutine(self.collect())

        def over(_result: object) -> None:
            self._round = None

        running.addErrback(
            lambda failure: (
                None
                if failure.check(CancelledError)
                else self._log.failure("collecting the history failed", failure=failure)
            )
        )
        running.addBoth(over)

    async def collect(self) -> None:
        """Do one round. An error of the database ends it and delays the next one."""
        end = self._clock.seconds() + ROUND_LIMIT
        try:
            nodes = {node.id: node for node in self._members.nodes() if node.up}
            own_id = int(self._members.own_id)
            mine = await self._call(lambda database: database.lease(sorted({*nodes, own_id}), OWN))
            seen = await self._call(lambda database: database.lease([own_id], SEEN))
            self._nodes = len(mine)
            todo = deque((node, OWN, cursor) for node, cursor in mine.items())
            todo.extend((node, SEEN, cursor) for node, cursor in seen.items())
            workers = [
                Deferred.fromCoroutine(self._work(todo, nodes, own_id, end)) for _ in range(NODES_AT_ONCE)
            ]
            await gatherResults(workers, consumeErrors=True)
            if self._clock.seconds() - self._expired_at >= EXPIRE_PERIOD:
                self._expired_at = self._clock.seconds()
                await self._call(lambda database: database.expire())
        except Exception as error:
            cause = getattr(getattr(error, "subFailure", None), "value", error)
            if not isinstance(cause, (SourceUnavailable, NotPossible, TimedOut, TooMany)):
                raise
            self._wait(cause)
        else:
            self._recovered()

    async def _work(
        self, todo: deque[tuple[int, str, str]], nodes: dict[int, Node], own_id: int, end: float
    ) -> None:
        """Take one page after the other, until there is none left or the round is over."""
        while todo and self._clock.seconds() < end:
            node, stream, cursor = todo.popleft()
            try:
                page = await self._page(nodes.get(node), node, own_id, stream, cursor)
            except GomdError as error:
                self._note_failure(node, error)
                continue
            self._refusals.pop(node, None)
            if page.cursor == cursor and not page.lines:
                continue
            stored = await self._call(
                lambda database, node=node, stream=stream, cursor=cursor, page=page: (  # type: ignore[misc]
                    database.store(node, stream, cursor, page)
                )
            )
            if stored is None:
                continue  # another collector has taken it over
            self._rows += stored
            self._pages += 1
            if page.more:
                todo.append((node, stream, page.cursor))

    async def _page(
        self, node: Node | None, number: int, own_id: int, stream: str, cursor: str
    ) -> HistoryPage:
        """Return the page behind a cursor. :raises GomdError: the node does not give it."""
        if number == own_id:
            return await self._reading.run(PAGE_TIMEOUT, self._history.page, cursor, stream)
        if node is None:
            raise SourceUnavailable(f"node {number} is gone")
        late = TimedOut(f"node {number} did not answer within {PAGE_TIMEOUT:g} s")
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

    async def _call(self, work: Callable[[ICollectedHistory], R]) -> R:
        """Let the database do something on its thread, after what it does now."""
        await self._turn.acquire()
        try:
            if self._database is None:
                self._database = self._make()
            database = self._database
            try:
                return await self._threads.run(DATABASE_TIMEOUT, work, database)
            except (TimedOut, CancelledError):
                self._database = None  # its thread may still use it, and closes it afterwards
                database.close()
                raise
        finally:
            self._turn.release()

    def _note_failure(self, node: int, error: GomdError) -> None:
        self._failed += 1
        text = str(error)
        if isinstance(error, NotPossible) and self._refusals.get(node) != text:
            self._refusals[node] = text
            self._log.warn("node {node} is not collected: {error}", node=node, error=text)
        else:
            self._log.debug("node {node} gave no page: {error}", node=node, error=text)

    def _wait(self, error: BaseException) -> None:
        now = self._clock.seconds()
        self._wait_until = now + self._delay - PERIOD / 2
        self._delay = min(2 * self._delay, RETRY_DELAYS[1])
        text = str(error)
        if not self._trouble:
            self._troubled_at = now
            self._log.warn("the history is not collected now: {error}; it is tried again", error=text)
        self._trouble = text

    def _recovered(self) -> None:
        self._delay = RETRY_DELAYS[0]
        if self._trouble:
            self._trouble = ""
            self._log.info("the history is collected again")

    def counters(self) -> Iterable[Counter]:
        """Return how much was collected, and for how long the database could not be used."""
        waits = round(self._clock.seconds() - self._troubled_at, 1) if self._trouble else 0
        yield Counter("collected_rows", self._rows, "rows of all nodes stored in the database")
        yield Counter("collected_pages", self._pages, "pages stored in the database")
        yield Counter("collected_nodes", self._nodes, "nodes that this collector stores, not another one")
        yield Counter("collect_failed", self._failed, "pages that a node did not give")
        yield Counter("collect_waits", waits, self._trouble or "seconds since the database was last used")


def _page_in(lines: Sequence[str]) -> HistoryPage:
    """Return the page in the lines of an answer. :raises MalformedReply: it is none."""
    head: Any = loads(lines[0]) if lines else None
    try:
        cursor, more = head["cursor"], head["more"]
    except (TypeError, KeyError):
        raise MalformedReply("a page of the history without its cursor") from None
    if not isinstance(cursor, str) or len(cursor) > 300 or not isinstance(more, bool):
        raise MalformedReply("a page of the history with another cursor")
    return HistoryPage(cursor, more, lines[1:])
