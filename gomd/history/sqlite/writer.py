"""
Writes batches of records into the database, on the thread of the history; errors of the disk end here.

A batch is one transaction. After an error of the disk the connection is closed, what comes is counted as
lost, and every few seconds it is tried again. A damaged file is renamed and a new one begun. A file that has
its largest size is thinned.
"""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime, timezone
from typing import Any, ClassVar, Final

from twisted.logger import Logger

from gomd.history.sqlite import file
from gomd.history.sqlite.expiry_times import ExpiryTimes
from gomd.history.sqlite.numbers import note_owner
from gomd.history.sqlite.retention import Retention, give_back, used_by
from gomd.history.sqlite.tables import Tables
from libgomd.wallclock import Wall

#: Seconds until the next try after an error.
RETRY_DELAY: Final = 5.0
#: Attempts to write a batch into a file that has its largest size; each makes more room.
MAX_ATTEMPTS: Final = 8
#: Bytes that are free on a disk which is not the reason why the file is full.
ROOM_ON_DISK: Final = 4 << 20
#: Bytes that the write-ahead log may have at least, and more where the file may. Beyond that nothing is
#: written until the program ends that has been reading since then.
LEAST_LOG_BYTES: Final = 4 << 20

Record = tuple[str, tuple[Any, ...]]


class Writer:
    """
    Writes the file at ``path``. Everything but the attributes is for one thread.

    :param most_held: records that are kept while another program has the file locked.
    :ivar written, lost: records so far. :ivar bytes: the size of the file.
    :ivar trouble: why nothing is written now, empty when it is. :ivar refused: why nothing ever will be.
    :ivar lock: a descriptor that holds the file's lock; -1 while there is none. :ivar locks_later: set it to
        have the lock taken with the first record that can be written.
    :ivar suspect: set it to have the file checked before the next commit.
    """

    _log: ClassVar[Logger] = Logger()

    def __init__(
        self,
        path: str,
        own_id: int,
        max_bytes: int,
        most_held: int,
        wall: Wall,
        monotonic: Callable[[], float],
        read_mounts: Callable[[], str],
    ) -> None:
        self._path = path
        self._own_id = own_id
        self._most_held = most_held
        self._wall = wall
        self._monotonic = monotonic
        self._read_mounts = read_mounts
        self.retention = Retention(max_bytes)
        self._connection: sqlite3.Connection | None = None
        self._tables: Tables | None = None
        self._inode = (0, 0)
        self.written = self.lost = self._lost_before = 0
        self.bytes = 0
        self.trouble = self.refused = ""
        self._failed_at = -RETRY_DELAY
        self._expiry = ExpiryTimes(monotonic())
        self.suspect = False
        self.lock, self.locks_later = -1, False
        self._held: list[Record] = []  # what another program's lock on the file has kept from being written

    def write(self, batch: Sequence[Record]) -> None:
        """Write a batch, and what was held before it. Never raises. Blocks."""
        if self._held:
            batch, self._held = [*self._held, *batch], []
        try:
            self._write_batch(batch)
        except Exception:  # noqa: BLE001 - a bug: say so, and stay up
            self._log.failure("writing the history failed")
            self.lost += len(batch)
            self.disconnect()

    def end(self) -> None:
        """Note that the last minute is over, and close the database. Never raises. Blocks."""
        if self._connection is not None and self._tables is not None:
            try:
                self._tables.end_minute()
            except sqlite3.Error as error:
                self._log.warn("the last minute of the history stays open: {error}", error=error)
        self.disconnect()

    def _write_batch(self, batch: Sequence[Record]) -> None:
        if not batch:
            return
        if self.refused or self._monotonic() - self._failed_at < RETRY_DELAY:
            self.lost += len(batch)
            return
        try:
            self._connect()
            self._transact_in_room(batch)
        except file.Unusable as error:
            self._refuse(str(error))
            self.lost += len(batch)
        except file.Damaged as error:
            self._begin_anew(str(error))
            self.lost += len(batch)
        except (OSError, sqlite3.Error) as error:
            if isinstance(error, sqlite3.OperationalError) and "locked" in str(error):
                self._hold(batch)
            else:
                self._lose(error, len(batch))
        else:
            self.written += len(batch)
            if self.trouble:
                self._recover()
            self._maintain()

    def _connect(self) -> None:
        """Have the database open: the one that is at the path now, and not a file that was moved away."""
        if self.suspect and self._connection is not None:
            self.suspect = False
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
            self.disconnect()
        if self.locks_later and self.lock < 0:
            with suppress(
                OSError
            ):  # what cannot be locked may be written all the same, or the next step says why
                self.lock = file.take_lock(self._path)
        use_wal = not file.on_network(self._path, self._read_mounts)
        if not use_wal:
            self._log.info(
                "the history {path} lies on a network file system: it is written without a write-ahead "
                "log, and readers may have to wait", path=self._path,
            )  # fmt: skip
        connection = file.open_file(self._path, use_wal)
        try:
            self.retention.limit(connection)
            status = os.stat(self._path)
            note_owner(connection, self._own_id, self._wall())
            tables = Tables(connection, self._own_id)
        except BaseException:
            connection.close()
            raise
        self._inode = (status.st_dev, status.st_ino)
        self._connection, self._tables = connection, tables
        self._measure()

    def _transact_in_room(self, batch: Sequence[Record]) -> None:
        """Write a batch; where the file has its largest size, remove the oldest rows first."""
        assert self._connection is not None
        most = max(self.retention.max_bytes, LEAST_LOG_BYTES)
        if not file.shorten_log(self._connection, self._path, most):
            raise OSError(
                errno.EFBIG,
                f"another program holds a transaction open, and the log has {most >> 20} MB: end it",
            )
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
        """Return whether the file is full by its own limit: the disk below it has room."""
        disk = os.statvfs(os.path.dirname(self._path))
        return disk.f_bavail * disk.f_frsize > ROOM_ON_DISK

    def _make_room(self) -> None:
        assert self._connection is not None
        used = used_by(self._connection)
        now = self._expiry.trusted(self._monotonic(), self._wall())
        self.retention.thin(self._connection, now, self._own_id, 0.9 * used)

    def _maintain(self) -> None:
        """Merge what is enough for a block, and remove what is too old."""
        connection, tables = self._connection, self._tables
        assert connection is not None
        assert tables is not None
        wall = self._wall()
        is_time = self._expiry.is_time(self._monotonic(), wall)
        try:
            connection.execute("BEGIN IMMEDIATE")
            merged = tables.merge()
            connection.execute("COMMIT")
            if merged:
                self.retention.limit(connection)
                give_back(connection)
                self._measure()
            if is_time:
                self.retention.expire(connection, wall, self._own_id)
                self._measure()
        except sqlite3.Error as error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            if file.is_damage(error):
                self._begin_anew(str(error))
            elif "full" in str(error) and self._has_largest_size():
                self._make_room()
                self.disconnect()  # the tables remember what was not written
            else:
                self._lose(error, 0)

    def _measure(self) -> None:
        self.bytes = sum(
            os.path.getsize(self._path + end) for end in ("", "-wal") if os.path.exists(self._path + end)
        )

    def disconnect(self) -> None:
        """Close the database; what comes next opens it again. Blocks."""
        connection, self._connection, self._tables = self._connection, None, None
        if connection is not None:
            try:
                connection.close()
            except sqlite3.Error as error:
                self._log.warn("the history was not closed cleanly: {error}", error=error)

    def _refuse(self, reason: str) -> None:
        self.refused = self.trouble = reason
        self.disconnect()
        self._log.error("no history is kept: {reason}", reason=reason)

    def _begin_anew(self, reason: str) -> None:
        """Rename the damaged file; the next records begin a new one."""
        self.disconnect()
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
        self._held = list(batch[-self._most_held :])
        self.lost += len(batch) - len(self._held)
        if not self.trouble:
            self._lost_before = self.lost
            self.trouble = f"{self._path}: another program has locked it"
            self._log.warn("the history {path} waits: another program has locked it", path=self._path)

    def _lose(self, error: Exception, count: int) -> None:
        if isinstance(error, sqlite3.DatabaseError) and file.is_damage(error):
            self.lost += count
            self._begin_anew(str(error))
            return
        reason = getattr(error, "strerror", None) or str(error)
        if not self.trouble:
            self._lost_before = self.lost
            self._log.warn(
                "the history is not kept in {path}: {reason}; trying again every {seconds:g} s",
                path=self._path, reason=reason, seconds=RETRY_DELAY,
            )  # fmt: skip
        self.lost += count
        self._failed_at = self._monotonic()
        self.trouble = f"{self._path}: {reason}"
        self.disconnect()

    def _recover(self) -> None:
        self.trouble, self._failed_at = "", -RETRY_DELAY
        self._log.info(
            "the history is kept in {path} again; {lost} records were lost",
            path=self._path, lost=self.lost - self._lost_before,
        )  # fmt: skip
