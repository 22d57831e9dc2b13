"""The collector: what it asks, what it stores, and what it does while a node or the database is away."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock, deferLater
from twisted.logger import ILogObserver, LogEvent, LogLevel, formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer, provider
from zope.interface.verify import verifyClass, verifyObject

from gomd.history.none import NoHistory
from gomd.history.postgresql.collected import CollectedHistory
from gomd.interfaces import (
    AskedPage,
    ForwardedReply,
    HistoryPage,
    ICollectedHistory,
    IHistory,
    IMembership,
    IPeers,
    IThreads,
)
from gomd.protocols.no_peers import NoPeers
from gomd.services.collect_backlog import BEHIND_AFTER
from gomd.services.collecting import DATABASE_TIMEOUT, EXPIRE_PERIOD, PERIOD, ROUND_LIMIT, Collecting
from gomd.services.history_pages import PAGE_TIMEOUT
from libgomd.errors import NotPossible, PeerUnreachable, SourceUnavailable, TimedOut
from libgomd.model import Caller, Counter, Node, Status
from libgomd.wire.lines import Request
from libgomd.wire.values import dumps

UP = Status.CONFIGURED | Status.UP


@implementer(IMembership)
class Members:
    """Nodes 1 to 4, of which 4 is down; this is node 1."""

    own_id = 1

    def nodes(self) -> Sequence[Node]:
        return [Node(at, f"n{at}", "127.0.0.1", Status.CONFIGURED if at == 4 else UP) for at in range(1, 5)]

    def find(self, key: str) -> Node:
        return next(node for node in self.nodes() if key in (str(node.id), node.name))

    def counters(self) -> Sequence[Counter]:
        return ()


class ManyMembers(Members):
    """A hundred nodes, all up."""

    def nodes(self) -> Sequence[Node]:
        return [Node(at, f"n{at}", "127.0.0.1", UP) for at in range(1, 101)]


@implementer(IHistory)
class Own(NoHistory):
    """This node's file: one page of each stream."""

    def page(self, cursor: str, stream: str) -> HistoryPage:
        return HistoryPage("f.1", False, () if cursor == "f.1" else (f"of {stream}",))


@implementer(IPeers)
class Peers(NoPeers):
    """:ivar pages: how many pages each node has. :ivar refused: what a node answers instead."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, str]] = []
        self.pages = {2: 3, 3: 1}
        self.refused: dict[int, tuple[int, str]] = {}
        self.unreachable: set[int] = set()
        self.silent: set[int] = set()
        self.heads: dict[int, str] = {}

    async def ask(self, node: Node, request: Request, caller: Caller, json: bool) -> ForwardedReply:
        assert request.verb == "collect"
        [cursor] = request.arguments
        self.asked.append((node.id, cursor))
        if node.id in self.silent:
            await Deferred()
        if node.id in self.unreachable:
            raise PeerUnreachable("it is gone")
        if node.id in self.refused:
            return ForwardedReply(*self.refused[node.id], None)
        at = 0 if cursor == "-" else int(cursor.partition(".")[2])
        return ForwardedReply(201, "lines", self.rows(node.id, at))

    async def rows(self, node: int, at: int) -> AsyncGenerator[list[str], None]:
        if node in self.heads:
            yield [self.heads[node]]
        elif at >= self.pages[node]:
            yield [dumps({"cursor": f"f.{at}", "more": False})]
        else:
            yield [dumps({"cursor": f"f.{at + 1}", "more": at + 1 < self.pages[node]})]
            yield [f"page {at + 1}"]


class SlowPeers(Peers):
    """Each page takes a second."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock

    async def ask(self, node: Node, request: Request, caller: Caller, json: bool) -> ForwardedReply:
        await deferLater(self._clock, 1.0)
        return await super().ask(node, request, caller, json)


@contextmanager
def warnings_in(texts: list[str]) -> Iterator[None]:
    """Gather what is logged as a warning, as text."""

    @provider(ILogObserver)
    def gather(event: LogEvent) -> None:
        if event.get("log_level") is LogLevel.warn:
            texts.append(formatEvent(event))

    globalLogPublisher.addObserver(gather)
    try:
        yield
    finally:
        globalLogPublisher.removeObserver(gather)


@implementer(ICollectedHistory)
class Database:
    """:ivar error: raised by whatever is asked. :ivar taken: nodes that are another collector's."""

    def __init__(self) -> None:
        self.cursors: dict[tuple[int, str], str] = {}
        self.stored: list[tuple[int, str, tuple[str, ...]]] = []
        self.batches: list[int] = []
        self.error: Exception | None = None
        self.taken: set[int] = set()
        self.expired = self.closed = 0

    def _check(self) -> None:
        if self.error is not None:
            raise self.error

    def lease(self, nodes: Sequence[int], stream: str) -> Mapping[int, str]:
        self._check()
        return {node: self.cursors.get((node, stream), "") for node in nodes if node not in self.taken}

    def store(self, pages: Sequence[AskedPage]) -> Sequence[int | None]:
        self._check()
        self.batches.append(len(pages))
        found: list[int | None] = []
        for page in pages:
            key = page.node, page.stream
            if self.cursors.get(key, "") != page.asked_with or page.node in self.taken:
                found.append(None)
                continue
            self.cursors[key] = page.page.cursor
            self.stored.append((*key, tuple(page.page.lines)))
            found.append(len(page.page.lines))
        return found

    def expire(self) -> int:
        self._check()
        self.expired += 1
        return 0

    def close(self) -> None:
        self.closed += 1


@implementer(IThreads)
class Threads:
    """Runs at once, unless it hangs. :ivar hangs: whether calls do not end until their time is over."""

    def __init__(self, clock: Clock) -> None:
        self.hangs = False
        self._clock = clock

    def run(self, limit: float, function: Callable[..., Any], *arguments: Any) -> Deferred[Any]:
        if self.hangs:
            late: Deferred[Any] = Deferred()
            self._clock.callLater(limit, late.errback, TimedOut(f"longer than {limit:g} s"))
            return late
        try:
            return succeed(function(*arguments))
        except Exception:
            return fail()

    def run_apart(
        self, limit: float, key: Any, holder: Any, function: Callable[..., Any], *arguments: Any
    ) -> Deferred[Any]:
        return self.run(limit, function, *arguments)


class CollectingTests(SynchronousTestCase):
    """A round every few seconds."""

    def setUp(self) -> None:
        self.clock, self.peers, self.database = Clock(), Peers(), Database()
        self.threads = Threads(self.clock)
        self.made = 0
        self.collecting = Collecting(
            self.make, Own(), Members(), self.peers, self.threads, Threads(self.clock), self.clock
        )
        self.collecting.startService()
        self.addCleanup(self.stop)

    def make(self) -> Database:
        self.made += 1
        return self.database

    def stop(self) -> None:
        if self.collecting.running:
            self.collecting.stopService()

    def advance(self, seconds: float) -> None:
        """Let time pass in steps of a second."""
        for _ in range(int(seconds)):
            self.clock.advance(1.0)

    def counter(self, name: str) -> float:
        return next(float(each.value) for each in self.collecting.counters() if each.name == name)

    def test_it_is_what_the_interface_says(self) -> None:
        """The fake and the real database can be used in place of each other."""
        verifyClass(ICollectedHistory, CollectedHistory)
        verifyObject(ICollectedHistory, self.database)

    def test_every_page_of_every_node_once(self) -> None:
        """Those that are up, this one's two streams among them; the next round asks for what is new only."""
        self.advance(PERIOD)
        expected = [(1, "own", ("of own",)), (1, "seen", ("of seen",)), (2, "own", ("page 1",)),
                    (2, "own", ("page 2",)), (2, "own", ("page 3",)), (3, "own", ("page 1",))]  # fmt: skip
        self.assertEqual(sorted(self.database.stored), expected)
        self.peers.asked.clear()
        self.advance(PERIOD)
        self.assertEqual(sorted(self.peers.asked), [(2, "f.3"), (3, "f.1")])
        self.assertEqual(sorted(self.database.stored), expected)
        self.assertEqual(self.counter("collected_nodes"), 3)
        self.assertEqual(self.counter("collected_rows"), 6)

    def test_what_another_collector_has_is_left_to_it(self) -> None:
        """Its nodes are not even asked."""
        self.database.taken = {2}
        self.advance(PERIOD)
        self.assertEqual({node for node, _cursor in self.peers.asked}, {3})
        self.assertEqual(self.counter("collected_nodes"), 2)

    def test_a_database_that_is_away_costs_delay_only(self) -> None:
        """No node is asked, it is said once, the pauses grow, and everything comes afterwards."""
        self.database.error = SourceUnavailable("the database cannot be used now: its disk is full")
        self.advance(300)
        self.assertEqual(self.peers.asked, [])
        self.assertGreater(self.counter("collect_waits"), 200)
        self.assertIn("its disk is full", " ".join(each.meaning for each in self.collecting.counters()))
        self.database.error = None
        self.advance(65)
        self.assertEqual(len(self.database.stored), 6)
        self.assertEqual(self.counter("collect_waits"), 0)

    def test_a_database_that_hangs_gets_a_new_connection(self) -> None:
        """After its time, and the one that hangs is closed."""
        self.threads.hangs = True
        self.advance(PERIOD + DATABASE_TIMEOUT + 1)
        self.assertEqual((self.made, self.database.closed), (1, 1))
        self.threads.hangs = False
        self.advance(2 * PERIOD + 1)
        self.assertEqual(self.made, 2)
        self.assertEqual(len(self.database.stored), 6)

    def test_a_node_that_does_not_answer_delays_no_other(self) -> None:
        """One that is silent, one that is gone; their cursors wait."""
        self.peers.silent = {2}
        self.advance(PERIOD + 1)
        self.assertIn((3, "own", ("page 1",)), self.database.stored)
        self.peers.silent, self.peers.unreachable = set(), {2}
        self.advance(PAGE_TIMEOUT + PERIOD)
        self.assertNotIn((2, "own"), self.database.cursors)
        self.peers.unreachable = set()
        self.advance(2 * PERIOD)
        self.assertEqual(self.database.cursors[2, "own"], "f.3")
        self.assertGreater(self.counter("collect_failed"), 0)

    def test_more_nodes_than_a_round_has_time_for(self) -> None:
        """Those that waited are the first of the next round: none waits for ever because of others."""
        self.stop()
        self.peers.pages = dict.fromkeys(range(2, 101), 1)
        self.peers.silent = set(range(2, 70))
        self.collecting = Collecting(
            self.make, Own(), ManyMembers(), self.peers, self.threads, Threads(self.clock), self.clock
        )
        self.collecting.startService()
        self.advance(6 * (ROUND_LIMIT + PAGE_TIMEOUT))
        self.assertEqual(
            {node for node, stream, _lines in self.database.stored if node > 1}, set(range(70, 101))
        )

    def test_a_collector_that_cannot_keep_up_says_so(self) -> None:
        """Once, with the number of nodes and what to do; and once when it has caught up."""
        self.stop()
        logged: list[str] = []
        peers = SlowPeers(self.clock)
        peers.pages = {2: 10**6, 3: 1}
        self.collecting = Collecting(
            self.make, Own(), Members(), peers, self.threads, Threads(self.clock), self.clock
        )
        with warnings_in(logged):
            self.collecting.startService()
            self.advance(BEHIND_AFTER - 60)
            self.assertEqual((logged, self.counter("collect_behind")), ([], 0))
            self.advance(600)
            [text] = logged
            self.assertIn("1 of 3 nodes wait for up to 9", text)
            self.assertIn("let a second node collect, too", text)
            self.assertGreater(self.counter("collect_behind"), BEHIND_AFTER)
            peers.pages[2] = 0
            self.advance(60)
            self.assertEqual(logged[1:], ["the collection of the history has caught up"])
            self.assertEqual(self.counter("collect_behind"), 0)

    def test_a_node_that_gives_nothing_is_no_backlog(self) -> None:
        """That it is not collected is said elsewhere, once."""
        self.peers.refused[2] = (405, "this node keeps no history that can be read")
        self.peers.unreachable = {3}
        logged: list[str] = []
        with warnings_in(logged):
            self.advance(2 * BEHIND_AFTER)
        self.assertEqual(logged, ["node 2 is not collected: 405 this node keeps no history that can be read"])

    def test_a_node_that_refuses_is_named_once(self) -> None:
        """An older gomd, one that keeps nothing, one that trusts nobody."""
        self.peers.refused[2] = (405, "this node keeps no history that can be read")
        self.advance(5 * PERIOD)
        self.assertEqual(self.counter("collect_failed"), 5)
        self.assertNotIn((2, "own"), self.database.cursors)

    def test_nonsense_is_not_stored(self) -> None:
        """A page without a cursor, with one that is none, or that is no JSON."""
        for head in ("", "[]", "{}", '{"cursor": 5, "more": false}', '{"cursor": "a\\u0000", "more": false}',
                     dumps({"cursor": "x" * 400, "more": False}), '{"cursor": "x", "more": 1}'):  # fmt: skip
            self.peers.heads[2] = head
            self.advance(PERIOD)
        self.assertNotIn((2, "own"), self.database.cursors)
        self.assertEqual(self.counter("collect_failed"), 7)

    def test_old_rows_go_once_an_hour(self) -> None:
        """And at the start."""
        self.advance(2 * EXPIRE_PERIOD + 10)
        self.assertEqual(self.database.expired, 3)

    def test_a_bug_ends_nothing(self) -> None:
        """It is logged, and the next round comes."""
        self.database.error = ZeroDivisionError("a bug")
        self.advance(PERIOD)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.database.error = None
        self.advance(PERIOD)
        self.assertEqual(len(self.database.stored), 6)

    def test_a_database_that_must_not_be_used(self) -> None:
        """Tables of a newer gomd: it is tried again, because somebody may correct it."""
        self.database.error = NotPossible("newer gomd")
        self.advance(PERIOD)
        self.database.error = None
        self.advance(2 * PERIOD)
        self.assertEqual(len(self.database.stored), 6)

    def test_nothing_goes_on_after_the_stop(self) -> None:
        """Nothing is scheduled, and the connection is closed."""
        self.peers.silent = {2}
        self.advance(PERIOD)
        self.collecting.stopService()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.database.closed, 1)
