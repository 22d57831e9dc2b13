"""The sample log that stores nothing."""

from __future__ import annotations

from collections.abc import Iterable

from zope.interface import implementer

from gomd.interfaces import ISampleLog
from libgomd.model import Counter, Node, ProcessTable, Sample


@implementer(ISampleLog)
class NoneLog:
    """Stores nothing: ``kind = none`` in gomd.ini."""

    def write(self, node: Node, sample: Sample) -> None:
        """See `ISampleLog.write`."""

    def write_processes(self, node: Node, table: ProcessTable) -> None:
        """See `ISampleLog.write_processes`."""

    def checkpoint(self, name: str, now: float) -> None:
        """See `ISampleLog.checkpoint`."""

    def set_limits(self, rotate_bytes: int, keep: int) -> None:
        """There is no file."""

    def close(self) -> None:
        """See `ISampleLog.close`."""

    def counters(self) -> Iterable[Counter]:
        """Return no counters."""
        return ()
