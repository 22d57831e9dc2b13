"""The journal of a table: lines of JSON that a crash, a full disk or a damaged line cannot spoil."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, ClassVar, Final

from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger

from gomd.interfaces import IThreads
from gomd.jobs.home.checksummed_lines import Replayed, encode, replay
from libgomd.durable import sync_directory
from libgomd.private import create_private, make_private_directory, open_private

#: Lines after which the file is rewritten, unless it has that many entries.
COMPACT_AFTER_LINES = 4096
#: Seconds that the disk may take: practically no limit, as a write cannot be taken back.
_DISK_TIMEOUT: Final = 86400.0
#: Bytes of damaged lines that are kept beside the journal.
_MAX_BAD_BYTES: Final = 4 * 1024 * 1024

Value = dict[str, Any] | None


class Journal:
    """
    Keeps the newest value of each key in the file ``path``, a line for each change.

    Nothing here waits for the disk but `open`: changes are written on a thread, in their order, those
    together that came while it was busy. `written` tells when the kernel has them: then they survive the
    daemon, however that ends. `sync` tells when they survive the machine.

    :param threads: used for one call at a time; not shared, as a disk that hangs occupies a thread.
    :ivar values: what is kept, by key.
    :ivar found: what `open` has read, damaged lines too.
    """

    _log: ClassVar[Logger] = Logger()

    def __init__(self, path: str, threads: IThreads) -> None:
        self._path = path
        self._threads = threads
        self._file = -1
        self._lines = 0
        self._broken = False
        self._pending: dict[int, Value] = {}
        self._working = False
        self._writes: list[Deferred[None]] = []
        self._syncs: list[Deferred[None]] = []
        self.failed = 0
        self.values: dict[int, dict[str, Any]] = {}
        self.found = Replayed()

    def open(self) -> None:
        """
        Read the file, and write it anew without what is superseded or damaged. Blocks.

        Damaged lines are logged with their numbers and kept in the file ``PATH.bad``.

        :raises OSError: the directory cannot be made or written.
        """
        make_private_directory(os.path.dirname(self._path))
        try:
            with open(open_private(self._path), "rb") as file:
                self.found = replay(file.read())
        except FileNotFoundError:
            self.found = Replayed()
        self.values = self.found.values
        if self.found.bad:
            self._put_aside()
        self._rewrite(self.values)

    def _put_aside(self) -> None:
        bad = f"{self._path}.bad"
        for line, data in self.found.bad[:20]:
            self._log.error(
                "line {line} of {path} is damaged, and is kept in {bad}: {data}",
                line=line, path=self._path, bad=bad, data=repr(data[:200]),
            )  # fmt: skip
        self._log.error(
            "{path}: {count} damaged lines were not read; of {entries} jobs what was noted last is lost",
            path=self._path, count=len(self.found.bad), entries=len(self.found.damaged) + self.found.unknown,
        )  # fmt: skip
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(bad, flags, 0o600)
        try:
            if os.fstat(descriptor).st_size < _MAX_BAD_BYTES:
                _write(descriptor, b"".join(data + b"\n" for _line, data in self.found.bad))
                os.fsync(descriptor)
        finally:
            os.close(descriptor)

    # -- changes

    def put(self, key: int, value: Value) -> None:
        """Keep ``value`` under ``key``; None forgets it. Never raises: a full disk is counted and logged."""
        if value is None:
            self.values.pop(key, None)
        else:
            self.values[key] = value
        self._pending.pop(key, None)  # the order is that of the last changes
        self._pending[key] = value
        self._go_on()

    def written(self) -> Deferred[None]:
        """
        Return what fires when every change so far was given to the kernel.

        It does so too when that failed, which was logged: the next change tries again.
        """
        if not self._pending and not self._working:
            return succeed(None)
        waited: Deferred[None] = Deferred()
        self._writes.append(waited)
        return waited

    def sync(self) -> Deferred[None]:
        """Return a Deferred that fires when all changes are on the disk, or fails with OSError."""
        waited: Deferred[None] = Deferred()
        self._syncs.append(waited)
        self._go_on()
        return waited

    def close(self) -> Deferred[None]:
        """Write what is to be written, and close the file; fires when it is."""
        return Deferred.fromCoroutine(self._finish())

    async def _finish(self) -> None:
        if self._broken:
            try:
                await self.sync()
            except Exception as error:  # noqa: BLE001 - it was said, and there is no later time
                self._log.error("the last changes of {path} are lost: {error}", path=self._path, error=error)
        await self.written()
        self._close()

    def _close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    # -- writing

    def _go_on(self) -> None:
        if not self._working and self._file >= 0:
            self._working = True
            Deferred.fromCoroutine(self._work()).addErrback(
                lambda failure: self._log.failure("writing the journal failed", failure=failure)
            )

    async def _work(self) -> None:
        """Write until nothing is left to write."""
        try:
            while self._pending or self._syncs:
                await self._write_pending()
        finally:
            self._working = False
            for waited in self._take(self._writes):
                waited.callback(None)

    async def _write_pending(self) -> None:
        batch, self._pending = self._pending, {}
        writes, syncs = self._take(self._writes), self._take(self._syncs)
        anew = self._broken or self._lines + len(batch) > max(COMPACT_AFTER_LINES, 2 * len(self.values))
        values = dict(self.values) if anew else None
        failure: Exception | None = None
        try:
            await self._threads.run(_DISK_TIMEOUT, self._store, batch, values, bool(syncs))
            self._broken = False
        except Exception as error:  # noqa: BLE001 - logged, passed on to `sync`, and tried again
            self.failed += 1
            self._broken = True
            failure = error
            self._log.error("the journal {path} cannot be written: {error}", path=self._path, error=error)
        for waited in writes:
            waited.callback(None)
        for waited in syncs:
            if failure is None:
                waited.callback(None)
            else:
                waited.errback(failure)

    def _take(self, waiting: list[Deferred[None]]) -> list[Deferred[None]]:
        taken = list(waiting)
        waiting.clear()
        return taken

    def _store(
        self, batch: Mapping[int, Value], values: Mapping[int, dict[str, Any]] | None, sync: bool
    ) -> None:
        """Write the changes, or all values anew. Blocks. :raises OSError: they are not written."""
        if values is not None:
            self._rewrite(values)
            return
        _write(self._file, b"".join(encode(key, value) for key, value in batch.items()))
        self._lines += len(batch)
        if sync:
            os.fsync(self._file)

    def _rewrite(self, values: Mapping[int, dict[str, Any]]) -> None:
        beside = f"{self._path}.new"
        descriptor = create_private(beside)
        try:
            _write(descriptor, b"".join(encode(key, value) for key, value in values.items()))
            os.fsync(descriptor)
            os.rename(beside, self._path)
            sync_directory(os.path.dirname(self._path))
        except BaseException:
            os.close(descriptor)
            raise
        self._close()
        self._file = descriptor
        self._lines = len(values)


def _write(descriptor: int, data: bytes) -> None:
    """Write all of ``data``."""
    while data:
        data = data[os.write(descriptor, data) :]
