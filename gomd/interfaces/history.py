"""The interface of a store for samples."""

from __future__ import annotations

from collections.abc import Iterable

from zope.interface import Interface

from libgomd.model import Counter, Node, ProcessTable, Sample


class ISampleLog(Interface):
    """
    Stores samples.

    A full disk or a missing directory raises nothing: losses are counted, and it tries again.
    """

    def write(node: Node, sample: Sample) -> None:
        """Store one sample of one node. Blocks; call it on a thread."""

    def write_processes(node: Node, table: ProcessTable) -> None:
        """Store a snapshot of the processes that use most processor time. Blocks."""

    def checkpoint(name: str, now: float) -> None:
        """Store a named mark, to find this moment again. Blocks. ``now`` is in seconds since the epoch."""

    def set_limits(rotate_bytes: int, keep: int) -> None:
        """Change how large a file becomes, in bytes, and how many old ones are kept; no-op without files."""

    def close() -> None:
        """Flush and close. Blocks. Nothing is written afterwards."""

    def counters() -> Iterable[Counter]:
        """Return how many records were written and lost, and how many files rotated."""
