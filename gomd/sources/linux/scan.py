"""
Scans every process cheaply, and past those whose files block.

Theory of operation. One thread visits the processes, and reads little of those that did nothing
(`gomd.sources.linux.process_visitor`). The stat files of processes that were there at the last scan are kept
open (`gomd.sources.linux.kept_files`), which halves what the kernel needs for a scan. The processes are
listed again only if some may be new (`gomd.sources.linux.pids`).

A process whose files block (`gomd.sources.linux.walk`) occupies one thread and is not touched again before
that thread is back. It is shown from its ``status`` file, which does not block, and from what is known of it
(`gomd.sources.linux.stuck_reader`). A user can bring such processes about; when a user has many of them, all
processes of that user are shown this way, so that they occupy no more threads (`gomd.sources.linux.stuck`).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Final, TypeVar

from gomd.sources.files import ProcRoot, error_of
from gomd.sources.linux.details import read_command, read_resident, read_uid
from gomd.sources.linux.kept_files import KeptFiles
from gomd.sources.linux.pids import PidList
from gomd.sources.linux.pidstat import MAX_STAT_BYTES, parse_pid_stat
from gomd.sources.linux.process_reader import KnownProcess, ProcessReader, page_bytes
from gomd.sources.linux.process_visitor import LONG_ROTATION, OneScan, ProcessVisitor
from gomd.sources.linux.stuck import HANGS, StuckProcesses
from gomd.sources.linux.stuck_reader import StuckReader, is_stuck_in
from gomd.sources.linux.walk import LastingWorker, Worker
from gomd.sources.usernames import UserNames
from libgomd.errors import NotFound, TimedOut
from libgomd.model import Process

T = TypeVar("T")
#: Seconds without progress after which a process counts as hung: the first of a scan, and further ones.
HANG_TIMEOUT: Final = 0.5
_NEXT_HANG_TIMEOUT: Final = 0.15


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
        self._kept = KeptFiles(0) if kept is None else kept
        self._hang_timeout = hang_timeout
        self._stuck = StuckProcesses()
        self._root = root
        self._reader = ProcessReader(root, node_id, locked, users or UserNames())
        self._stuck_reader = StuckReader(root, self._reader, self._stuck)
        self._visitor = ProcessVisitor(
            root, self._reader, self._kept, self._stuck, self._stuck_reader, open_file, read_kept
        )
        self._known: dict[int, KnownProcess] = {}
        #: The stat lines of the processes that did nothing in the last scan.
        self._resting: dict[int, bytes] = {}
        self._listed = PidList(root, forks_tell)
        #: Whether the last scan failed after it had asked what has to be renewed.
        self._not_renewed = False
        self._scanned_at = 0.0
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
        pids, before = all_pids, self._known
        visit = partial(self._visitor.visit, OneScan(
            before, {} if renew else self._resting, now, self._scanned_at, renew, self._round % LONG_ROTATION
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
        self._stuck_reader.settle(after)
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

    # -- single processes

    def is_stuck(self, pid: int) -> bool:
        """Return whether the files of process ``pid`` must not be read because they block, or may."""
        return pid in self._stuck or is_stuck_in(self._known, pid)

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
            line = self._root.peek(f"{pid}/stat", MAX_STAT_BYTES)[0]
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
