"""Reads the processes whose home is this openMosix node, and the node on which each of them runs."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from gomd.sources.files import ProcRoot
from gomd.sources.linux.details import parse_command
from gomd.sources.linux.kernelstat import read_boot_time
from gomd.sources.linux.numbers import within
from gomd.sources.linux.pidstat import cpu_percent, parse_pid_stat
from gomd.sources.openmosix.text import parse_number
from gomd.sources.usernames import UserNames
from libgomd.errors import NotFound, RequestError, SourceUnavailable
from libgomd.model import MAX_NODE_ID, Process
from libgomd.wire.text import printable_bytes

#: openMosix ran on i386 with Linux 2.4: 100 clock ticks a second, pages of 4096 bytes. The machine
#: that looks at its tree may have others.
TICKS_A_SECOND: Final = 100
PAGE: Final = 4096
#: Maximum number of moves of a process: the limit of openMosix's counter.
_MAX_MOVES: Final = 2**31 - 1


class OpenMosixProcesses:
    """
    Scans the processes below one proc root, on one thread at a time.

    A process that has moved away stays in its home's /proc. A guest has no /proc/PID.
    """

    def __init__(self, root: ProcRoot) -> None:
        self._root = root
        self._users = UserNames()
        self._used: dict[tuple[int, int], int] = {}
        self._shares: dict[tuple[int, int], float] = {}
        self._scanned_at = 0.0

    def scan(self, now: float, own_id: int) -> tuple[Process, ...]:
        """
        Read all processes, in the order of their pids. Blocks.

        :raises SourceUnavailable: there is no /proc.
        """
        try:
            pids = sorted(int(name) for name in self._root.names() if name.isascii() and name.isdigit())
        except RequestError as error:
            raise SourceUnavailable(str(error)) from error
        boot_time = read_boot_time(self._root)
        interval = now - self._scanned_at
        used: dict[tuple[int, int], int] = {}
        shares: dict[tuple[int, int], float] = {}
        processes: list[Process] = []
        for pid in pids:
            try:
                one = self._read(pid, own_id, boot_time, now)
            except (RequestError, SourceUnavailable):
                continue  # it has ended, or is just coming or going
            key = (one.pid, one.started)
            if one.cpu_seconds is not None:
                used[key] = round(one.cpu_seconds * TICKS_A_SECOND)
                share = cpu_percent(used[key], self._used.get(key), TICKS_A_SECOND, interval)
                if share is not None:
                    shares[key] = share
            processes.append(one)
        self._used, self._shares, self._scanned_at = used, shares, now
        return tuple(_with_share(one, shares) for one in processes)

    def read(self, pid: int, own_id: int, now: float) -> Process:
        """
        Read one process afresh, with the cpu share of the last scan. Blocks.

        :raises NotFound: there is no such process.
        :raises SourceUnavailable: its files are not whole.
        """
        try:
            return _with_share(self._read(pid, own_id, read_boot_time(self._root), now), self._shares)
        except NotFound:
            raise NotFound(f"there is no process {pid} on this node now; `ps` lists what runs") from None

    def _read(self, pid: int, own_id: int, boot_time: int, now: float) -> Process:
        where = self._number(pid, "where")
        if not 0 <= where <= MAX_NODE_ID:
            raise SourceUnavailable(f"/proc/{pid}/where says {where}, which is no node id")
        nmigs, lock = (self._number_or_zero(pid, name) for name in ("nmigs", "lock"))
        cantmove = printable_bytes(self._optional(pid, "cantmove").strip())
        command = parse_command(self._optional(pid, "cmdline"))
        uid = self._uid(pid)
        stat = parse_pid_stat(self._root.read(f"{pid}/stat"))  # last: the others may be missing, it not
        if stat.pid != pid:
            raise SourceUnavailable(f"/proc/{pid}/stat is of process {stat.pid}")
        after = stat.started_after(TICKS_A_SECOND)
        return Process(
            node=where or own_id, home=own_id, pid=pid, ppid=stat.ppid, uid=uid,
            user=self._users.name(uid, now), state=stat.state, nice=stat.nice, threads=stat.threads,
            cpu_percent=None, cpu_seconds=None if stat.ticks is None else stat.ticks / TICKS_A_SECOND,
            rss=None if stat.rss is None else stat.rss * PAGE,
            vsize=stat.vsize, start_time=None if after is None else boot_time + after, where=where,
            nmigs=nmigs, lock=bool(lock), cantmove=cantmove,
            command=command or f"[{printable_bytes(stat.name)}]", started=stat.started,
            name=printable_bytes(stat.name),
        )  # fmt: skip

    def _number(self, pid: int, name: str) -> int:
        data = self._optional(pid, name)
        return parse_number(data, f"/proc/{pid}/{name}") if data else 0

    def _number_or_zero(self, pid: int, name: str) -> int:
        """Return the number in a file; 0 if it is impossible, so that the process is still listed."""
        try:
            return within(self._number(pid, name), 0, _MAX_MOVES) or 0
        except SourceUnavailable:
            return 0

    def _optional(self, pid: int, name: str) -> bytes:
        """Return the bytes of a file; empty if this kernel does not have it."""
        try:
            return self._root.read(f"{pid}/{name}")
        except NotFound:
            return b""

    def _uid(self, pid: int) -> int:
        """Return the effective user id: the tree may be a copy whose files belong to somebody else."""
        for line in self._optional(pid, "status").split(b"\n"):
            if line.startswith(b"Uid:") and len(words := line.split()) >= 3:
                return parse_number(words[2], f"Uid: in /proc/{pid}/status")
        return self._root.owner(pid)


def _with_share(process: Process, shares: dict[tuple[int, int], float]) -> Process:
    share = shares.get((process.pid, process.started))
    return process if share is None else replace(process, cpu_percent=share)
