"""The processes of a job, from inside its PID namespace: lists them, stops them, ends them."""

from __future__ import annotations

import errno
import os
import signal
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager

from libgomd.errors import CannotMove

#: Where the pids of the supervisor's own children begin: far above those that a job reaches.
HIGH_PID = 1 << 21
#: Why a job stays: criu dumps a process and its descendants, and nothing else.
STRAYS = "one of its processes outlived its parent and would be left behind"
_LAST_PID = "/proc/sys/kernel/ns_last_pid"
_PID_MAX = "/proc/sys/kernel/pid_max"
#: States of a process, as the kernel shows them: stopped by a signal, or traced; and ended.
STOPPED = ("T", "t")
ENDED = ("Z", "X", "x")
#: States of this module's own: the process does not exist, or cannot be seen.
_NO_PROCESS, _UNKNOWN = "X", "?"
#: Errors that mean that a process has ended.
_GONE = (errno.ENOENT, errno.ESRCH)
#: Bytes of a list of children: room for more of them than a kernel has pids by default.
_MAX_CHILDREN = 1 << 20


def set_next_pid(number: int) -> int:
    """
    Give ``number`` to the next process or thread of this PID namespace, if it is free.

    :returns: the last number that was given.
    :raises OSError: this process is not root's, or the kernel has no CONFIG_CHECKPOINT_RESTORE.
    """
    with open(_LAST_PID, "r+", encoding="ascii") as file:
        last = int(file.read())
        file.seek(0)
        file.write(str(number - 1))
    return last


@contextmanager
def high_pids() -> Iterator[None]:
    """Give processes that are started inside the block pids that no job has; then count on as before."""
    with open(_PID_MAX, encoding="ascii") as file:
        most = int(file.read())
    last = set_next_pid(max(min(HIGH_PID, most - most // 8), 300))
    try:
        yield
    finally:
        set_next_pid(last + 1)


def descendants(root: int, whole: bool = True, proc: str = "/proc") -> list[int]:
    """
    Return ``root`` and its descendants, parents first; only ``root`` when it has just ended.

    :param whole: none may be missing, as something is decided by the list.
    :raises CannotMove: not all could be read, and ``whole``.
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
    """Return the processes that a file names; none if it is gone. :raises OSError: it cannot be read."""
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
    return [pid for pid in children(supervisor) if is_alive(pid)]


def check_first_threads(pids: Iterable[int], proc: str = "/proc") -> None:
    """
    Check that no process goes on behind a first thread that has ended, as pthread_exit in main() makes it.

    :raises CannotMove: criu cannot dump one, and /proc does not show what it has.
    """
    for pid in pids:
        try:
            status = _read_status(f"{proc}/{pid}")
        except OSError:
            continue  # it has ended, or others say why it cannot be seen
        if _state(status) in ENDED and _threads(status) > 1:
            raise CannotMove("the first thread of one of its processes has ended while others go on")


def is_alive(pid: int, proc: str = "/proc") -> bool:
    """
    Return whether a process has not ended and is not about to; True when that cannot be seen. Blocks briefly.

    A process that ends lets go of its memory, and with it of its program, some time before its state says so;
    one whose first thread has ended is shown as a zombie while others go on.
    """
    try:
        status = _read_status(f"{proc}/{pid}")
        if _threads(status) > 1:
            return True
        if _state(status) in ENDED:
            return False
        os.readlink(f"{proc}/{pid}/exe")
    except OSError as error:
        return error.errno not in _GONE
    return True


def is_fork(pid: int, supervisor: int) -> bool:
    """
    Return whether a child of a supervisor looks like one that freezes its job. Blocks briefly. False for one
    that is ending, which `is_alive` tells afterwards.

    A process of the job can look like it, too. So this is for what is asked beforehand, and the supervisor,
    which knows its child, looks once more when the job is frozen.
    """
    try:
        same = os.path.samefile(f"/proc/{pid}/exe", f"/proc/{supervisor}/exe")
        return same and _name(pid) == _name(supervisor)
    except OSError:
        return False


def _name(pid: int) -> bytes:
    with open(f"/proc/{pid}/comm", "rb") as file:
        return file.read(100)


def state(pid: int) -> str:
    """Return the state of a process, ``X`` when there is none, ``?`` when that cannot be seen."""
    try:
        return read_state(f"/proc/{pid}")
    except OSError as error:
        return _NO_PROCESS if error.errno in _GONE else _UNKNOWN


def read_state(here: str) -> str:
    """
    Return the state of the process whose directory in /proc is ``here``, ``?`` when the file does not tell.

    It is read from ``status``: an exec that hangs lets others wait for ``stat``.

    :raises OSError: the process has ended, or cannot be seen.
    """
    return _state(_read_status(here))


def _read_status(here: str) -> bytes:
    with open(f"{here}/status", "rb") as file:
        return file.read(4096)


def _state(status: bytes) -> str:
    letter = status.partition(b"\nState:\t")[2][:1]
    return letter.decode("ascii") if letter.isalpha() else _UNKNOWN


def _threads(status: bytes) -> int:
    """Return the number of threads, those included that have ended and nobody waited for; 0 if unknown."""
    number = status.partition(b"\nThreads:\t")[2].partition(b"\n")[0]
    return int(number) if number.isdigit() else 0


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
    return [pid for pid in pids if state(pid) in STOPPED]


def keep_stopped(pids: Iterable[int], limit: float = 2.0, now: Callable[[], float] = time.monotonic) -> bool:
    """
    Wait until all ``pids`` are stopped; send SIGSTOP to those that criu left running. Blocks.

    :param limit: seconds. :returns: whether every one is stopped or has ended.
    """
    waiting = list(pids)
    stop_at = now() + 0.05
    end = now() + limit
    while waiting := [pid for pid in waiting if state(pid) not in (*STOPPED, *ENDED)]:
        if now() > end:
            return False
        if now() > stop_at:
            _signal(waiting, signal.SIGSTOP)
        time.sleep(0.001)
    return True


def thaw(pids: Iterable[int], but: Iterable[int] = ()) -> None:
    """Let ``pids`` go on, but for those in ``but``, which were stopped before the job was frozen."""
    _signal([pid for pid in pids if pid not in set(but)], signal.SIGCONT)


def end(pids: Iterable[int], limit: float = 5.0, now: Callable[[], float] = time.monotonic) -> bool:
    """
    Kill ``pids`` and wait until they have ended. Blocks. Reaps nothing.

    :param limit: seconds. :returns: whether all have ended.
    """
    waiting = list(pids)
    _signal(waiting, signal.SIGKILL)
    return wait_for(waiting, limit, now)


def end_parent(pid: int, limit: float) -> list[int]:
    """
    End a process with SIGTERM, which it may defer. Blocks; reaps nothing, and kills nothing when time is up.

    It is stopped before its descendants are listed and begins none after that: one that it had begun between
    the list and the signal would be left, with all the descriptors that it has from its parents.

    :param limit: seconds that it may take to stop, and to end. :returns: its descendants, parents first.
    """
    _signal((pid,), signal.SIGSTOP)
    _wait_until((pid,), (*STOPPED, *ENDED), limit)
    found = descendants(pid, whole=False)[1:]
    _signal((pid,), signal.SIGTERM)
    _signal((pid,), signal.SIGCONT)
    wait_for((pid,), limit)
    return found


def wait_for(pids: Iterable[int], limit: float, now: Callable[[], float] = time.monotonic) -> bool:
    """Wait until ``pids`` have ended, at most ``limit`` seconds. Blocks, reaps nothing. :returns: whether."""
    return _wait_until(pids, ENDED, limit, now)


def _wait_until(
    pids: Iterable[int], states: Collection[str], limit: float, now: Callable[[], float] = time.monotonic
) -> bool:
    waiting, last = list(pids), now() + limit
    while waiting := [pid for pid in waiting if state(pid) not in states]:
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
