"""Where samples are kept."""

from __future__ import annotations

from collections.abc import Iterable

from zope.interface import Interface

from libgomd.model import Counter, Node, ProcessTable, Sample


class ISampleLog(Interface):
    """Keeps samples. Never raises for a full disk or a lost directory: it counts and tries again."""

    def write(node: Node, sample: Sample) -> None:
        """Keep one sample of one node. Blocks: called on a thread."""

    def write_processes(node: Node, table: ProcessTable) -> None:
        """Keep a snapshot of the processes that use most processor time. Blocks."""

    def checkpoint(name: str, now: float) -> None:
        """Leave a mark, on request, to find a moment again. Blocks. ``now``: seconds since the epoch."""

    def set_limits(rotate_bytes: int, keep: int) -> None:
        """Change how large a file becomes, in bytes, and how many old ones are kept; no-op without files."""

    def close() -> None:
        """Flush and close. Blocks. Nothing is written afterwards."""

    def counters() -> Iterable[Counter]:
        """Written, lost, rotated."""
