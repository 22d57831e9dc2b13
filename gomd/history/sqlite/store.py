"""
The writer of the history: takes what is to be stored, and writes it on a thread of its own.

Theory of operation. Callers put records into a queue and never wait. The thread takes what is there and
writes it in one transaction, about once a second. With a write-ahead log a killed daemon loses what was not
committed, at most two seconds, and the file stays whole. After an error of the disk the connection is closed,
what comes is counted as lost, and every five seconds the thread tries again. A damaged file is renamed and a
new one begun. Nothing here stops the daemon.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timezone
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from typing import Any, ClassVar, Final

from twisted.logger import Logger
from zope.interface import implementer

from gomd.history.fields import field_of, named_numbers
from gomd.history.sqlite import file
from gomd.history.sqlite.reader import HistoryReader
from gomd.history.sqlite.retention import Retention, used_by
from gomd.history.sqlite.tables import Tables
from gomd.interfaces import ISampleLog, RememberedTable
from libgomd.model import Counter, Event, Job, Measure, Node, ProcessTable, Sample
from libgomd.wallclock import Wall

#: Seconds from commit to commit, at least; until the next try after an error; and for which `close` waits.
COMMIT_PERIOD: Final = 0.9
RETRY_DELAY: Final = 5.0
CLOSE_TIMEOUT: Final = 5.0
#: Records that wait at most; beyond that the newest are lost.
MAX_WAITING: Final = 5000
#: Records of one commit at most, so that a burst is no transaction that the file has no room for.
MAX_BATCH: Final = 100
#: Attempts to write a batch into a file that has its largest size; each makes more room.
MAX_ATTEMPTS: Final = 8
#: Bytes that are free on a disk which is not the reason why the file is full.
ROOM_ON_DISK: Final = 4 << 20
#: Seconds between two removals of old rows. The clock must have gone on without a step for as long as the
#: first number before anything is removed: one that was set wrong for a moment must not cost a month.
EXPIRE_PERIOD: Final = 3600.0
STEADY_BEFORE_EXPIRE: Final = 600.0
#: Seconds by which the wall clock and the monotonic clock may drift apart between two commits.
MAX_DRIFT: Final = 30.0

Record = tuple[str, tuple[Any, ...]]


@implementer(ISampleLog)
class SqliteHistory:
    """
    Writes the file at ``path``. Any thread may call it; nothing but `close` blocks.

    :param own_id: the id of this node. :param max_bytes: the largest size of the file.
    :param lock: a descriptor that holds the file's lock; -1 when there is none.
    :param gap: seconds after a scan or a row of a node for which it is an answer about a later moment.
    :param wall: gives the time for removing old rows. :param monotonic: gives seconds of a monotonic clock.
    :ivar reader: reads the same file, an `IHistory`.
    """

    blocks = False
    _log: ClassVar[Logger] = Logger()

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
    ) -> None:
        self._path = path
        self._own_id = own_id
        self._wall = wall
        self._lock_descriptor = lock
        self._monotonic = monotonic
        self._read_mounts = read_mounts
        self._retention = Retention(max_bytes)
        self._queue: SimpleQueue[Record | None] = SimpleQueue()
        self._thread: Thread | None = None
        self._state = Lock()
        self._closed = False
        self._connection: sqlite3.Connection | None = None
        self._tables: Tables | None = None
        self._inode = (0, 0)
        self._written = self._lost = self._lost_before = 0
        self._bytes = 0
        self._trouble = self._refused = ""
        self._failed_at = -RETRY_DELAY
        self._committed_at = -COMMIT_PERIOD
        self._steady_since = monotonic()
        self._expired_at = self._steady_since - EXPIRE_PERIOD + STEADY_BEFORE_EXPIRE
        self._offset: float | None = None
        self._suspect = False
        self._held: list[Record] = []  # what another program's lock on the file has kept from being written
        self.reader = HistoryReader(path, own_id, gap, lambda: self._refused, self._look_closer)

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
        self._retention.max_bytes = max_bytes

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
        if self._lock_descriptor >= 0:
            os.close(self._lock_descriptor)
            self._lock_descriptor = -1

    def counters(self) -> Iterable[Counter]:
        """See `ISampleLog.counters`."""
        yield Counter("history_written", self._written, "records written to the history")
        yield Counter("history_lost", self._lost, self._trouble or "records that could not be written")
        yield Counter("history_bytes", self._bytes, "size of the history on disk")
        yield Counter(
            "history_kept",
            round(self._retention.factor, 3),
            "part of the usual times for which rows are kept",
        )

    def _put(self, kind: str, *values: Any) -> None:
        if self._closed:
            return
        if self._queue.qsize() >= MAX_WAITING or self._refused:
            self._lost += 1
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
        self._suspect = True

    # -- the thread

    def _work(self) -> None:
        """Write until `close`. Never raises."""
        ended = False
        while not ended:
            batch, ended = self._take()
            if self._held:
                batch, self._held = [*self._held, *batch], []
            try:
                self._write_batch(batch)
            except Exception:  # noqa: BLE001 - a bug: say so, and stay up
                self._log.failure("writing the history failed")
                self._lost += len(batch)
                self._disconnect()
        self._disconnect()

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

    def _write_batch(self, batch: Sequence[Record]) -> None:
        self._committed_at = self._monotonic()
        if not batch:
            return
        if self._refused or self._committed_at - self._failed_at < RETRY_DELAY:
            self._lost += len(batch)
            return
        try:
            self._connect()
            self._transact_in_room(batch)
        except file.Unusable as error:
            self._refuse(str(error))
            self._lost += len(batch)
        except file.Damaged as error:
            self._begin_anew(str(error))
            self._lost += len(batch)
        except (OSError, sqlite3.Error) as error:
            if isinstance(error, sqlite3.OperationalError) and "locked" in str(error):
                self._hold(batch)
            else:
                self._lose(error, len(batch))
        else:
            self._written += len(batch)
            if self._trouble:
                self._recover()
            self._maintain()

    def _connect(self) -> None:
        """Have the database open: the one that is at the path now, and not a file that was moved away."""
        if self._suspect and self._connection is not None:
            self._suspect = False
            [found] = self._connection.execute("PRAGMA quick_check(1)").fetchone()
            if found != "ok":
                raise file.Damaged(found)
        if self._connection is not None:
            try:
                status = os.stat(self._path)
                if (status.st_dev, status.st_ino) == self._inode:
                    return
            except FileNotFoundError:
                pass
            self._log.warn("the history {path} was moved away: a new one is begun", path=self._path)
            self._disconnect()
        use_wal = not file.on_network(self._path, self._read_mounts)
        if not use_wal:
            self._log.info(
                "the history {path} lies on a network file system: it is written without a write-ahead "
                "log, and readers may have to wait", path=self._path,
            )  # fmt: skip
        connection = file.open_file(self._path, use_wal)
        try:
            self._retention.limit(connection)
            status = os.stat(self._path)
            tables = Tables(connection, self._own_id)
        except BaseException:
            connection.close()
            raise
        self._inode = (status.st_dev, status.st_ino)
        self._connection, self._tables = connection, tables
        self._measure()

    def _transact_in_room(self, batch: Sequence[Record]) -> None:
        """Write a batch; where the file has its largest size, remove the oldest rows first."""
        for _attempt in range(MAX_ATTEMPTS):
            try:
                self._transact(batch)
            except sqlite3.OperationalError as error:
                if "full" not in str(error) or not self._has_largest_size():
                    raise  # a disk that others have filled: removing our past would only make room for them
                full = error
                self._make_room()
            else:
                return
        raise full

    def _transact(self, batch: Sequence[Record]) -> None:
        connection, tables = self._connection, self._tables
        assert connection is not None
        assert tables is not None
        connection.execute("BEGIN IMMEDIATE")
        try:
            for kind, values in batch:
                getattr(tables, kind)(*values)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            self._tables = Tables(connection, self._own_id)  # what it remembers was not written
            raise

    def _has_largest_size(self) -> bool:
        """Return whether the file is full because of its own limit: the disk below it has room."""
        disk = os.statvfs(os.path.dirname(self._path))
        return disk.f_bavail * disk.f_frsize > ROOM_ON_DISK

    def _make_room(self) -> None:
        assert self._connection is not None
        used = used_by(self._connection)
        self._retention.thin(self._connection, self._wall(), self._own_id, 0.9 * used)

    def _maintain(self) -> None:
        """Merge what is enough for a block, and remove what is too old."""
        connection, tables = self._connection, self._tables
        assert connection is not None
        assert tables is not None
        now, wall = self._monotonic(), self._wall()
        if self._offset is not None and abs(wall - now - self._offset) > MAX_DRIFT:
            self._steady_since = now
        self._offset = wall - now
        try:
            connection.execute("BEGIN IMMEDIATE")
            merged = tables.merge()
            connection.execute("COMMIT")
            if merged:
                self._retention.limit(connection)
                self._measure()
            if now - self._expired_at >= EXPIRE_PERIOD and now - self._steady_since >= STEADY_BEFORE_EXPIRE:
                self._expired_at = now
                self._retention.expire(connection, wall, self._own_id)
                self._measure()
        except sqlite3.Error as error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            if file.is_damage(error):
                self._begin_anew(str(error))
            elif "full" in str(error) and self._has_largest_size():
                self._make_room()
            else:
                self._lose(error, 0)

    def _measure(self) -> None:
        self._bytes = sum(
            os.path.getsize(self._path + end) for end in ("", "-wal") if os.path.exists(self._path + end)
        )

    def _disconnect(self) -> None:
        connection, self._connection, self._tables = self._connection, None, None
        if connection is not None:
            try:
                connection.close()
            except sqlite3.Error as error:
                self._log.warn("the history was not closed cleanly: {error}", error=error)

    def _refuse(self, reason: str) -> None:
        self._refused = self._trouble = reason
        self._disconnect()
        self._log.error("no history is kept: {reason}", reason=reason)

    def _begin_anew(self, reason: str) -> None:
        """Rename the damaged file; the next records begin a new one."""
        self._disconnect()
        stamp = datetime.fromtimestamp(self._wall(), timezone.utc).strftime("%Y%m%dT%H%M%SZ")
        try:
            aside = file.set_aside(self._path, stamp)
        except OSError as error:
            self._lose(error, 0)
            return
        self._log.error(
            "the history {path} is damaged ({reason}): it is kept as {aside}, and a new one is begun",
            path=self._path, reason=reason, aside=aside,
        )  # fmt: skip

    def _hold(self, batch: Sequence[Record]) -> None:
        """Keep a batch for the next commit: another program has locked the file, for a moment mostly."""
        self._held = list(batch[-MAX_WAITING:])
        self._lost += len(batch) - len(self._held)
        if not self._trouble:
            self._lost_before = self._lost
            self._trouble = f"{self._path}: another program has locked it"
            self._log.warn("the history {path} waits: another program has locked it", path=self._path)

    def _lose(self, error: Exception, count: int) -> None:
        if isinstance(error, sqlite3.DatabaseError) and file.is_damage(error):
            self._lost += count
            self._begin_anew(str(error))
            return
        reason = getattr(error, "strerror", None) or str(error)
        if not self._trouble:
            self._lost_before = self._lost
            self._log.warn(
                "the history is not kept in {path}: {reason}; trying again every {seconds:g} s",
                path=self._path, reason=reason, seconds=RETRY_DELAY,
            )  # fmt: skip
        self._lost += count
        self._failed_at = self._monotonic()
        self._trouble = f"{self._path}: {reason}"
        self._disconnect()

    def _recover(self) -> None:
        self._trouble, self._failed_at = "", -RETRY_DELAY
        self._log.info(
            "the history is kept in {path} again; {lost} records were lost",
            path=self._path, lost=self._lost - self._lost_before,
        )  # fmt: skip
