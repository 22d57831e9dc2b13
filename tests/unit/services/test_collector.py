"""The collector: newest values whatever fails, hangs or is slow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from gomd.history.none import NoneLog
from gomd.interfaces import ICollector, IThreads
from gomd.services.collector import SAMPLE_TIMEOUT, Collector
from gomd.sources.memory import MemorySource
from libgomd.errors import GomdError, SourceUnavailable
from libgomd.model import Node, Part, Process, ProcessTable, Sample, Status
from tests.unit.protocols.talk import a_process
from tests.unit.services.held import HeldThreads

NODE = Node(1, "alpha", "10.0.0.1", Status.CONFIGURED | Status.UP)


class Kept(NoneLog):
    """A sample log that remembers."""

    def __init__(self) -> None:
        super().__init__()
        self.nodes: list[Node] = []
        self.tables: list[ProcessTable] = []

    def write(self, node: Node, sample: Sample) -> None:
        self.nodes.append(node)

    def write_processes(self, node: Node, table: ProcessTable) -> None:
        self.tables.append(table)


class Watched(MemorySource):
    """A source whose reads of one part are the test's."""

    parts_read: list[Part]
    during: Callable[[Part], None] = staticmethod(lambda part: None)

    def sample(self, part: Part, now: float) -> object:
        self.during(part)
        return super().sample(part, now)


class Collecting(SynchronousTestCase):
    """A collector by the clock, on threads that the test works."""

    def begin(self, source: MemorySource) -> None:
        self.clock = Clock()
        self.threads = HeldThreads(self.clock)
        self.log = Kept()
        self.collector = Collector(source, self.log, self.threads, self.clock, NODE, self.clock.seconds)
        self.collector.startService()
        self.addCleanup(self.collector.stopService)

    def tick(self, seconds: float = 1.0) -> None:
        """Let time pass and the threads do what there is."""
        self.clock.advance(seconds)
        self.threads.work()

    def counter(self, name: str) -> Any:
        return {counter.name: counter.value for counter in self.collector.counters()}[name]

    def table_of(self, max_age: float) -> list[ProcessTable | GomdError]:
        """Ask for the processes; what comes of it is put into the list that is returned."""
        found: list[Any] = []
        asked: Deferred[ProcessTable] = ensureDeferred(self.collector.processes(max_age))
        asked.addCallbacks(found.append, lambda failure: found.append(failure.value))
        return found


class ClockTests(Collecting):
    """Two clocks: one for ages, one for stamps."""

    def test_ages_do_not_go_by_the_wall_clock(self) -> None:
        """It is set on and back: the sample's stamp follows, its age does not."""
        wall = 1e9
        self.begin(MemorySource([50]))
        self.collector._wall = self.collector._reader._wall = lambda: wall
        self.tick()
        for wall in (1e9 + 3600, 1e9 - 3600):
            self.tick()
            self.assertEqual(self.collector.latest.taken_at, wall)
            self.clock.advance(0.5)
            self.assertEqual(self.collector.own_node().age, 0.5)
            self.clock.advance(0.5)
            self.threads.work()
        table = self.table_of(0.0)
        self.threads.work()
        [found] = table
        self.assertEqual(getattr(found, "taken_at", None), wall)

    def test_what_was_read_is_older_by_a_sleep(self) -> None:
        """Until the next round, which comes within a second."""
        self.begin(MemorySource([50]))
        self.tick()
        self.collector.slept(3600.0)
        age = self.collector.own_node().age
        assert age is not None
        self.assertGreaterEqual(age, 3600.0)
        self.tick()
        self.assertEqual(self.collector.own_node().age, 0.0)


class CollectorTests(Collecting):
    """Values by the clock."""

    def test_it_is_what_it_promises(self) -> None:
        """`ICollector`; and the threads of these tests are `IThreads`."""
        self.begin(MemorySource())
        verifyObject(ICollector, self.collector)
        verifyObject(IThreads, self.threads)

    def test_each_round_brings_new_values(self) -> None:
        """One second, one sample, one line in the log."""
        self.begin(MemorySource([10, 20, 30]))
        self.assertIsNone(self.collector.own_node().load)
        self.threads.work()
        seen = [self.collector.own_node().load]
        for _ in range(2):
            self.tick()
            seen.append(self.collector.own_node().load)
        self.assertEqual(seen, [10, 20, 30])
        self.assertEqual([node.load for node in self.log.nodes], [10, 20, 30])
        self.assertEqual(self.collector.own_node().name, "alpha")

    def test_memory_that_cannot_be_read_any_more_is_not_shown_as_new(self) -> None:
        """A minute on it is not known: the age beside it is that of the load, which is read all the time."""
        source = Watched([10])
        self.begin(source)
        self.tick()
        whole = self.collector.own_node()
        self.assertIsNotNone(whole.mem)

        def broken(part: Part) -> None:
            if part is not Part.LOAD:
                raise SourceUnavailable("it is garbage")

        source.during = broken
        for _ in range(50):
            self.tick()
        self.assertEqual(self.collector.own_node().mem, whole.mem)
        for _ in range(20):
            self.tick()
        found = self.collector.own_node()
        self.assertEqual((found.mem, found.rmem, found.tmem, found.util), (None, None, None, None))
        self.assertEqual((found.load, found.cpus), (10, 1))
        source.during = lambda part: None
        self.tick()
        self.assertEqual(self.collector.own_node().mem, whole.mem)

    def test_it_says_when_the_first_values_are_there(self) -> None:
        """Once, even when every read failed: a broken /proc must not keep the door shut."""
        for script in ([10], [None]):
            self.begin(MemorySource(script))
            fired = list[None]()
            self.collector.sampled.addCallback(fired.append)
            self.assertEqual(fired, [])
            self.threads.work()
            self.tick()
            self.assertEqual(fired, [None])

    def test_a_first_round_that_takes_long_is_waited_for(self) -> None:
        """Later rounds find nothing to read meanwhile, and do not open the door without a value."""
        self.begin(MemorySource([10]))
        fired = list[None]()
        self.collector.sampled.addCallback(fired.append)
        self.clock.advance(1.0)
        self.assertEqual(fired, [])
        self.threads.work()
        self.assertEqual(fired, [None])
        self.assertEqual(self.collector.own_node().load, 10)

    def test_a_part_that_fails_keeps_its_last_value_and_ages(self) -> None:
        """The others are renewed; failures are counted and said; it recovers by itself."""
        source = Watched([10, 20, 30, 40])
        self.begin(source)
        self.threads.work()

        def no_load(part: Part) -> None:
            if part is Part.LOAD:
                raise SourceUnavailable("the load cannot be read")

        source.during = no_load
        self.tick()
        self.tick()
        own = self.collector.own_node()
        self.assertEqual((own.load, own.age), (10, 2.0))
        self.assertEqual(self.collector.latest.age_of(Part.CPU, self.clock.seconds()), 0.0)
        self.assertEqual(self.counter("load_failures"), 2)
        source.during = lambda part: None
        self.tick()
        self.assertEqual((self.collector.own_node().load, self.collector.own_node().age), (20, 0.0))
        self.assertEqual(self.counter("load_reads"), 2)

    def test_a_bug_in_a_source_is_a_failure_like_others(self) -> None:
        """The loop goes on."""
        source = Watched([10, 20])
        self.begin(source)
        self.threads.work()
        source.during = lambda part: [][0]
        self.tick()
        source.during = lambda part: None
        self.tick()
        self.assertEqual(self.collector.own_node().load, 20)
        self.flushLoggedErrors()

    def test_reads_that_hang_do_not_pile_up(self) -> None:
        """However many rounds pass, one call waits; when it comes back all goes on."""
        self.begin(MemorySource([10, 20]))
        self.threads.work()
        self.clock.advance(1.0)
        held = len(self.threads.waiting)
        for _ in range(60):
            self.clock.advance(1.0)
        self.assertLessEqual(len(self.threads.waiting), held + 2)  # and those that write to the log
        self.assertEqual(self.collector.own_node().load, 10)
        self.threads.work()
        self.tick()
        self.assertEqual(self.collector.own_node().load, 20)
        self.assertEqual(self.collector.own_node().age, 0.0)

    def test_a_part_that_hangs_leaves_the_others_alone(self) -> None:
        """Its age grows, theirs does not."""
        source = Watched([10, 20, 30, 40, 50, 60])
        self.begin(source)
        self.threads.work()

        def hang(part: Part) -> None:
            if part is Part.LOAD:  # time passes while it is being read
                source.during = lambda part: None
                self.clock.advance(SAMPLE_TIMEOUT + 0.5)

        source.during = hang
        self.tick()
        self.tick()
        self.tick()
        age = self.collector.latest.age_of(Part.MEMORY, self.clock.seconds())
        assert age is not None
        self.assertLess(age, 2.0)
        self.assertGreaterEqual(self.counter("load_failures"), 1)

    def test_no_free_thread_costs_rounds_and_nothing_more(self) -> None:
        """Once there is one again, everything is read again."""
        self.begin(MemorySource([10, 20]))
        self.threads.work()
        self.threads.full = True
        for _ in range(5):
            self.clock.advance(1.0)
        self.threads.full = False
        self.tick()
        self.assertEqual(self.collector.own_node().load, 20)
        self.assertEqual(self.collector.own_node().age, 0.0)
        self.tick(5.0)
        self.assertEqual(len(self.log.tables), 2)

    def test_a_log_that_hangs_costs_no_values(self) -> None:
        """They are as new as ever."""
        self.begin(MemorySource([10, 20, 30]))
        self.threads.waiting.pop(0)()  # the first round; its write to the log stays where it is
        writes, self.threads.waiting = self.threads.waiting, []
        for _ in range(2):
            self.clock.advance(1.0)
            self.threads.work()
        self.assertEqual(self.collector.own_node().load, 30)
        for write in writes:
            write()

    def test_new_periods_hold_from_now_on(self) -> None:
        """SIGHUP may bring them."""
        self.begin(MemorySource(list(range(10, 200, 10))))
        self.threads.work()
        self.collector.set_periods(0.25, 5.0)
        for _ in range(4):
            self.tick(0.25)
        self.assertEqual(self.collector.own_node().load, 50)

    def test_after_its_end_nothing_is_left_on_the_clock(self) -> None:
        """Nor does a late read bring anything back."""
        self.begin(MemorySource([10, 20]))
        self.threads.work()
        self.collector.stopService()
        self.threads.work()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.collector.startService()


class ProcessesTests(Collecting):
    """The process table: scanned by the clock, and once for all who ask at a time."""

    def tables(self, *sizes: int | None) -> Sequence[Sequence[Process] | None]:
        return [None if size is None else [a_process(pid) for pid in range(1, size + 1)] for size in sizes]

    def test_a_crowd_shares_one_scan(self) -> None:
        """A hundred who ask while it runs get its result."""
        self.begin(MemorySource([10], self.tables(1, 2, 3)))
        self.threads.work()
        self.clock.advance(3.0)
        self.threads.work()
        scans = self.counter("processes_reads")
        asked = [self.table_of(1.0) for _ in range(100)]
        self.threads.work()
        self.assertEqual(
            {len(found[0].processes) for found in asked if isinstance(found[0], ProcessTable)}, {2}
        )
        self.assertEqual(sum(len(found) for found in asked), 100)
        self.assertEqual(self.counter("processes_reads"), scans + 1)

    def test_a_table_that_is_new_enough_is_not_made_again(self) -> None:
        """Within the age that the asker allows."""
        self.begin(MemorySource([10], self.tables(1, 2)))
        self.threads.work()
        self.clock.advance(0.9)
        [table] = self.table_of(1.0)
        assert isinstance(table, ProcessTable)
        self.assertEqual(len(table.processes), 1)
        self.assertEqual(self.table_of(0.5), [])

    def test_a_scan_that_fails_gives_the_old_table(self) -> None:
        """Without one it says so."""
        self.begin(MemorySource([10], self.tables(1, None)))
        self.threads.work()
        self.clock.advance(2.0)
        found = self.table_of(1.0)
        self.threads.work()
        assert isinstance(found[0], ProcessTable)
        self.assertEqual(len(found[0].processes), 1)
        self.begin(MemorySource([10], self.tables(None)))
        self.threads.work()
        found = self.table_of(1.0)
        self.threads.work()
        self.assertIsInstance(found[0], SourceUnavailable)

    def test_a_scan_that_hangs_gives_the_old_table_in_the_end(self) -> None:
        """Nobody waits for ever."""
        self.begin(MemorySource([10], self.tables(1, 2)))
        self.threads.work()
        self.clock.advance(2.0)
        asked = [self.table_of(1.0) for _ in range(3)]
        self.clock.advance(31.0)
        self.assertEqual([len(found) for found in asked], [1, 1, 1])
        for found in asked:
            assert isinstance(found[0], ProcessTable)
            self.assertEqual(len(found[0].processes), 1)

    def test_one_who_goes_does_not_take_the_others_scan_along(self) -> None:
        """Cancelled before its end; they get theirs."""
        self.begin(MemorySource([10], self.tables(1, 2)))
        self.threads.work()
        self.clock.advance(2.0)
        first = Deferred.fromCoroutine(self.collector.processes(1.0))
        first.addErrback(lambda failure: None)
        others = [self.table_of(1.0) for _ in range(2)]
        first.cancel()
        self.threads.work()
        self.assertEqual([len(found) for found in others], [1, 1])
        self.assertEqual(
            [len(table.processes) for [table] in others if isinstance(table, ProcessTable)], [2, 2]
        )
        self.assertEqual(self.counter("processes_failures"), 0)

    def test_every_scan_is_logged(self) -> None:
        """Every five seconds."""
        self.begin(MemorySource([10], self.tables(1, 2, 3)))
        self.threads.work()
        self.tick(5.0)
        self.tick(5.0)
        self.assertEqual([len(table.processes) for table in self.log.tables], [1, 2, 3])
