"""
Sends the stop signals of a terminal (SIGTSTP, SIGTTIN, SIGTTOU) to a job, so that they stop it.

A job without a terminal has a session of its own, in which nobody could continue it as far as the kernel
knows (POSIX: an orphaned process group). There the default action of these signals does nothing. So a
process that leaves the signal at its default gets SIGSTOP, one that handles it gets the signal itself, and
one that ignores it gets nothing.

Standard library only: this runs in the supervisor.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from typing import Final

from gomd.jobs.checkpoint import process_tree

STOP_SIGNALS: Final = frozenset({signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU})


def send_stop(pid: int, number: int, group: bool, proc: str = "/proc") -> None:
    """
    Send a stop signal to a process or to its process group; the process itself is stopped last.

    :param pid: the first process of a job, this process's child. :param number: one of `STOP_SIGNALS`.
    """
    pids = [pid]
    if group:
        pids = [each for each in process_tree.descendants(pid, whole=False, proc=proc) if _group(each) == pid]
    for each in reversed(pids):
        action = signal_for(_status(each, proc), number)
        if action:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(each, action)


def signal_for(status: str, number: int) -> int:
    """
    Return the signal to send to a process in place of stop signal ``number``, 0 for none.

    :param status: the text of /proc/PID/status; empty when it cannot be read.
    """
    masks = dict(
        line.split(":\t", 1) for line in status.split("\n") if line.startswith("Sig") and ":\t" in line
    )
    bit = 1 << (number - 1)
    if int(masks.get("SigIgn", "0"), 16) & bit:
        return 0
    return number if int(masks.get("SigCgt", "0"), 16) & bit else int(signal.SIGSTOP)


def _group(pid: int) -> int:
    try:
        return os.getpgid(pid)
    except OSError:
        return -1


def _status(pid: int, proc: str) -> str:
    try:
        with open(f"{proc}/{pid}/status", encoding="ascii", errors="replace") as file:
            return file.read(16384)
    except OSError:
        return ""
