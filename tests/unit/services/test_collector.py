"""The collector: newest values whatever fails, hangs or is slow."""

from __future__ import annotations

from zope.interface.verify import verifyObject

from gomd.interfaces import ICollector, IThreads
from gomd.services.collector import SAMPLE_TIMEOUT
from gomd.sources.memory import MemorySource
from libgomd.errors import SourceUnavailable
from libgomd.model import Part
from tests.unit.services.collecting import Collecting, Watched


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
