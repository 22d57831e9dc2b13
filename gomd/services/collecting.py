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
from twisted.internet.defer import CancelledError, Deferred, DeferredList, DeferredLock
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from gomd.interfaces import (
    AskedPage,
    ICollectedHistory,
    IHistory,
    IMembership,
    IPeers,
    IThreads,
)
from gomd.services.collect_backlog import Backlog
from gomd.services.history_pages import HistoryPages
from gomd.verbs.collect import OWN
from libgomd.errors import GomdError, NotPossible, SourceUnavailable, TimedOut, TooMany
from libgomd.model import Counter, Node

R = TypeVar("R")
#: Seconds from round to round; after which a round ends, so that leases are renewed; and until the next try
#: after an error of the database, which doubles up to the second number.
PERIOD: Final = 5.0
ROUND_LIMIT: Final = 15.0
RETRY_DELAYS: Final = (5.0, 60.0)
#: Seconds that the database may take for one call.
DATABASE_TIMEOUT: Final = 90.0
#: Nodes that are asked at once.
NODES_AT_ONCE: Final = 16
#: Seconds between two removals of what is too old.
EXPIRE_PERIOD: Final = 3600.0
#: The stream of what this node knows of others.
SEEN: Final = "seen"


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
        self._pages_of = HistoryPages(history, reading, peers, clock)
        self._members = members
        self._threads = threads
        self._clock = clock
        self._turn = DeferredLock()
        self._ready: list[tuple[AskedPage, Deferred[int | None]]] = []
        self._storing = False
        self._round: Deferred[None] | None = None
        self._expired_at = clock.seconds() - EXPIRE_PERIOD
        self._wait_until = 0.0
        self._delay = RETRY_DELAYS[0]
        self._trouble = ""
        self._troubled_at = 0.0
        self._rows = self._pages = self._failed = self._nodes = 0
        self._refusals: dict[int, str] = {}
        self._asked_at: dict[int, float] = {}
        self._backlog = Backlog()
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
            self._backlog.nodes_are(mine.keys(), self._clock.seconds())
            self._asked_at = {node: at for node, at in self._asked_at.items() if node in mine}
            # Those first that wait longest: a round has no time for all of thousands.
            waiting = sorted(mine.items(), key=lambda each: self._asked_at.get(each[0], 0.0))
            todo = deque((node, OWN, cursor) for node, cursor in waiting)
            todo.extend((node, SEEN, cursor) for node, cursor in seen.items())
            workers = [
                Deferred.fromCoroutine(self._work(todo, nodes, own_id, end)) for _ in range(NODES_AT_ONCE)
            ]
            outcomes: Any = await DeferredList(workers, consumeErrors=True)
            for succeeded, outcome in outcomes:
                if not succeeded:
                    outcome.raiseException()
            if self._clock.seconds() - self._expired_at >= EXPIRE_PERIOD:
                self._expired_at = self._clock.seconds()
                await self._call(lambda database: database.expire())
        except (SourceUnavailable, NotPossible, TimedOut, TooMany) as error:
            self._wait(error)
        else:
            self._recovered()
            if text := self._backlog.sentence(self._clock.seconds()):
                self._log.warn("{text}", text=text)

    async def _work(
        self, todo: deque[tuple[int, str, str]], nodes: dict[int, Node], own_id: int, end: float
    ) -> None:
        """Take one page after the other, until there is none left or the round is over."""
        while todo and self._clock.seconds() < end:
            node, stream, cursor = todo.popleft()
            self._asked_at[node] = self._clock.seconds()
            try:
                if node == own_id:
                    page = await self._pages_of.own(stream, cursor)
                else:
                    page = await self._pages_of.of(nodes[node], cursor)
            except GomdError as error:
                self._note_failure(node, error)
                self._backlog.note_whole(node, self._clock.seconds())
                continue
            self._refusals.pop(node, None)
            if page.cursor == cursor and not page.lines:
                self._note_whole(node, stream)
                continue
            try:
                stored = await self._store(AskedPage(node, stream, cursor, page))
            except BaseException:
                todo.clear()  # the round is over for all
                raise
            if stored is None:
                continue  # another collector has taken it over
            self._rows += stored
            self._pages += 1
            if page.more:
                todo.append((node, stream, page.cursor))
            else:
                self._note_whole(node, stream)

    def _note_whole(self, node: int, stream: str) -> None:
        if stream == OWN:
            self._backlog.note_whole(node, self._clock.seconds())

    async def _store(self, page: AskedPage) -> int | None:
        """Store a page, together with those that others have brought while the database was busy."""
        result: Deferred[int | None] = Deferred()
        self._ready.append((page, result))
        if not self._storing:
            self._storing = True
            try:
                while self._ready:
                    ready, self._ready = self._ready, []
                    await self._store_all(ready)
            finally:
                self._storing = False
        return await result

    async def _store_all(self, ready: Sequence[tuple[AskedPage, Deferred[int | None]]]) -> None:
        pages = [page for page, _result in ready]
        try:
            stored = await self._call(lambda database: database.store(pages))
        except BaseException:  # noqa: BLE001 - each one that waits for a page gets it
            failure = Failure()
            for _page, result in ready:
                if not result.called:
                    result.errback(failure)
            return
        for (_page, result), count in zip(ready, stored, strict=True):
            if not result.called:
                result.callback(count)

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
        behind = round(self._backlog.seconds(self._clock.seconds()), 1)
        yield Counter("collect_behind", behind, "seconds for which nodes wait; 0 unless it falls behind")
        yield Counter("collect_waits", waits, self._trouble or "seconds since the database was last used")
