"""The sample log in text files, for people and awk. `gomd.history.columns` has its format."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Sequence
from threading import Lock
from typing import ClassVar, Final

from twisted.logger import Logger
from zope.interface import implementer

from gomd.history.columns import HEADER, checkpoint_line, process_lines, sample_line
from gomd.history.rotated import RotatedFile
from gomd.interfaces import ISampleLog, RememberedTable
from libgomd.model import Counter, Event, Job, Measure, Node, ProcessTable, Sample

#: Name of the newest file. Older ones are called FILE_NAME.1, FILE_NAME.2 and so on.
FILE_NAME: Final = "samples.log"
#: Seconds until the next try after a failed write.
RETRY_DELAY: Final = 5.0


@implementer(ISampleLog)
class FlatLog:
    """
    Writes ``samples.log`` in ``directory`` and rotates it when it is large.

    Any thread may call it. The file is opened at the first write, so the constructor does not block.

    :param directory: created with mode 0700 if it is missing.
    :param rotate_bytes: maximum size of a file. :param keep: number of old files to keep.
    :param write: like os.write; for tests.
    :param monotonic: returns the seconds of a monotonic clock.
    """

    blocks = True

    _log: ClassVar[Logger] = Logger()

    def __init__(
        self,
        directory: str,
        rotate_bytes: int,
        keep: int,
        write: Callable[[int, bytes], int] = os.write,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._monotonic = monotonic
        self._directory = directory
        self._file = RotatedFile(directory, FILE_NAME, HEADER.encode(), rotate_bytes, keep, write)
        self._lock = Lock()
        self._closed = False
        self._written = self._lost = self._lost_before = 0
        self._trouble = ""
        self._failed_at = 0.0

    def set_limits(self, rotate_bytes: int, keep: int, max_bytes: int) -> None:
        """See `ISampleLog.set_limits`; used from the next write on."""
        self._file.rotate_bytes, self._file.keep = rotate_bytes, keep

    def write(self, node: Node, sample: Sample) -> None:
        """See `ISampleLog.write`."""
        self._keep(sample_line(node, sample))

    def write_processes(self, node: Node, table: ProcessTable, hidden: bool, in_jobs: frozenset[str]) -> None:
        """See `ISampleLog.write_processes`."""
        self._keep(process_lines(node, table))

    def write_measures(self, measures: Sequence[Measure], now: float) -> None:
        """Write nothing: the columns of the files are fixed."""

    def write_nodes(self, nodes: Sequence[Node], now: float) -> None:
        """Write nothing: the files are about this node."""

    def write_event(self, event: Event, hidden: bool) -> None:
        """Write nothing: the files have no events."""

    def write_jobs(self, jobs: Sequence[Job], now: float) -> None:
        """Write nothing: the files have no jobs."""

    def write_remembered(self, table: RememberedTable) -> None:
        """Write nothing: the files are about this node."""

    def checkpoint(self, name: str, now: float) -> None:
        """See `ISampleLog.checkpoint`."""
        self._keep(checkpoint_line(name, now))

    def close(self) -> None:
        """See `ISampleLog.close`."""
        with self._lock:
            self._closed = True
            self._file.close()

    def counters(self) -> Iterable[Counter]:
        """See `ISampleLog.counters`."""
        yield Counter("log_written", self._written, "samples, snapshots and checkpoints written")
        yield Counter(
            "log_lost",
            self._lost,
            self._trouble or "samples, snapshots and checkpoints that could not be written",
        )
        yield Counter("log_rotated", self._file.rotated, "files rotated")

    def _keep(self, record: str) -> None:
        """Append ``record``, or count it as lost. Never raises for errors of the disk."""
        with self._lock:
            if self._closed or not record:
                return
            if self._trouble and self._monotonic() - self._failed_at < RETRY_DELAY:
                self._lost += 1
                return
            try:
                self._file.append(record.encode("utf-8", "backslashreplace"))
            except OSError as error:
                self._lose(error)
            else:
                self._written += 1
                if self._trouble:
                    self._recover()

    def _lose(self, error: OSError) -> None:
        if not self._trouble:
            self._lost_before = self._lost
            self._log.warn(
                "samples are not kept in {directory}: {reason}; trying again every {seconds:g} s",
                directory=self._directory,
                reason=error.strerror or error,
                seconds=RETRY_DELAY,
            )
        self._lost += 1
        self._failed_at = self._monotonic()
        self._trouble = f"{self._directory}: {error.strerror or error}"

    def _recover(self) -> None:
        self._trouble = ""
        self._log.info(
            "samples are kept in {directory} again; {lost} were lost",
            directory=self._directory,
            lost=self._lost - self._lost_before,
        )
