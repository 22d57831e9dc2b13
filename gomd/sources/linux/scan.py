"""
Scanning every process, cheaply: one `stat` a process a scan, the rest only when it may have changed.

A machine has hundreds of processes of which a dozen do anything. When a process's stat line is byte
for byte the one of the last scan, it used no processor and ran no other program: its value is kept
as it is, unparsed. What the line does not tell is looked at in turn: at each scan, for a twelfth of
the processes, reading and writing too short to show as processor time, and a user changed without any other
trace; for a sixtieth, a rewritten command line, and some pages that statm alone tells of.

A process whose files block (`gomd.sources.linux.walk`) keeps one thread, and is not touched again until that
is back: it is shown from its ``status``, which does not block, and from what is known. A user of whom many
are so, which he can bring about, has all his processes shown that way, and holds no more threads.
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
from gomd.sources.linux.details import (
    Transferred,
    read_command,
    read_resident,
    read_transferred,
    read_uid,
)  # fmt: skip
from gomd.sources.linux.kernelstat import read_boot_time
from gomd.sources.linux.numbers import rate
from gomd.sources.linux.pidstat import PidStat, cpu_percent, parse_pid_stat
from gomd.sources.linux.pidstatus import PidStatus, parse_pid_status
from gomd.sources.linux.stuck import HANGS, StuckProcesses
from gomd.sources.linux.walk import Worker
from gomd.sources.usernames import UserNames
from libgomd.errors import NotAllowed, NotFound, RequestError, SourceUnavailable, TimedOut
from libgomd.model import Process
from libgomd.wire.text import printable_bytes

T = TypeVar("T")
#: Scans after which each process's reading and writing was read again: a minute at the default period.
ROTATION: Final = 12
#: Scans after which all of it was: five minutes. A multiple of `ROTATION`.
_LONG_ROTATION: Final = 5 * ROTATION
#: No kernel writes a longer stat line: 50 numbers of 20 digits and a name.
_MAX_STAT: Final = 2048
#: Seconds without progress after which a process is taken to hang: the first of a scan, and the others.
PATIENCE: Final = 0.5
_NEXT_PATIENCE: Final = 0.15
_MAX_STATUS: Final = 8192
_FLAGS: Final = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
#: What is wrong with the daemon or the machine, not with one process.
_TROUBLE: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})
_TICKS_A_SECOND: Final = os.sysconf("SC_CLK_TCK")
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


class _KnownProcess(NamedTuple):
    """
    A process as the last scan left it.

    :ivar path: of its stat, as the kernel takes it. :ivar line: what stood there.
    :ivar settled: nothing about it was in motion.
    :ivar moved: what it had read and written at ``moved_at``.
    """

    path: bytes
    line: bytes
    stat: PidStat
    process: Process
    settled: bool
    moved: Transferred | None
    moved_at: float


def _read_line(
    path: bytes,
    open_: Callable[[bytes, int], int] = os.open,
    read: Callable[[int, int], bytes] = os.read,
    close: Callable[[int], None] = os.close,
) -> bytes:
    """Return the first bytes of a file; called for every process of every scan, so without detours."""
    descriptor = open_(path, _FLAGS)
    try:
        return read(descriptor, _MAX_STAT)
    finally:
        close(descriptor)


class ProcessScanner:
    """
    Scans the processes below one proc root; `scan` on one thread at a time, `read` beside it.

    :param node_id: the node, home of all its processes.
    :param locked: gives the processes locked now, as (pid, started). :param users: names them.
    :param read_line: returns the first bytes of the stat file of that name, and may block for ever.
    :param patience: seconds without progress after which a process is taken to hang.
    """

    def __init__(
        self,
        root: ProcRoot,
        node_id: int,
        locked: Callable[[], frozenset[tuple[int, int]]],
        users: UserNames | None = None,
        read_line: Callable[[bytes], bytes] = _read_line,
        patience: float = PATIENCE,
    ) -> None:
        self._read_line = read_line
        self._patience = patience
        self._stuck = StuckProcesses()
        #: When the processes that are only looked at from outside were last read; None if they never were.
        self._read_at: dict[int, float | None] = {}
        self._root = root
        self._node_id = node_id
        self._locked = locked
        self._locks: frozenset[tuple[int, int]] = frozenset()
        self._users = users or UserNames()
        self._known: dict[int, _KnownProcess] = {}
        self._scanned_at = 0.0
        self._scanning_at = 0.0
        self._round = 0
        self._boot_time: int | None = None
        self._scanned_boot_time: int | None = None  # that of the last scan; `read` renews the other one too
        self._one_scan = threading.Lock()

    def scan(self, now: float) -> tuple[Process, ...]:
        """
        Read all processes, in the order of their pids. Blocks.

        :param now: seconds of a clock that is never set.
        :raises SourceUnavailable: there is no /proc.
        """
        with self._one_scan:
            return self._scan(now)

    def _scan(self, now: float) -> tuple[Process, ...]:
        try:
            pids = sorted([int(name) for name in self._root.names() if name.isdecimal()])
        except RequestError as error:
            raise SourceUnavailable(str(error)) from error
        # What stands beside the stat lines: when it has changed, processes at rest are made anew too.
        boot_time, locks = self._read_boot_time(), self._locked()
        same = not self._users.refresh(now) and boot_time == self._scanned_boot_time and locks is self._locks
        self._boot_time = self._scanned_boot_time = boot_time
        self._locks = locks
        before, self._scanning_at = self._known, now
        visit = partial(self._visit, before, now, now - self._scanned_at, same)
        after: dict[int, _KnownProcess] = {}
        patience = self._patience
        while True:
            worker = Worker(pids, visit, self._stuck.came_back)
            worker.start()
            hung = worker.wait(patience)
            after.update(worker.found.copy())
            if hung is None:
                break
            pids = pids[pids.index(hung) :]
            if hung in after:
                del pids[0]
            else:
                last = before.get(hung)
                uid, command = (-1, "new") if last is None else (last.process.uid, last.process.command)
                self._stuck.note(hung, worker, uid, command)
            patience = min(patience, _NEXT_PATIENCE)
        if worker.error is not None:
            raise worker.error
        if self._stuck or self._read_at:
            self._stuck.settle(after)
            self._read_at = {pid: at for pid, at in self._read_at.items() if self._is_stuck_in(after, pid)}
        self._known, self._scanned_at, self._round = after, now, self._round + 1
        return tuple([known.process for known in after.values()])

    def _visit(
        self,
        before: dict[int, _KnownProcess],
        now: float,
        interval: float,
        same: bool,
        worker: Worker[_KnownProcess],
    ) -> None:
        """Look at the processes of ``worker``. On its thread; it may stay there for ever."""
        turn = self._round % _LONG_ROTATION
        io_turn = turn % ROTATION
        below, read_line, after = os.fsencode(self._root.under("")), self._read_line, worker.found
        spared = self._stuck.spared() if self._stuck else None
        for pid in worker.pids:
            worker.at = pid
            if worker.left:
                return
            known = before.get(pid)
            path = b"%b%d/stat" % (below, pid) if known is None else known.path
            try:
                if spared is not None and self._is_spared(pid, known, spared):
                    worker.outside = True
                    after[pid] = self._look_from_outside(pid, path, known)
                    worker.outside = False
                    continue
                line = read_line(path)
                if known is None or known.line != line or not known.settled or pid % ROTATION == io_turn:
                    known = self._look(pid, path, line, known, now, interval, pid % _LONG_ROTATION == turn)
                elif not same:
                    known = known._replace(process=self._renewed(known.process, now))
                after[pid] = known
            except OSError as error:
                if error.errno in _TROUBLE:  # else it has ended
                    raise SourceUnavailable(f"the processes cannot be read: {error.strerror}") from error
            except (SourceUnavailable, NotAllowed):
                continue  # it is just coming or going

    # -- processes whose files block

    def _is_spared(self, pid: int, known: _KnownProcess | None, spared: Callable[[int], bool]) -> bool:
        return pid in self._stuck or spared(read_uid(self._root, pid) if known is None else known.process.uid)

    def _look_from_outside(self, pid: int, path: bytes, known: _KnownProcess | None) -> _KnownProcess:
        """Return what a process is whose files block, without touching more of it than its status."""
        status = None
        if not self._stuck.is_mute(pid):
            status = parse_pid_status(self._root.peek(f"{pid}/status", _MAX_STATUS)[0])
            if status.pid != pid:
                raise SourceUnavailable(f"/proc/{pid}/status is of process {status.pid}")
            self._stuck.owned_by(pid, status.uid)
            if known is not None and (status.ppid, status.uid) != (known.process.ppid, known.process.uid):
                known = None  # the pid may have been given to another process
        if known is None:
            if status is None:
                raise SourceUnavailable(f"nothing is known of process {pid}")
            known = self._outside(path, status)
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

    def _outside(self, path: bytes, status: PidStatus) -> _KnownProcess:
        """Return a process that was never read; that it started at -1 tells it from itself once it is."""
        stat = PidStat(
            status.pid, status.name, status.state, status.ppid, 0, 0, 0, status.threads, -1, status.vsize,
            status.rss // _PAGE, (status.name, b"", b""),
        )  # fmt: skip
        command = f"[{printable_bytes(status.name)}]"
        process = replace(
            self._process(stat, status.uid, command, status.rss, self._scanning_at),
            started=0,
            start_time=None,
        )
        return _KnownProcess(path, b"", stat, process, False, None, self._scanning_at)

    def is_stuck(self, pid: int) -> bool:
        """Whether the files of process ``pid`` are not to be touched: they block, or may."""
        return pid in self._stuck or self._is_stuck_in(self._known, pid)

    @staticmethod
    def _is_stuck_in(known: dict[int, _KnownProcess], pid: int) -> bool:
        return pid in known and known[pid].process.stuck

    def read(self, pid: int, now: float) -> Process:
        """
        Read one process afresh, with the shares and rates of the last scan. Blocks.

        One whose files block is given as the last scan left it.

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
        return self._stuck.read(pid, uid, lambda: self._read_fresh(pid, now), self._patience)

    def guard(self, pid: int, read: Callable[[], T]) -> T:
        """
        Return what ``read`` returns, which reads a file of process ``pid``. Blocks, for a second at the most.

        :raises TimedOut: it does, or is known to. Raises what ``read`` raises, too.
        """
        if self.is_stuck(pid):
            raise TimedOut(HANGS.format(pid))
        return self._stuck.read(pid, self._root.owner(pid), read, self._patience)

    def _read_fresh(self, pid: int, now: float) -> Process:
        try:
            line = self._root.peek(f"{pid}/stat", _MAX_STAT)[0]
            stat = parse_pid_stat(line)
            if stat.pid != pid:
                raise NotFound(f"there is no process {pid} on this node now; `ps` lists what runs")
            self._boot_time = self._read_boot_time()
            self._root.check_process(pid)
            uid, command = read_uid(self._root, pid), read_command(self._root, stat)
            process = self._process(stat, uid, command, _bytes(read_resident(self._root, stat)), now)
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

    def _look(
        self,
        pid: int,
        path: bytes,
        line: bytes,
        known: _KnownProcess | None,
        now: float,
        interval: float,
        in_turn: bool,
    ) -> _KnownProcess:
        """Return what ``line`` and the process's other files say; ``known`` is the last scan's."""
        if known is None:
            return self._meet(pid, path, line, now)
        last, changed = known.process, known.line != line
        if changed:
            stat = parse_pid_stat(line)
            if stat.started != known.stat.started:  # the pid has been given to another process
                return self._meet(pid, path, line, now)
        else:
            stat = known.stat
        uid = read_uid(self._root, pid)
        moved = read_transferred(self._root, pid, uid)
        if in_turn or (changed and _may_have_another_command(known.stat, stat)):
            command = read_command(self._root, stat)
        else:
            command = last.command
        rss = _bytes(read_resident(self._root, stat)) if changed or in_turn else last.rss
        told = (known.moved, last.uid, last.command, last.rss)
        if not changed and known.settled and (moved, uid, command, rss) == told:
            return _KnownProcess(path, line, stat, self._renewed(last, now), True, moved, now)
        cpu = None
        if not last.stuck:
            cpu = cpu_percent(stat.ticks, known.stat.ticks, _TICKS_A_SECOND, interval)
        read_rate, write_rate = _rates(moved, known.moved, now - known.moved_at)
        process = self._process(stat, uid, command, rss, now, cpu, read_rate, write_rate)
        settled = cpu is not None and not (changed or cpu or read_rate or write_rate)
        return _KnownProcess(path, line, stat, process, settled, moved, now)

    def _meet(self, pid: int, path: bytes, line: bytes, now: float) -> _KnownProcess:
        """Return what a process is that no scan has seen before."""
        stat = parse_pid_stat(line)
        if stat.pid != pid:
            raise SourceUnavailable(f"/proc/{pid}/stat is of process {stat.pid}")
        uid = read_uid(self._root, pid)
        command, resident = read_command(self._root, stat), read_resident(self._root, stat)
        process = self._process(stat, uid, command, _bytes(resident), now)
        return _KnownProcess(path, line, stat, process, False, read_transferred(self._root, pid, uid), now)

    def _process(
        self,
        stat: PidStat,
        uid: int,
        command: str,
        rss: int | None,
        now: float,
        cpu_percent: float | None = None,
        read_rate: float | None = None,
        write_rate: float | None = None,
    ) -> Process:
        own, after = self._node_id, stat.started_after(_TICKS_A_SECOND)
        return Process(
            node=own,
            home=own,
            pid=stat.pid,
            ppid=stat.ppid,
            uid=uid,
            user=self._users.name(uid, now),
            state=stat.state,
            nice=stat.nice,
            threads=stat.threads,
            cpu_percent=cpu_percent,
            cpu_seconds=None if stat.ticks is None else stat.ticks / _TICKS_A_SECOND,
            rss=rss,
            vsize=stat.vsize,
            start_time=self._started_at(after),
            where=0,
            nmigs=0,
            lock=(stat.pid, stat.started) in self._locked(),
            cantmove=why_unmovable(stat),
            command=command,
            started=stat.started,
            read_rate=read_rate,
            write_rate=write_rate,
        )

    def _renewed(self, process: Process, now: float) -> Process:
        """Return a process at rest, with what does not stand in its own files as it is now."""
        lock = (process.pid, process.started) in self._locks
        after = None if process.start_time is None else process.started / _TICKS_A_SECOND
        user, start_time = self._users.name(process.uid, now), self._started_at(after)
        if (lock, user, start_time) == (process.lock, process.user, process.start_time):
            return process
        return replace(process, lock=lock, user=user, start_time=start_time)

    def _started_at(self, after: float | None) -> float | None:
        """
        Return the time of day ``after`` seconds from the boot, None when that is not known.

        The moment of boot moves when the wall clock is set.
        """
        assert self._boot_time is not None
        return None if after is None else self._boot_time + after

    def _read_boot_time(self) -> int:
        try:
            return read_boot_time(self._root)
        except SourceUnavailable:
            if self._boot_time is None:
                raise
            return self._boot_time


def why_unmovable(stat: PidStat) -> str:
    """Return openMosix's word for what is the system's own; `foreign` for what gomd did not start."""
    return "system" if stat.pid == 1 or stat.of_kernel else "foreign"


def _may_have_another_command(old: PidStat, new: PidStat) -> bool:
    """Whether it ran another program between the two, or ended: a zombie has no command line."""
    return old.program != new.program or (old.state == "Z") != (new.state == "Z")


def _bytes(pages: int | None) -> int | None:
    return None if pages is None else pages * _PAGE


def _rates(
    new: Transferred | None, old: Transferred | None, interval: float
) -> tuple[float | None, float | None]:
    if new is None or old is None:
        return None, None
    return rate(new.read, old.read, interval), rate(new.written, old.written, interval)
