"""
Scanning every process, cheaply: one `stat` a process a scan, the rest only when it may have changed.

A machine has hundreds of processes of which a dozen do anything. When a process's stat line is byte
for byte the one of the last scan, it used no processor and ran no other program: its value is kept
as it is, unparsed. What the line does not tell is looked at in turn: at each scan, for a twelfth of
the processes, reading and writing too short to show as processor time, and a user changed without any
other trace; for a sixtieth, a rewritten command line.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Final, NamedTuple

from gomd.sources.files import ProcRoot, error_of
from gomd.sources.proc.details import (
    Transferred,
    read_command,
    read_transferred,
    read_uid,
)  # fmt: skip
from gomd.sources.proc.kernelstat import read_boot_time
from gomd.sources.proc.pidstat import PidStat, parse_pid_stat
from gomd.sources.usernames import UserNames
from libgomd.errors import NotFound, RequestError, SourceUnavailable
from libgomd.model import Process

#: Scans after which each process's reading and writing was read again: a minute at the default period.
ROTATION: Final = 12
#: Scans after which all of it was: five minutes. A multiple of `ROTATION`.
_LONG_ROTATION: Final = 5 * ROTATION
#: No kernel writes a longer stat line: 50 numbers of 20 digits and a name.
_MAX_STAT: Final = 2048
#: What is wrong with the daemon or the machine, not with one process.
_TROUBLE: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})
_TICKS_A_SECOND: Final = os.sysconf("SC_CLK_TCK")
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


class _Known(NamedTuple):
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


class ProcessScanner:
    """
    Scans the processes below one proc root; `scan` on one thread at a time, `read` beside it.

    :param node_id: the node, home of all its processes.
    :param locked: gives the processes locked now, as (pid, started). :param users: names them.
    """

    def __init__(
        self,
        root: ProcRoot,
        node_id: int,
        locked: Callable[[], frozenset[tuple[int, int]]],
        users: UserNames | None = None,
    ) -> None:
        self._root = root
        self._node_id = node_id
        self._locked = locked
        self._locks: frozenset[tuple[int, int]] = frozenset()
        self._users = users or UserNames()
        self._known: dict[int, _Known] = {}
        self._scanned_at = 0.0
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
        turn = self._round % _LONG_ROTATION
        io_turn = turn % ROTATION
        # What stands beside the stat lines: when it has changed, processes at rest are made anew too.
        boot_time, locks = self._read_boot_time(), self._locked()
        same = not self._users.refresh(now) and boot_time == self._scanned_boot_time and locks is self._locks
        self._boot_time = self._scanned_boot_time = boot_time
        self._locks = locks
        interval = now - self._scanned_at
        before, after = self._known, {}
        below, read, close, open_ = os.fsencode(self._root.under("")), os.read, os.close, os.open
        flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
        for pid in pids:
            known = before.get(pid)
            path = b"%b%d/stat" % (below, pid) if known is None else known.path
            try:
                descriptor = open_(path, flags)
                try:
                    line = read(descriptor, _MAX_STAT)
                finally:
                    close(descriptor)
                if known is None or known.line != line or not known.settled or pid % ROTATION == io_turn:
                    known = self._look(pid, path, line, known, now, interval, pid % _LONG_ROTATION == turn)
                elif not same:
                    known = known._replace(process=self._renewed(known.process, now))
                after[pid] = known
            except OSError as error:
                if error.errno in _TROUBLE:  # else it has ended
                    raise SourceUnavailable(f"the processes cannot be read: {error.strerror}") from error
            except SourceUnavailable:
                continue  # it is just coming or going
        self._known, self._scanned_at, self._round = after, now, self._round + 1
        return tuple([known.process for known in after.values()])

    def read(self, pid: int, now: float) -> Process:
        """
        Read one process afresh, with the shares and rates of the last scan. Blocks.

        :raises NotFound: there is no such process.
        :raises SourceUnavailable: its files are not whole.
        """
        try:
            line = self._root.peek(f"{pid}/stat", _MAX_STAT)[0]
            stat = parse_pid_stat(line)
            if stat.pid != pid:
                raise NotFound(f"there is no process {pid} on this node now; `ps` lists what runs")
            self._boot_time = self._read_boot_time()
            uid, command = read_uid(self._root, pid), read_command(self._root, stat)
        except OSError as error:
            raise error_of(error, str(pid)) from error
        process = self._process(stat, uid, command, now)
        known = self._known.get(pid)
        if known is None or known.stat.started != stat.started:
            return process
        last = known.process
        return replace(
            process, cpu_percent=last.cpu_percent, read_rate=last.read_rate, write_rate=last.write_rate
        )

    def _look(
        self,
        pid: int,
        path: bytes,
        line: bytes,
        known: _Known | None,
        now: float,
        interval: float,
        in_turn: bool,
    ) -> _Known:
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
        if not changed and known.settled and (moved, uid, command) == (known.moved, last.uid, last.command):
            return _Known(path, line, stat, self._renewed(last, now), True, moved, now)
        cpu = None
        if interval > 0.0:
            used = (stat.ticks - known.stat.ticks) / _TICKS_A_SECOND
            cpu = max(0.0, round(100.0 * used / interval, 1))
        read_rate, write_rate = _rates(moved, known.moved, now - known.moved_at)
        process = self._process(stat, uid, command, now, cpu, read_rate, write_rate)
        settled = not (changed or cpu or read_rate or write_rate)
        return _Known(path, line, stat, process, settled, moved, now)

    def _meet(self, pid: int, path: bytes, line: bytes, now: float) -> _Known:
        """Return what a process is that no scan has seen before."""
        stat = parse_pid_stat(line)
        if stat.pid != pid:
            raise SourceUnavailable(f"/proc/{pid}/stat is of process {stat.pid}")
        uid = read_uid(self._root, pid)
        process = self._process(stat, uid, read_command(self._root, stat), now)
        return _Known(path, line, stat, process, False, read_transferred(self._root, pid, uid), now)

    def _process(
        self,
        stat: PidStat,
        uid: int,
        command: str,
        now: float,
        cpu_percent: float | None = None,
        read_rate: float | None = None,
        write_rate: float | None = None,
    ) -> Process:
        own = self._node_id
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
            cpu_seconds=stat.ticks / _TICKS_A_SECOND,
            rss=stat.rss * _PAGE,
            vsize=stat.vsize,
            start_time=self._started_at(stat.started),
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
        user, start_time = self._users.name(process.uid, now), self._started_at(process.started)
        if (lock, user, start_time) == (process.lock, process.user, process.start_time):
            return process
        return replace(process, lock=lock, user=user, start_time=start_time)

    def _started_at(self, ticks: int) -> float:
        """Return the time of day; the moment of boot moves when the wall clock is set."""
        assert self._boot_time is not None
        return self._boot_time + ticks / _TICKS_A_SECOND

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


def _rates(
    new: Transferred | None, old: Transferred | None, interval: float
) -> tuple[float | None, float | None]:
    if new is None or old is None or interval <= 0.0:
        return None, None
    read, written = max(0, new.read - old.read), max(0, new.written - old.written)
    return round(read / interval, 1), round(written / interval, 1)
