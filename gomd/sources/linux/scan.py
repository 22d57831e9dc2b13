"""
Scans every process cheaply: one read per process and scan, and the rest only when something may have changed.

Theory of operation. A machine has hundreds of processes, of which a dozen do anything. A process whose stat
line is byte for byte that of the last scan used no processor time and ran no other program, so its value is
kept without parsing anything. A few things change without a trace in that line, and are therefore read in
turn. Each scan reads for a twelfth of the processes (`ROTATION`) what they read and wrote too briefly to
show as processor time, and their user; for a sixtieth (`_LONG_ROTATION`) a rewritten command line, and
memory that only statm shows.

The stat files of processes that were there at the last scan are kept open (`gomd.sources.linux.kept_files`),
which halves what the kernel needs for a scan. The processes are listed again only if some may be new
(`gomd.sources.linux.pids`).

A process whose files block (`gomd.sources.linux.walk`) occupies one thread and is not touched again before
that thread is back. It is shown from its ``status`` file, which does not block, and from what is known of
it. A user can bring such processes about; when a user has many of them, all processes of that user are
shown this way, so that they occupy no more threads.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Final, NamedTuple, TypeVar

from gomd.sources.files import ProcRoot, error_of
from gomd.sources.linux.details import read_command, read_resident, read_uid
from gomd.sources.linux.kept_files import KeptFiles
from gomd.sources.linux.pids import PidList
from gomd.sources.linux.pidstat import PidStat, parse_pid_stat
from gomd.sources.linux.pidstatus import PidStatus, parse_pid_status
from gomd.sources.linux.process_reader import PAGE_SIZE, KnownProcess, ProcessReader, page_bytes
from gomd.sources.linux.stuck import HANGS, StuckProcesses
from gomd.sources.linux.walk import LastingWorker, Worker
from gomd.sources.usernames import UserNames
from libgomd.errors import NotAllowed, NotFound, SourceUnavailable, TimedOut
from libgomd.model import Process
from libgomd.wire.text import printable_bytes

T = TypeVar("T")
#: Scans in which the input and output of every process is read once: a minute at the default period.
ROTATION: Final = 12
#: Scans in which everything of every process is read once: five minutes. A multiple of `ROTATION`.
_LONG_ROTATION: Final = 5 * ROTATION
#: Bytes of a stat line. No kernel writes a longer one: 50 numbers of 20 digits and a name.
_MAX_STAT_BYTES: Final = 2048
#: Bytes that are read first of a stat file that is kept open. Python allocates so few faster, and hardly any
#: line is as long; one that is will be read again.
_USUAL_STAT_BYTES: Final = 479
#: Seconds without progress after which a process counts as hung: the first of a scan, and further ones.
HANG_TIMEOUT: Final = 0.5
_NEXT_HANG_TIMEOUT: Final = 0.15
_MAX_STATUS_BYTES: Final = 8192
_FLAGS: Final = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
#: Errors that mean trouble of the daemon or the machine, not of one process.
_TROUBLE: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})


class _Round(NamedTuple):
    """
    One scan.

    :ivar before: what the last scan left. :ivar resting: the stat lines of its processes at rest, if these
        lines being the same means that nothing changed.
    :ivar now: time of this scan. :ivar interval: seconds since the last one.
    :ivar renew: whether the values of processes at rest have to be renewed.
    :ivar turn: which processes' turn it is, below `_LONG_ROTATION`.
    """

    before: dict[int, KnownProcess]
    resting: dict[int, bytes]
    now: float
    interval: float
    renew: bool
    turn: int


class ProcessScanner:
    """
    Scans the processes below one proc root. One thread at a time may call `scan`; others may call `read`.

    :param node_id: this node, which is the home of all its processes.
    :param locked: returns the processes that are locked now, as (pid, started).
    :param users: gives the names of users.
    :param open_file: opens the stat file of that name for reading, and may block for ever.
    :param hang_timeout: seconds without progress after which a process counts as hung.
    :param kept: the stat files that stay open between scans; None keeps none.
    :param read_kept: reads one of them from its beginning, as `os.pread` does, and may block for ever.
    :param forks_tell: whether processes appear below ``root`` only by forks that the kernel counts.
    """

    def __init__(
        self,
        root: ProcRoot,
        node_id: int,
        locked: Callable[[], frozenset[tuple[int, int]]],
        users: UserNames | None = None,
        open_file: Callable[[bytes, int], int] = os.open,
        hang_timeout: float = HANG_TIMEOUT,
        kept: KeptFiles | None = None,
        read_kept: Callable[[int, int, int], bytes] = os.pread,
        forks_tell: bool = False,
    ) -> None:
        #: The thread that visits the processes, while it waits for the next scan too.
        self._worker: LastingWorker[KnownProcess] | None = None
        self._open_file = open_file
        self._read_kept = read_kept
        self._kept = KeptFiles(0) if kept is None else kept
        self._hang_timeout = hang_timeout
        self._stuck = StuckProcesses()
        #: When each process that is shown from its status only was last read; None if it never was.
        self._read_at: dict[int, float | None] = {}
        self._root = root
        self._reader = ProcessReader(root, node_id, locked, users or UserNames())
        self._known: dict[int, KnownProcess] = {}
        #: The stat lines of the processes that did nothing in the last scan.
        self._resting: dict[int, bytes] = {}
        self._listed = PidList(root, forks_tell)
        #: Whether the last scan failed after it had asked what has to be renewed.
        self._not_renewed = False
        self._scanned_at = 0.0
        self._scanning_at = 0.0
        self._round = 0
        self._one_scan = threading.Lock()

    def __del__(self) -> None:
        if self._worker is not None:
            self._worker.end()

    def scan(self, now: float) -> tuple[Process, ...]:
        """
        Read all processes, in the order of their pids. Blocks.

        :param now: seconds of a clock that is never set.
        :raises SourceUnavailable: there is no /proc.
        """
        with self._one_scan:
            return self._scan(now)

    def _scan(self, now: float) -> tuple[Process, ...]:
        renew = self._reader.begin_scan(now) or self._not_renewed
        self._not_renewed = True
        all_pids, place = self._listed.read(self._reader.forks)
        self._kept.at(place)
        pids, before, self._scanning_at = all_pids, self._known, now
        visit = partial(self._visit, _Round(
            before, {} if renew else self._resting, now, now - self._scanned_at, renew,
            self._round % _LONG_ROTATION,
        ))  # fmt: skip
        found: dict[int, KnownProcess] = {}
        gone: set[int] = set()
        hang_timeout = self._hang_timeout
        while True:
            worker = self._visiting(pids, visit)
            hung = worker.wait(hang_timeout)
            if worker.left:
                worker.end()
                self._worker = None
            found.update(worker.found.copy())
            gone.update(worker.gone.copy())
            if hung is None:
                break
            pids = pids[pids.index(hung) :]
            if hung in found:
                del pids[0]
            else:
                last = before.get(hung)
                uid, command = (-1, "new") if last is None else (last.process.uid, last.process.command)
                self._stuck.note(hung, worker, uid, command)
                self._kept.drop(hung)
            hang_timeout = min(hang_timeout, _NEXT_HANG_TIMEOUT)
        if worker.error is not None:
            self._kept.clear()  # it may have been short of descriptors
            raise worker.error
        gone.difference_update(found)
        if gone:
            self._listed.forget()
        after = self._merged(all_pids, found, gone)
        if self._stuck or self._read_at:
            self._stuck.settle(after)
            self._read_at = {pid: at for pid, at in self._read_at.items() if self._is_stuck_in(after, pid)}
        self._known, self._scanned_at, self._round = after, now, self._round + 1
        self._not_renewed = False
        return tuple([known.process for known in after.values()])

    def _visiting(
        self, pids: list[int], visit: Callable[[Worker[KnownProcess]], None]
    ) -> LastingWorker[KnownProcess]:
        """Return a thread that has begun to visit ``pids``."""
        if self._worker is None or not self._worker.is_alive():  # it is not in a process that was forked off
            self._worker = LastingWorker(pids, visit, self._stuck.came_back)
            self._worker.start()
        else:
            self._worker.again(pids, visit)
        return self._worker

    def _merged(
        self, pids: list[int], found: dict[int, KnownProcess], gone: set[int]
    ) -> dict[int, KnownProcess]:
        """
        Return what is now known of all processes, in the order of their pids, and note which are at rest.

        :param found: those that were not at rest, or are new. :param gone: those that were not readable.
        """
        before, resting = self._known, self._resting
        for pid, known in found.items():
            if known.settled:
                resting[pid] = known.line
            else:
                resting.pop(pid, None)
        if not gone and pids == list(before):
            return {**before, **found}
        after = {}
        for pid in pids:
            known_now = found.get(pid) or before.get(pid)
            if known_now is not None and pid not in gone:
                after[pid] = known_now
        self._kept.prune(after)
        for pid in resting.keys() - after.keys():
            del resting[pid]
        return after

    def _visit(self, this: _Round, worker: Worker[KnownProcess]) -> None:
        """Read the processes of ``worker``, on its thread, which may block for ever."""
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
                    worker.found[pid] = self._from_outside(worker, pid, this.before.get(pid))
                    continue
                line = b""
                if descriptor is not None:
                    try:
                        line = read_kept(descriptor, _USUAL_STAT_BYTES, 0)
                        if line == resting_line and pid % ROTATION != io_turn:
                            continue
                        if len(line) == _USUAL_STAT_BYTES:
                            line = read_kept(descriptor, _MAX_STAT_BYTES, 0)
                    except OSError:
                        if worker.is_left():
                            return
                        line = b""
                        kept.drop(pid)  # its process has ended; another one may have its pid
                known = self._visit_one(this, worker, pid, line)
                if known is not None:
                    worker.found[pid] = known
            except OSError as error:
                if error.errno in _TROUBLE:
                    raise SourceUnavailable(f"the processes cannot be read: {error.strerror}") from error
                worker.gone.append(pid)  # it has ended
            except (SourceUnavailable, NotAllowed):
                worker.gone.append(pid)  # it is just starting or ending

    def _visit_one(
        self, this: _Round, worker: Worker[KnownProcess], pid: int, line: bytes
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
                line = os.read(descriptor, _MAX_STAT_BYTES)
            except OSError:
                os.close(descriptor)
                raise
            if known is None or worker.left:
                os.close(descriptor)  # most new processes end soon
            else:
                self._kept.keep(pid, descriptor)
        if known is None or known.line != line or not known.settled or pid % ROTATION == this.turn % ROTATION:
            in_turn = pid % _LONG_ROTATION == this.turn
            return self._reader.update(pid, path, line, known, this.now, this.interval, in_turn)
        if this.renew:
            return known._replace(process=self._reader.renewed(known.process, this.now))
        return None

    def _stat_path(self, pid: int) -> bytes:
        return os.fsencode(self._root.under(f"{pid}/stat"))

    # -- processes whose files block

    def _is_spared(self, pid: int, known: KnownProcess | None, spared: Callable[[int], bool]) -> bool:
        return pid in self._stuck or spared(read_uid(self._root, pid) if known is None else known.process.uid)

    def _from_outside(
        self, worker: Worker[KnownProcess], pid: int, known: KnownProcess | None
    ) -> KnownProcess:
        worker.outside = True
        try:
            return self._from_status(pid, self._stat_path(pid), known)
        finally:
            worker.outside = False

    def _from_status(self, pid: int, path: bytes, known: KnownProcess | None) -> KnownProcess:
        """Return the value of a process whose files block, reading nothing but its status."""
        status = None
        if not self._stuck.is_mute(pid):
            status = parse_pid_status(self._root.peek(f"{pid}/status", _MAX_STATUS_BYTES)[0])
            if status.pid != pid:
                raise SourceUnavailable(f"/proc/{pid}/status is of process {status.pid}")
            self._stuck.owned_by(pid, status.uid)
            if known is not None and (status.ppid, status.uid) != (known.process.ppid, known.process.uid):
                known = None  # the pid may have been given to another process
        if known is None:
            if status is None:
                raise SourceUnavailable(f"nothing is known of process {pid}")
            known = self._unread(path, status)
            self._read_at[pid] = None
        read_at = self._read_at.setdefault(pid, self._scanned_at)
        process = replace(
            known.process, cpu_percent=None, read_rate=None, write_rate=None, stuck=True,
            age=None if read_at is None else round(max(0.0, self._scanning_at - read_at), 1),
        )  # fmt: skip
        if status is not None:
            process = replace(
                process, state=status.state, threads=status.threads, rss=status.rss, vsize=status.vsize
            )
        return known._replace(process=process, settled=False)

    def _unread(self, path: bytes, status: PidStatus) -> KnownProcess:
        """
        Return the value of a process that was never read.

        Its ``started`` of -1 makes a later read replace it.
        """
        stat = PidStat(
            status.pid, status.name, status.state, status.ppid, 0, 0, 0, status.threads, -1, status.vsize,
            status.rss // PAGE_SIZE, (status.name, b"", b""),
        )  # fmt: skip
        command = f"[{printable_bytes(status.name)}]"
        process = replace(
            self._reader.process(stat, status.uid, command, status.rss, self._scanning_at),
            started=0,
            start_time=None,
        )
        return KnownProcess(path, b"", stat, process, False, None, self._scanning_at)

    def is_stuck(self, pid: int) -> bool:
        """Return whether the files of process ``pid`` must not be read because they block, or may."""
        return pid in self._stuck or self._is_stuck_in(self._known, pid)

    @staticmethod
    def _is_stuck_in(known: dict[int, KnownProcess], pid: int) -> bool:
        return pid in known and known[pid].process.stuck

    def read(self, pid: int, now: float) -> Process:
        """
        Read one process afresh, with the shares and rates of the last scan. Blocks.

        A process whose files block is returned as the last scan left it.

        :raises NotFound: there is no such process.
        :raises SourceUnavailable: its files are not whole.
        :raises TimedOut: its files block, and nothing is known of it yet.
        """
        if self.is_stuck(pid):
            return self._read_stuck(pid, now)
        try:
            uid = read_uid(self._root, pid)
        except OSError as error:
            raise error_of(error, str(pid)) from error
        return self._stuck.read(pid, uid, lambda: self._read_fresh(pid, now), self._hang_timeout)

    def guard(self, pid: int, read: Callable[[], T]) -> T:
        """
        Return what ``read`` returns, which reads a file of process ``pid``. Blocks, for a second at the most.

        :raises TimedOut: it does, or is known to. Raises what ``read`` raises, too.
        """
        if self.is_stuck(pid):
            raise TimedOut(HANGS.format(pid))
        return self._stuck.read(pid, self._root.owner(pid), read, self._hang_timeout)

    def _read_fresh(self, pid: int, now: float) -> Process:
        try:
            line = self._root.peek(f"{pid}/stat", _MAX_STAT_BYTES)[0]
            stat = parse_pid_stat(line)
            if stat.pid != pid:
                raise NotFound(f"there is no process {pid} on this node now; `ps` lists what runs")
            self._reader.update_boot_time()
            self._root.check_process(pid)
            uid, command = read_uid(self._root, pid), read_command(self._root, stat)
            process = self._reader.process(
                stat, uid, command, page_bytes(read_resident(self._root, stat)), now
            )
        except OSError as error:
            raise error_of(error, str(pid)) from error
        known = self._known.get(pid)
        if known is None or known.stat.started != stat.started:
            return process
        last = known.process
        return replace(
            process, cpu_percent=last.cpu_percent, read_rate=last.read_rate, write_rate=last.write_rate
        )

    def _read_stuck(self, pid: int, now: float) -> Process:
        known = self._known.get(pid)
        if known is None or not known.process.stuck:
            raise TimedOut(HANGS.format(pid))
        age = known.process.age
        if age is not None:
            age = round(age + max(0.0, now - self._scanned_at), 1)
        return replace(known.process, age=age)
