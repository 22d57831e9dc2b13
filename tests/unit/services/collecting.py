"""A collector on a fake clock and fake threads, with a source and a log that are watched."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from gomd.history.none import NoneLog
from gomd.services.collector import Collector
from gomd.sources.memory import MemorySource
from libgomd.errors import GomdError
from libgomd.model import Node, Part, ProcessTable, Sample, Status
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

    blocks = True

    def write_processes(self, node: Node, table: ProcessTable, hidden: bool, in_jobs: frozenset[str]) -> None:
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
