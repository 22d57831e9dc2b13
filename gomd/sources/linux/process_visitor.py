"""
Visits the processes of one scan: one read per process, and the rest only when something may have changed.

Theory of operation. A machine has hundreds of processes, of which a dozen do anything. A process whose stat
line is byte for byte that of the last scan used no processor time and ran no other program, so its value is
kept without parsing anything. A few things change without a trace in that line, and are therefore read in
turn. Each scan reads for a twelfth of the processes (`ROTATION`) what they read and wrote too briefly to
show as processor time, and their user; for a sixtieth (`LONG_ROTATION`) a rewritten command line, and
memory that only statm shows.

A process whose files block, or may block because many of its user's do, is left to `StuckReader`.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from typing import Final, NamedTuple

from gomd.sources.files import ProcRoot
from gomd.sources.linux.details import read_uid
from gomd.sources.linux.kept_files import KeptFiles
from gomd.sources.linux.pidstat import MAX_STAT_BYTES
from gomd.sources.linux.process_reader import KnownProcess, ProcessReader
from gomd.sources.linux.stuck import StuckProcesses
from gomd.sources.linux.stuck_reader import StuckReader
from gomd.sources.linux.walk import Worker
from libgomd.errors import NotAllowed, SourceUnavailable

#: Scans in which the input and output of every process is read once: a minute at the default period.
ROTATION: Final = 12
#: Scans in which everything of every process is read once: five minutes. A multiple of `ROTATION`.
LONG_ROTATION: Final = 5 * ROTATION
#: Bytes that are read first of a stat file that is kept open. Python allocates so few faster, and hardly any
#: line is as long; one that is will be read again.
_USUAL_STAT_BYTES: Final = 479
_FLAGS: Final = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
#: Errors that mean trouble of the daemon or the machine, not of one process.
_TROUBLE: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})


class OneScan(NamedTuple):
    """
    One scan.

    :ivar before: what the last scan left. :ivar resting: the stat lines of its processes at rest, if these
        lines being the same means that nothing changed.
    :ivar now: time of this scan. :ivar last: time of the last one.
    :ivar renew: whether the values of processes at rest have to be renewed.
    :ivar turn: which processes' turn it is, below `LONG_ROTATION`.
    """

    before: dict[int, KnownProcess]
    resting: dict[int, bytes]
    now: float
    last: float
    renew: bool
    turn: int


class ProcessVisitor:
    """
    Visits the processes below one proc root, on the threads of a scan.

    :param kept: the stat files that stay open between scans.
    :param open_file: opens the stat file of that name for reading, and may block for ever.
    :param read_kept: reads a kept one from its beginning, as `os.pread` does, and may block for ever.
    """

    def __init__(
        self,
        root: ProcRoot,
        reader: ProcessReader,
        kept: KeptFiles,
        stuck: StuckProcesses,
        stuck_reader: StuckReader,
        open_file: Callable[[bytes, int], int],
        read_kept: Callable[[int, int, int], bytes],
    ) -> None:
        self._root = root
        self._reader = reader
        self._kept = kept
        self._stuck = stuck
        self._stuck_reader = stuck_reader
        self._open_file = open_file
        self._read_kept = read_kept

    def visit(self, this: OneScan, worker: Worker[KnownProcess]) -> None:
        """
        Read the processes of ``worker``, on its thread, which may block for ever; see `Worker`.

        :raises SourceUnavailable: the daemon or the machine is short of something.
        """
        pids, kept, read_kept, io_turn = worker.pids, self._kept, self._read_kept, this.turn % ROTATION
        spared = self._stuck.spared() if self._stuck else None
        # Nearly all processes take only the first lines of this loop: each line shows in the whole.
        for pid, descriptor, resting_line in zip(
            pids, map(kept.descriptors.get, pids), map(this.resting.get, pids), strict=True
        ):
            worker.at = pid
            if worker.left:
                return
            try:
                if spared is not None and self._is_spared(pid, this.before.get(pid), spared):
                    worker.found[pid] = self._from_outside(this, worker, pid)
                    continue
                line = b""
                if descriptor is not None:
                    try:
                        line = read_kept(descriptor, _USUAL_STAT_BYTES, 0)
                        if line == resting_line and pid % ROTATION != io_turn:
                            continue
                        if len(line) == _USUAL_STAT_BYTES:
                            line = read_kept(descriptor, MAX_STAT_BYTES, 0)
                    except OSError:
                        if worker.is_left():
                            return
                        line = b""
                        kept.drop(pid)  # its process has ended; another one may have its pid
                known = self._read(this, worker, pid, line)
                if known is not None:
                    worker.found[pid] = known
            except OSError as error:
                if error.errno in _TROUBLE:
                    raise SourceUnavailable(f"the processes cannot be read: {error.strerror}") from error
                worker.gone.append(pid)  # it has ended
            except (SourceUnavailable, NotAllowed):
                worker.gone.append(pid)  # it is just starting or ending
        worker.at = None

    def _read(
        self, this: OneScan, worker: Worker[KnownProcess], pid: int, line: bytes
    ) -> KnownProcess | None:
        """
        Return the value of one process, None if it is at rest and its last value holds.

        :param line: its stat line, empty if it was not read yet.
        :raises OSError: it has ended. :raises SourceUnavailable: its files are not whole.
        """
        known = this.before.get(pid)
        path = self._stat_path(pid) if known is None else known.path
        if not line:
            descriptor = self._open_file(path, _FLAGS)
            try:
                line = os.read(descriptor, MAX_STAT_BYTES)
            except OSError:
                os.close(descriptor)
                raise
            if known is None or worker.left:
                os.close(descriptor)  # most new processes end soon
            else:
                self._kept.keep(pid, descriptor)
        if known is None or known.line != line or not known.settled or pid % ROTATION == this.turn % ROTATION:
            in_turn = pid % LONG_ROTATION == this.turn
            return self._reader.update(pid, path, line, known, this.now, this.now - this.last, in_turn)
        if this.renew:
            return known._replace(process=self._reader.renewed(known.process, this.now))
        return None

    def _stat_path(self, pid: int) -> bytes:
        return os.fsencode(self._root.under(f"{pid}/stat"))

    def _is_spared(self, pid: int, known: KnownProcess | None, spared: Callable[[int], bool]) -> bool:
        return pid in self._stuck or spared(read_uid(self._root, pid) if known is None else known.process.uid)

    def _from_outside(self, this: OneScan, worker: Worker[KnownProcess], pid: int) -> KnownProcess:
        worker.outside = True
        try:
            return self._stuck_reader.read(
                pid, self._stat_path(pid), this.before.get(pid), this.now, this.last
            )
        finally:
            worker.outside = False
