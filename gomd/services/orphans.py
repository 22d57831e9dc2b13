"""
Reaps orphaned processes that the daemon inherits when it is process 1 of a container.

A process that a command of [commands] leaves in the background has no other parent: without this it would
stay a zombie after its end. A process for which other code here waits is reaped within milliseconds, so a
process that is a zombie at two checks in a row is an orphan.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import ClassVar, Final

from twisted.application.service import Service
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from libgomd.shared_wakeups import SharedWakeups

#: Seconds between two checks.
PERIOD: Final = 5.0


class Orphans(Service):
    """Reaps orphans periodically. :param clock: times the checks. :ivar taken: number of processes reaped."""

    _log: ClassVar[Logger] = Logger()

    def __init__(self, clock: IReactorTime) -> None:
        self.taken = 0
        self._before: set[int] = set()
        self._loop = LoopingCall(self.look)
        self._loop.clock = SharedWakeups(clock)

    def startService(self) -> None:
        """Start checking every `PERIOD` seconds."""
        super().startService()
        self._loop.start(PERIOD, now=False)

    def stopService(self) -> None:
        """Stop checking."""
        super().stopService()
        if self._loop.running:
            self._loop.stop()

    def look(self) -> None:
        """Reap the processes that were zombies at the last check too. Never raises, never blocks."""
        try:
            now = _zombies()
            for pid in now & self._before:
                with suppress(ChildProcessError):
                    self.taken += os.waitpid(pid, os.WNOHANG)[0] == pid
            self._before = now
        except Exception:  # noqa: BLE001 - a bug, or no /proc: say so loudly, and stay up
            self._log.failure("looking for orphans failed")


def _zombies() -> set[int]:
    """Return the pids of this process's children that have ended."""
    children: list[str] = []
    for thread in os.listdir("/proc/self/task"):
        with suppress(OSError), open(f"/proc/self/task/{thread}/children", encoding="ascii") as file:
            children += file.read().split()
    return {int(pid) for pid in children if _has_ended(pid)}


def _has_ended(pid: str) -> bool:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[:1] == [b"Z"]
    except OSError:
        return False
