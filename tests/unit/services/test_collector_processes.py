"""The process table of the collector: scans are shared, and one that fails or hangs gives the old table."""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.defer import Deferred

from gomd.sources.memory import MemorySource
from libgomd.errors import SourceUnavailable
from libgomd.model import Process, ProcessTable
from tests.unit.protocols.talk import a_process
from tests.unit.services.collecting import Collecting


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
