"""The processes of a job, from inside its PID namespace: which they are, how they are held and ended."""

from __future__ import annotations

import errno
import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from libgomd.errors import CannotMove

#: Where the pids of the supervisor's own helpers begin: far above those of any job that lives in reason.
HIGH_PID = 1 << 21
#: Why a job stays: criu takes a process and what descends from it.
STRAYS = "one of its processes outlived its parent and would be left behind"
_LAST_PID = "/proc/sys/kernel/ns_last_pid"
_PID_MAX = "/proc/sys/kernel/pid_max"
#: States of a process: stopped by a signal, or traced; and ended.
_STOPPED = ("T", "t")
_ENDED = ("Z", "X", "x")
#: What says that a process has ended.
_GONE = (errno.ENOENT, errno.ESRCH)
#: Bytes of a list of children: more of them than a kernel has pids by default.
_MAX_CHILDREN = 1 << 20


def set_next_pid(number: int) -> int:
    """
    Let the next process or thread of this PID namespace have ``number``, if free; return the last given.

    :raises OSError: not root, or an old kernel.
    """
    with open(_LAST_PID, "r+", encoding="ascii") as file:
        last = int(file.read())
        file.seek(0)
        file.write(str(number - 1))
    return last


@contextmanager
def high_pids() -> Iterator[None]:
    """What is begun inside the block gets pids no job has; afterwards the count goes on as before."""
    with open(_PID_MAX, encoding="ascii") as file:
        most = int(file.read())
    last = set_next_pid(max(min(HIGH_PID, most - most // 8), 300))
    try:
        yield
    finally:
        set_next_pid(last + 1)


def descendants(root: int, whole: bool = True, proc: str = "/proc") -> list[int]:
    """
    Return ``root`` and all below it, parents first; only ``root`` when it has just ended.

    :param whole: what is decided by it must not miss one.
    :raises CannotMove: not all could be read, when they had to be.
    """
    found = [root]
    for pid in found:
        try:
            for thread in os.listdir(f"{proc}/{pid}/task"):
                found += _children(f"{proc}/{pid}/task/{thread}/children")
        except OSError as error:
            if whole and error.errno not in _GONE:
                raise CannotMove(f"not all of its processes can be seen: {error.strerror}") from error
    return found


def _children(path: str) -> list[int]:
    """Return the processes that a file names. :raises OSError: it cannot be read; not if it is gone."""
    try:
        with open(path, encoding="ascii") as file:
            text = file.read(_MAX_CHILDREN)
    except OSError as error:
        if error.errno in _GONE:
            return []
        raise
    if len(text) == _MAX_CHILDREN:
        raise OSError(errno.EFBIG, "there are too many")
    return [int(word) for word in text.split()]


def children(pid: int) -> list[int]:
    """
    Return the children of a process that has one thread; none when it has just ended.

    :raises OSError: they cannot be read.
    """
    return _children(f"/proc/{pid}/task/{pid}/children")


def strays(supervisor: int) -> list[int]:
    """Return the live children of a supervisor: its job's first process, and what outlived its parents."""
    return [pid for pid in children(supervisor) if state(pid) not in _ENDED]


def state(pid: int) -> str:
    """
    Return the kernel's letter for the process, ``X`` when there is none, ``?`` when that cannot be seen.

    It is read from ``status``: an exec that hangs lets others wait for ``stat``.
    """
    try:
        with open(f"/proc/{pid}/status", "rb") as file:
            letter = file.read(4096).partition(b"\nState:\t")[2][:1]
    except OSError as error:
        return "X" if error.errno in _GONE else "?"
    return letter.decode("ascii") if letter.isalpha() else "?"


def cpu_seconds(pid: int) -> float:
    """Return the processor time that a process and the children it has waited for have used; 0.0 if gone."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace", newline="\n") as file:
            words = file.read(4096).rpartition(")")[2].split()
        return sum(map(int, words[11:15])) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError):
        return 0.0


def stopped(pids: Iterable[int]) -> list[int]:
    """Return those of ``pids`` that are stopped."""
    return [pid for pid in pids if state(pid) in _STOPPED]


def hold(pids: Iterable[int], limit: float = 2.0, now: Callable[[], float] = time.monotonic) -> bool:
    """
    See to it that all ``pids`` are stopped, with SIGSTOP where criu left one running. Blocks.

    :param limit: seconds. :returns: whether every one is stopped or has ended.
    """
    waiting = list(pids)
    patience = now() + 0.05
    end = now() + limit
    while waiting := [pid for pid in waiting if state(pid) not in (*_STOPPED, *_ENDED)]:
        if now() > end:
            return False
        if now() > patience:
            _signal(waiting, signal.SIGSTOP)
        time.sleep(0.001)
    return True


def thaw(pids: Iterable[int], but: Iterable[int] = ()) -> None:
    """Let ``pids`` go on, all ``but`` those that were stopped before anything was moved."""
    _signal([pid for pid in pids if pid not in set(but)], signal.SIGCONT)


def end(pids: Iterable[int], limit: float = 5.0, now: Callable[[], float] = time.monotonic) -> bool:
    """
    Kill ``pids`` and see them end. Blocks. Reaps nothing.

    :param limit: seconds. :returns: whether all have ended.
    """
    waiting = list(pids)
    last = now() + limit
    _signal(waiting, signal.SIGKILL)
    while waiting := [pid for pid in waiting if state(pid) not in _ENDED]:
        if now() > last:
            return False
        time.sleep(0.001)
    return True


def _signal(pids: Iterable[int], number: int) -> None:
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass
