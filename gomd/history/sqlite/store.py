"""
The writer of the history: takes what is to be stored, and writes it on a thread of its own.

Theory of operation. Callers put records into a queue and never wait. The thread takes what is there and
writes it in one transaction, about once a second. With a write-ahead log a killed daemon loses what was not
committed, at most two seconds, and the file stays whole. The writer deals with what goes wrong; nothing here
stops the daemon.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Sequence
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from typing import Any, Final

from zope.interface import implementer

from gomd.history.fields import field_of, named_numbers
from gomd.history.sqlite import file
from gomd.history.sqlite.reader import HistoryReader
from gomd.history.sqlite.writer import Record, Writer
from gomd.interfaces import ISampleLog, RememberedTable
from libgomd.model import Counter, Event, Job, Measure, Node, ProcessTable, Sample
from libgomd.wallclock import Wall

#: Seconds from commit to commit, at least; and for which `close` waits.
COMMIT_PERIOD: Final = 0.9
CLOSE_TIMEOUT: Final = 5.0
#: Records that wait at most; beyond that the newest are lost.
MAX_WAITING: Final = 5000
#: Records of one commit at most, so that a burst is no transaction that the file has no room for.
MAX_BATCH: Final = 100


@implementer(ISampleLog)
class SqliteHistory:
    """
    Writes the file at ``path``. Any thread may call it; nothing but `close` blocks.

    :param own_id: the id of this node. :param max_bytes: the largest size of the file.
    :param lock: a descriptor that holds the file's lock; -1 when there is none.
    :param locks_later: whether to take the lock when the file can be written, because it could not be now.
    :param gap: seconds after a scan or a row of a node for which it is an answer about a later moment.
    :param wall: gives the time for removing old rows. :param monotonic: gives seconds of a monotonic clock.
    :ivar reader: reads the same file, an `IHistory`.
    """

    blocks = False

    def __init__(
        self,
        path: str,
        own_id: int,
        max_bytes: int,
        wall: Wall,
        lock: int = -1,
        gap: float = 60.0,
        monotonic: Callable[[], float] = time.monotonic,
        read_mounts: Callable[[], str] = file.read_mounts,
        locks_later: bool = False,
    ) -> None:
        self._own_id = own_id
        self._monotonic = monotonic
        self._writer = Writer(path, own_id, max_bytes, MAX_WAITING, wall, monotonic, read_mounts)
        self._writer.lock, self._writer.locks_later = lock, locks_later
        self._queue: SimpleQueue[Record | None] = SimpleQueue()
        self._thread: Thread | None = None
        self._state = Lock()
        self._closed = False
        self._turned_away = 0
        self._committed_at = -COMMIT_PERIOD
        self.reader = HistoryReader(path, own_id, gap, lambda: self._writer.refused, self._look_closer)

    # -- what others call

    def write(self, node: Node, sample: Sample) -> None:
        """See `ISampleLog.write`. Other nodes come with `write_nodes`."""
        if node.id == self._own_id:
            self._put("sample", sample.taken_at, named_numbers(node, sample))

    def write_processes(self, node: Node, table: ProcessTable, hidden: bool, in_jobs: frozenset[str]) -> None:
        """See `ISampleLog.write_processes`."""
        self._put("scan", node, table, hidden, in_jobs)

    def write_measures(self, measures: Sequence[Measure], now: float) -> None:
        """See `ISampleLog.write_measures`."""
        kept = {field_of(each): round(each.value, 2) for each in measures if each.kept}
        if kept:
            self._put("sample", now, kept)

    def write_nodes(self, nodes: Sequence[Node], now: float) -> None:
        """See `ISampleLog.write_nodes`."""
        self._put("nodes", tuple(nodes), now)

    def write_event(self, event: Event, hidden: bool) -> None:
        """See `ISampleLog.write_event`."""
        self._put("event", event, hidden)

    def write_jobs(self, jobs: Sequence[Job], now: float) -> None:
        """See `ISampleLog.write_jobs`."""
        if jobs:
            self._put("jobs", tuple(jobs))

    def write_remembered(self, table: RememberedTable) -> None:
        """See `ISampleLog.write_remembered`."""
        self._put("remembered", table)

    def checkpoint(self, name: str, now: float) -> None:
        """See `ISampleLog.checkpoint`."""
        self._put("mark", name, now)

    def set_limits(self, rotate_bytes: int, keep: int, max_bytes: int) -> None:
        """See `ISampleLog.set_limits`; used from the next removal of old rows on."""
        self._writer.retention.max_bytes = max_bytes

    def close(self) -> None:
        """See `ISampleLog.close`. Waits until everything is written, for a few seconds at most."""
        with self._state:
            if self._closed:
                return
            self._closed = True
            thread, self._thread = self._thread, None
        if thread is not None:
            self._queue.put(None)
            thread.join(CLOSE_TIMEOUT)
        lock, self._writer.lock, self._writer.locks_later = self._writer.lock, -1, False
        if lock >= 0:
            os.close(lock)

    def counters(self) -> Iterable[Counter]:
        """See `ISampleLog.counters`."""
        yield Counter("history_written", self._writer.written, "records written to the history")
        lost = self._turned_away + self._writer.lost
        yield Counter("history_lost", lost, self._writer.trouble or "records that could not be written")
        yield Counter("history_bytes", self._writer.bytes, "size of the history on disk")
        yield Counter(
            "history_kept",
            round(self._writer.retention.factor, 3),
            "part of the usual times for which rows are kept",
        )

    def _put(self, kind: str, *values: Any) -> None:
        if self._closed:
            return
        if self._queue.qsize() >= MAX_WAITING or self._writer.refused:
            self._turned_away += 1
            return
        self._queue.put((kind, values))
        if self._thread is None:
            self._start()

    def _start(self) -> None:
        with self._state:
            if self._thread is None and not self._closed:
                # It must not keep a daemon alive whose disk hangs.
                self._thread = Thread(target=self._work, name="history", daemon=True)
                self._thread.start()

    def _look_closer(self) -> None:
        """Check the file before the next commit: a reader has found damage."""
        self._writer.suspect = True

    # -- the thread

    def _work(self) -> None:
        """Write until `close`. Never raises."""
        ended = False
        while not ended:
            batch, ended = self._take()
            self._committed_at = self._monotonic()
            self._writer.write(batch)
        self._writer.end()

    def _take(self) -> tuple[list[Record], bool]:
        """Return the records of the next commit, and whether they are the last ones."""
        first = self._queue.get()
        if first is None:
            return [], True
        batch = [first]
        while len(batch) < MAX_BATCH:
            wait = self._committed_at + COMMIT_PERIOD - self._monotonic()
            try:
                record = self._queue.get(timeout=wait) if wait > 0 else self._queue.get_nowait()
            except Empty:
                break
            if record is None:
                return batch, True
            batch.append(record)
        return batch, False
