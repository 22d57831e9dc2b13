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
import time
from contextlib import suppress
from typing import Final, NamedTuple

from gomd.jobs.checkpoint import process_tree
from gomd.jobs.checkpoint.kernel_files import read_text

#: Seconds that may pass until every process of a job has been sent its signal.
SETTLE_TIME: Final = 0.5
#: The same while a parent waits for a child to execute a program.
RELEASE_TIME: Final = 5.0
_FIRST_SPARE: Final = 0.002  # seconds
_LONGEST_SPARE: Final = 0.25
STOP_SIGNALS: Final = frozenset({signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU})


def send_stop(pid: int, number: int, group: bool, proc: str = "/proc") -> None:
    """
    Send a stop signal to a process or to its process group; the process itself is stopped last.

    A process that blocks the signal for a moment gets it as soon as it does not: a child that shares its
    parent's memory until it executes a program (vfork) must not be stopped, as its parent would not stop.
    Such a child is given more time after each attempt, so that it also gets there on a busy machine.
    Blocks for `SETTLE_TIME` at most, `RELEASE_TIME` while a parent waits for such a child.

    :param pid: the first process of a job, this process's child. :param number: one of `STOP_SIGNALS`.
    """
    done: set[int] = set()
    begun = time.monotonic()
    spared: dict[int, _Spared] = {}
    while True:
        pids = _members(pid, group, proc)
        now = time.monotonic()
        due = [each for each in reversed(pids) if each not in done and _is_due(spared.get(each), now)]
        sent = [each for each in due if _send(each, number, proc)]
        done.update(sent)
        released = _release_parents(done, proc)
        done.difference_update(released)
        for each in released:
            spared[each] = _spare(spared.get(each), now)
        if done.issuperset(pids) and not sent and not _any_on_its_way(pids, number, proc):
            return
        waits = any(each in spared and each not in done for each in pids)
        if now - begun >= (RELEASE_TIME if waits else SETTLE_TIME):
            break
        time.sleep(0.001)
    for each in pids:
        if each not in done and each not in spared:
            _send(each, number, proc, blocked=True)
    for each in spared:  # those that still keep a parent waiting run on; it stops as soon as it can
        if _keeps_waiting(_status(each, proc), done, proc):
            _kill(each, signal.SIGCONT)


class _Spared(NamedTuple):
    """A child for whose execution of a program its parent waits. ``until`` is a time of time.monotonic."""

    until: float
    seconds: float


def _is_due(spared: _Spared | None, now: float) -> bool:
    return spared is None or spared.until <= now


def _spare(before: _Spared | None, now: float) -> _Spared:
    """Return until when a child is not stopped: twice as long as the time before."""
    seconds = _FIRST_SPARE if before is None else min(2 * before.seconds, _LONGEST_SPARE)
    return _Spared(now + seconds, seconds)


def _members(pid: int, group: bool, proc: str) -> list[int]:
    if not group:
        return [pid]
    return [each for each in process_tree.descendants(pid, whole=False, proc=proc) if _group(each) == pid]


def _send(pid: int, number: int, proc: str, blocked: bool = False) -> bool:
    """Send a process what stops it, but not while it blocks ``number`` unless ``blocked``; return whether."""
    status = _status(pid, proc)
    if not blocked and _has(status, "SigBlk", number):
        return False
    action = signal_for(status, number)
    if action:
        _kill(pid, action)
    return True


def _any_on_its_way(pids: list[int], number: int, proc: str) -> bool:
    """Return whether one of these has been sent SIGSTOP and has neither stopped nor ended yet."""
    states = ((_field(status, "State")[:1], status) for status in (_status(each, proc) for each in pids))
    settled = (*process_tree.STOPPED, *process_tree.ENDED, "")
    return any(
        state not in settled and signal_for(status, number) == signal.SIGSTOP for state, status in states
    )


def _release_parents(stopped: set[int], proc: str) -> list[int]:
    """Continue those of ``stopped`` for whose execution of a program their parent waits; return them."""
    released = []
    for pid in stopped:
        status = _status(pid, proc)
        if _field(status, "State").startswith("T") and _keeps_waiting(status, stopped, proc):
            _kill(pid, signal.SIGCONT)
            released.append(pid)
    return released


def _keeps_waiting(status: str, stopped: set[int], proc: str) -> bool:
    """Return whether the parent of a process is one of ``stopped`` and waits in the kernel, as in vfork."""
    parent = int(_field(status, "PPid") or 0)
    return parent in stopped and _field(_status(parent, proc), "State").startswith("D")


def signal_for(status: str, number: int) -> int:
    """
    Return the signal to send to a process in place of stop signal ``number``, 0 for none.

    :param status: the text of /proc/PID/status; empty when it cannot be read.
    """
    if _has(status, "SigIgn", number):
        return 0
    return number if _has(status, "SigCgt", number) else int(signal.SIGSTOP)


def _has(status: str, mask: str, number: int) -> bool:
    """Return whether a mask in /proc/PID/status has a signal."""
    return bool(int(_field(status, mask) or "0", 16) & 1 << (number - 1))


def _field(status: str, name: str) -> str:
    return status.partition(f"\n{name}:\t")[2].partition("\n")[0]


def _kill(pid: int, number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def _group(pid: int) -> int:
    try:
        return os.getpgid(pid)
    except OSError:
        return -1


def _status(pid: int, proc: str) -> str:
    return read_text(f"{proc}/{pid}/status")
