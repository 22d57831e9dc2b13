"""Several stores at once: each gets everything that is written."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from zope.interface import implementer

from gomd.interfaces import ISampleLog, RememberedTable
from libgomd.model import Counter, Event, Job, Measure, Node, ProcessTable, Sample


@implementer(ISampleLog)
class SeveralLogs:
    """Writes to each of ``logs``: ``kind = sqlite, flat`` in gomd.ini."""

    def __init__(self, logs: Sequence[ISampleLog]) -> None:
        self._logs = tuple(logs)
        self.blocks = any(log.blocks for log in self._logs)

    def write(self, node: Node, sample: Sample) -> None:
        """See `ISampleLog.write`."""
        for log in self._logs:
            log.write(node, sample)

    def write_processes(self, node: Node, table: ProcessTable, hidden: bool, in_jobs: frozenset[str]) -> None:
        """See `ISampleLog.write_processes`."""
        for log in self._logs:
            log.write_processes(node, table, hidden, in_jobs)

    def write_measures(self, measures: Sequence[Measure], now: float) -> None:
        """See `ISampleLog.write_measures`."""
        for log in self._logs:
            log.write_measures(measures, now)

    def write_nodes(self, nodes: Sequence[Node], now: float) -> None:
        """See `ISampleLog.write_nodes`."""
        for log in self._logs:
            log.write_nodes(nodes, now)

    def write_event(self, event: Event, hidden: bool) -> None:
        """See `ISampleLog.write_event`."""
        for log in self._logs:
            log.write_event(event, hidden)

    def write_jobs(self, jobs: Sequence[Job], now: float) -> None:
        """See `ISampleLog.write_jobs`."""
        for log in self._logs:
            log.write_jobs(jobs, now)

    def write_remembered(self, table: RememberedTable) -> None:
        """See `ISampleLog.write_remembered`."""
        for log in self._logs:
            log.write_remembered(table)

    def checkpoint(self, name: str, now: float) -> None:
        """See `ISampleLog.checkpoint`."""
        for log in self._logs:
            log.checkpoint(name, now)

    def set_limits(self, rotate_bytes: int, keep: int, max_bytes: int) -> None:
        """See `ISampleLog.set_limits`."""
        for log in self._logs:
            log.set_limits(rotate_bytes, keep, max_bytes)

    def close(self) -> None:
        """See `ISampleLog.close`."""
        for log in self._logs:
            log.close()

    def counters(self) -> Iterable[Counter]:
        """Return the counters of all of them."""
        for log in self._logs:
            yield from log.counters()
