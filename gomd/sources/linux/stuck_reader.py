"""
The value of a process whose files block: from its status, which does not, and from what is known of it.

`gomd.sources.linux.process_reader` makes the values of all others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from gomd.sources.files import ProcRoot
from gomd.sources.linux.pidstat import PidStat
from gomd.sources.linux.pidstatus import PidStatus, parse_pid_status
from gomd.sources.linux.process_reader import PAGE_SIZE, KnownProcess, ProcessReader
from gomd.sources.linux.stuck import StuckProcesses
from libgomd.errors import SourceUnavailable
from libgomd.wire.text import printable_bytes

_MAX_STATUS_BYTES: Final = 8192


class StuckReader:
    """Makes the values of processes whose files block, and knows how old each value is."""

    def __init__(self, root: ProcRoot, reader: ProcessReader, stuck: StuckProcesses) -> None:
        self._root = root
        self._reader = reader
        self._stuck = stuck
        #: When each of them was last read as a whole; None if it never was.
        self._read_at: dict[int, float | None] = {}

    def read(
        self, pid: int, path: bytes, known: KnownProcess | None, now: float, last: float
    ) -> KnownProcess:
        """
        Return the value of a process, reading nothing but its status. Blocks, if that does, for ever.

        :param path: path of its stat file. :param known: what the last scan knew of it.
        :param now: time of this scan. :param last: time of the last one.
        :raises OSError: it has ended.
        :raises SourceUnavailable: its status is not whole, or blocks and nothing is known of it.
        """
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
            known = self._unread(path, status, now)
            self._read_at[pid] = None
        read_at = self._read_at.setdefault(pid, last)
        process = replace(
            known.process, cpu_percent=None, read_rate=None, write_rate=None, stuck=True,
            age=None if read_at is None else round(max(0.0, now - read_at), 1),
        )  # fmt: skip
        if status is not None:
            process = replace(
                process, state=status.state, threads=status.threads, rss=status.rss, vsize=status.vsize
            )
        return known._replace(process=process, settled=False)

    def _unread(self, path: bytes, status: PidStatus, now: float) -> KnownProcess:
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
            self._reader.process(stat, status.uid, command, status.rss, now), started=0, start_time=None
        )
        return KnownProcess(path, b"", stat, process, False, None, now)

    def settle(self, seen: Mapping[int, KnownProcess]) -> None:
        """Forget which of the processes that a scan has ``seen`` do not block any more; log which answer."""
        if self._stuck or self._read_at:
            self._stuck.settle(seen)
            # A copy, for a thread that hangs may come back and note a process meanwhile.
            self._read_at = {pid: at for pid, at in self._read_at.copy().items() if is_stuck_in(seen, pid)}


def is_stuck_in(known: Mapping[int, KnownProcess], pid: int) -> bool:
    """Return whether a scan that left ``known`` has found that the files of process ``pid`` block."""
    return pid in known and known[pid].process.stuck
