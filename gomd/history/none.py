"""The history that stores nothing."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import NoReturn

from zope.interface import implementer

from gomd.interfaces import HistoryPage, IHistory, ISampleLog, RememberedEvent, RememberedTable
from libgomd.errors import NotPossible
from libgomd.model import Counter, Event, HistoryRow, Job, Measure, Node, ProcessTable, Sample


@implementer(ISampleLog)
class NoneLog:
    """Stores nothing: ``kind = none`` in gomd.ini."""

    blocks = False

    def write(self, node: Node, sample: Sample) -> None:
        """See `ISampleLog.write`."""

    def write_processes(self, node: Node, table: ProcessTable, hidden: bool, in_jobs: frozenset[str]) -> None:
        """See `ISampleLog.write_processes`."""

    def write_measures(self, measures: Sequence[Measure], now: float) -> None:
        """See `ISampleLog.write_measures`."""

    def write_nodes(self, nodes: Sequence[Node], now: float) -> None:
        """See `ISampleLog.write_nodes`."""

    def write_event(self, event: Event, hidden: bool) -> None:
        """See `ISampleLog.write_event`."""

    def write_jobs(self, jobs: Sequence[Job], now: float) -> None:
        """See `ISampleLog.write_jobs`."""

    def write_remembered(self, table: RememberedTable) -> None:
        """See `ISampleLog.write_remembered`."""

    def checkpoint(self, name: str, now: float) -> None:
        """See `ISampleLog.checkpoint`."""

    def set_limits(self, rotate_bytes: int, keep: int, max_bytes: int) -> None:
        """There is no file."""

    def close(self) -> None:
        """See `ISampleLog.close`."""

    def counters(self) -> Iterable[Counter]:
        """Return no counters."""
        return ()


@implementer(IHistory)
class NoHistory:
    """Answers every question about the past with the reason why nothing is known."""

    def __init__(
        self, reason: str = "this node keeps no history that can be read: set [history] kind = sqlite"
    ) -> None:
        self._reason = reason

    def fields(self, node: int) -> Sequence[str]:
        """Return nothing: there are none."""
        return ()

    def find_node(self, key: str) -> Node | None:
        """Return nothing: no node is known."""
        return None

    def values(
        self, node: int, fields: Sequence[str], since: float, until: float, points: int
    ) -> Sequence[HistoryRow]:
        """See `IHistory.values`."""
        self._refuse()

    def nodes_at(self, moment: float) -> Sequence[Node]:
        """See `IHistory.nodes_at`."""
        self._refuse()

    def processes_at(self, node: int, moment: float) -> RememberedTable | None:
        """See `IHistory.processes_at`."""
        self._refuse()

    def events(self, since: float, until: float, kinds: Collection[str] = ()) -> Sequence[RememberedEvent]:
        """See `IHistory.events`."""
        self._refuse()

    def page(self, cursor: str, stream: str) -> HistoryPage:
        """See `IHistory.page`."""
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise NotPossible(self._reason)
