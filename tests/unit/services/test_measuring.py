"""Measures are read at their own period, on a thread, and kept in the history."""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from gomd.history.none import NoneLog
from gomd.services.measuring import READ_TIMEOUT, Measuring
from gomd.sources.memory import MemorySource
from libgomd.errors import SourceUnavailable
from libgomd.model import Measure
from tests.unit.services.held import HeldThreads


class Source(MemorySource):
    """A node whose measures a test sets."""

    measured: Sequence[Measure] | None = (Measure("open_files", 5.0),)

    def measures(self) -> Sequence[Measure]:
        if self.measured is None:
            raise SourceUnavailable("it cannot be read")
        return self.measured


class Kept(NoneLog):
    """A history that remembers what it was given."""

    def __init__(self) -> None:
        self.written: list[tuple[Sequence[Measure], float]] = []

    def write_measures(self, measures: Sequence[Measure], now: float) -> None:
        self.written.append((measures, now))


class MeasuringTests(SynchronousTestCase):
    """Every fifteen seconds."""

    def setUp(self) -> None:
        self.clock, self.source, self.kept = Clock(), Source(), Kept()
        self.threads = HeldThreads(self.clock)
        self.measuring = Measuring(self.source, self.kept, self.threads, self.clock, self.clock.seconds, 15.0)
        self.measuring.startService()
        self.addCleanup(self.stop)

    def stop(self) -> None:
        if self.measuring.running:
            self.measuring.stopService()

    def test_the_newest_are_kept(self) -> None:
        """Also when the next read fails, until they are long out of date."""
        self.threads.work()
        self.assertEqual([each.name for each in self.measuring.latest()], ["open_files"])
        self.source.measured = None
        self.clock.advance(15.0)
        self.threads.work()
        self.assertEqual(len(self.measuring.latest()), 1)
        self.assertEqual(len(self.kept.written), 1)
        self.clock.advance(200.0)
        self.assertEqual([*self.measuring.latest()], [])

    def test_one_read_at_a_time(self) -> None:
        """A read that hangs is not begun again."""
        self.clock.advance(READ_TIMEOUT + 60.0)
        self.assertLessEqual(len(self.threads.waiting), 1)

    def test_another_period(self) -> None:
        """From now on."""
        self.threads.work()
        self.measuring.set_period(5.0)
        self.clock.advance(5.0)
        self.threads.work()
        self.assertEqual([at for _, at in self.kept.written], [0.0, 5.0])
        self.measuring.stopService()
        self.assertEqual([call for call in self.clock.getDelayedCalls() if call.getTime() < 24.0], [])
