"""
The value of one process, read from its files: at first sight, after a change, and at rest.

`gomd.sources.linux.process_visitor` decides which of them applies to which process; it calls `ProcessReader`
on its thread only for processes whose files answer.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from typing import Final, NamedTuple

from gomd.sources.files import ProcRoot
from gomd.sources.linux.details import (
    parse_transferred,
    read_command,
    read_io,
    read_resident,
    read_uid,
)  # fmt: skip
from gomd.sources.linux.kernelstat import Boot, read_boot
from gomd.sources.linux.numbers import rate
from gomd.sources.linux.pidstat import PidStat, cpu_percent, parse_pid_stat
from gomd.sources.usernames import UserNames
from libgomd.errors import SourceUnavailable
from libgomd.model import Process
from libgomd.wire.text import printable_bytes

_TICKS_PER_SECOND: Final = os.sysconf("SC_CLK_TCK")
#: Bytes in a page of memory.
PAGE_SIZE: Final = os.sysconf("SC_PAGE_SIZE")


class KnownProcess(NamedTuple):
    """
    A process as the last scan left it.

    :ivar path: path of its stat file, as bytes for the kernel. :ivar line: the content of that file.
    :ivar settled: it used no processor and neither read nor wrote, so an unchanged line means no change.
    :ivar io: its io file, as it was at ``io_at``; unparsed, because it is mostly only compared.
    """

    path: bytes
    line: bytes
    stat: PidStat
    process: Process
    settled: bool
    io: bytes | None
    io_at: float


class ProcessReader:
    """
    Makes the values of processes below one proc root.

    :param node_id: this node, which is the home of all its processes.
    :param locked: returns the processes that are locked now, as (pid, started).
    :param users: gives the names of users.
    """

    def __init__(
        self,
        root: ProcRoot,
        node_id: int,
        locked: Callable[[], frozenset[tuple[int, int]]],
        users: UserNames,
    ) -> None:
        self._root = root
        self._node_id = node_id
        self._locked = locked
        self._locks: frozenset[tuple[int, int]] = frozenset()
        self._users = users
        self._boot_time: int | None = None
        #: The forks that the kernel had counted when the present scan began, None if that is unknown.
        self.forks: int | None = None
        self._scanned_boot_time: int | None = (
            None  # that of the last scan; `update_boot_time` renews the other
        )

    def begin_scan(self, now: float) -> bool:
        """
        Read what the values of all processes depend on: boot time, locks, user names; and `forks`.

        :returns: whether it changed since the last scan, so that processes at rest must be renewed.
        :raises SourceUnavailable: the boot time was never readable.
        """
        (boot_time, self.forks), locks = self._read_boot(), self._locked()
        same = not self._users.refresh(now) and boot_time == self._scanned_boot_time and locks is self._locks
        self._boot_time = self._scanned_boot_time = boot_time
        self._locks = locks
        return not same

    def update_boot_time(self) -> None:
        """Read the boot time again. :raises SourceUnavailable: it was never readable."""
        self._boot_time = self._read_boot().time

    def update(
        self,
        pid: int,
        path: bytes,
        line: bytes,
        known: KnownProcess | None,
        now: float,
        interval: float,
        in_turn: bool,
    ) -> KnownProcess:
        """
        Return the value of a process from ``line`` and its other files.

        :param known: what the last scan knew of it, None at first sight.
        :param in_turn: read its command line and resident memory although the line did not change.
        :raises OSError: it has ended. :raises SourceUnavailable: its files are not whole.
        """
        if known is None:
            return self.first(pid, path, line, now)
        last, changed = known.process, known.line != line
        if changed:
            stat = parse_pid_stat(line)
            if stat.started != known.stat.started:  # the pid has been given to another process
                return self.first(pid, path, line, now)
        else:
            stat = known.stat
        uid = read_uid(self._root, pid)
        io = read_io(self._root, pid, uid)
        if in_turn or (changed and _may_have_another_command(known.stat, stat)):
            command = read_command(self._root, stat)
        else:
            command = last.command
        rss = page_bytes(read_resident(self._root, stat)) if changed or in_turn else last.rss
        told = (last.uid, last.command, last.rss)
        if not changed and known.settled and (uid, command, rss) == told and _same_transfers(io, known.io):
            return KnownProcess(path, line, stat, self.renewed(last, now), True, io, now)
        cpu = None
        if not last.stuck:
            cpu = cpu_percent(stat.ticks, known.stat.ticks, _TICKS_PER_SECOND, interval)
        read_rate, write_rate = _rates(io, known.io, now - known.io_at)
        process = self.process(stat, uid, command, rss, now, cpu, read_rate, write_rate)
        settled = cpu is not None and not (changed or cpu or read_rate or write_rate)
        return KnownProcess(path, line, stat, process, settled, io, now)

    def first(self, pid: int, path: bytes, line: bytes, now: float) -> KnownProcess:
        """Return the value of a process at first sight. Errors as in `update`."""
        stat = parse_pid_stat(line)
        if stat.pid != pid:
            raise SourceUnavailable(f"/proc/{pid}/stat is of process {stat.pid}")
        uid = read_uid(self._root, pid)
        command, resident = read_command(self._root, stat), read_resident(self._root, stat)
        process = self.process(stat, uid, command, page_bytes(resident), now)
        return KnownProcess(path, line, stat, process, False, read_io(self._root, pid, uid), now)

    def process(
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
        """Return the value of a process from what was read of it; rates are in bytes per second."""
        own, after = self._node_id, stat.started_after(_TICKS_PER_SECOND)
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
            cpu_seconds=None if stat.ticks is None else stat.ticks / _TICKS_PER_SECOND,
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
            name=printable_bytes(stat.name),
        )

    def renewed(self, process: Process, now: float) -> Process:
        """Return the value of a process at rest, with lock, user name and start time as they are now."""
        lock = (process.pid, process.started) in self._locks
        after = None if process.start_time is None else process.started / _TICKS_PER_SECOND
        user, start_time = self._users.name(process.uid, now), self._started_at(after)
        if (lock, user, start_time) == (process.lock, process.user, process.start_time):
            return process
        return replace(process, lock=lock, user=user, start_time=start_time)

    def _started_at(self, after: float | None) -> float | None:
        """
        Return the time of day ``after`` seconds from the boot, None when that is not known.

        The boot time moves when the wall clock is set.
        """
        assert self._boot_time is not None
        return None if after is None else self._boot_time + after

    def _read_boot(self) -> Boot:
        try:
            return read_boot(self._root)
        except SourceUnavailable:
            if self._boot_time is None:
                raise
            return Boot(self._boot_time, None)


def why_unmovable(stat: PidStat) -> str:
    """
    Return why a process cannot move: ``system`` for the system's own, ``foreign`` if gomd did not start it.
    """
    return "system" if stat.pid == 1 or stat.of_kernel else "foreign"


def _may_have_another_command(old: PidStat, new: PidStat) -> bool:
    """Return whether it may have run another program or ended; a zombie has no command line."""
    return old.program != new.program or (old.state == "Z") != (new.state == "Z")


def page_bytes(pages: int | None) -> int | None:
    """Return the bytes in so many pages, None for None."""
    return None if pages is None else pages * PAGE_SIZE


def _same_transfers(new: bytes | None, old: bytes | None) -> bool:
    """Return whether two readings of an io file tell the same; most are the same bytes."""
    return new == old or parse_transferred(new) == parse_transferred(old)


def _rates(new_io: bytes | None, old_io: bytes | None, interval: float) -> tuple[float | None, float | None]:
    new, old = parse_transferred(new_io), parse_transferred(old_io)
    if new is None or old is None:
        return None, None
    return rate(new.read, old.read, interval), rate(new.written, old.written, interval)
