"""
Finds threads and processes that share more, or less, with each other than criu gives to their copies.

criu takes all threads of a process to have the same open files and the same directory, and no two processes
to share their memory or their directory; it gives each process SIGCHLD as the signal of its end. A thread
that has called unshare(2) would have the files of another one in the copy, without a word. Which parts two of
them have in common only the kernel can tell, by kcmp(2).

Changes of System V semaphores that are to be undone when a process ends (SEM_UNDO) are such a part, too: the
copy would undo nothing, and whoever waits for the semaphore would wait for ever.

Standard library only: supervisors use it. Calls block briefly, and need root.
"""

from __future__ import annotations

import functools
import itertools
import os
import signal
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import suppress
from typing import Final

from gomd.jobs.checkpoint import ipc_objects, process_tree, syscalls

VM, FILES, DIRECTORY, UNDO = 1, 2, 3, 6
#: What a comparison of two threads says: which is first in the kernel's own order.
_EQUAL, _LESS = 0, 1
_OF_THREAD: Final = {
    FILES: "one of its threads has open files of its own (unshare), which would be lost",
    DIRECTORY: "one of its threads has a working directory of its own (unshare), which would be lost",
}
_OF_TWO: Final = {
    VM: "two of its processes share their memory as threads do (clone), which criu cannot carry over",
    DIRECTORY: "two of its processes share their working directory (clone), which criu cannot carry over",
}
_UNDONE: Final = (
    "it may have changed System V semaphores so that the change is undone when it ends (SEM_UNDO), "
    "which would be lost"
)
#: Place of the signal of its end in /proc/PID/stat, behind the name of the program.
_END_SIGNAL_FIELD: Final = 35
_MAX_FILE_BYTES: Final = 4096
#: Compares two threads: the part, and their numbers. :raises OSError: one has ended, or it is not allowed.
Compare = Callable[[int, int, int], int]


def compare(kind: int, one: int, other: int) -> int:
    """Compare a part of two threads as the kernel does. :raises OSError: one has ended; not allowed."""
    return syscalls.call("kcmp", one, other, kind, 0, 0)


def reasons_to_stay(
    pids: Collection[int], single: int, proc: str = "/proc", compare: Compare = compare
) -> Iterator[str]:
    """
    Yield why the processes ``pids``, of which the first one came before all others, cannot move.

    Nothing is said where the kernel cannot compare (no CONFIG_KCMP): criu does not start there.

    :param single: a process with one thread that has no changes to undo, such as a supervisor; 0 for none.
    """
    living = [pid for pid in pids if not _has_ended(pid, proc)]
    with suppress(OSError):
        for kind, reason in _OF_THREAD.items():
            if any(_differ(kind, pid, proc, compare) for pid in living):
                yield reason
        for kind, reason in _OF_TWO.items():
            if _share(kind, living, compare):
                yield reason
    for pid in living[1:]:
        if (number := _end_signal(pid, proc)) not in (signal.SIGCHLD, None):
            yield f"one of its processes ends with signal {number} to its parent instead of SIGCHLD (clone)"
            break
    with suppress(OSError):
        changes = bool(single) and any(_equal(UNDO, pid, single, compare) is False for pid in living)
        if changes and ipc_objects.has_semaphores(living[0]):
            yield _UNDONE


def _has_ended(pid: int, proc: str) -> bool:
    try:
        return process_tree.read_state(f"{proc}/{pid}") in process_tree.ENDED
    except OSError:
        return True


def _differ(kind: int, pid: int, proc: str, compare: Compare) -> bool:
    """Whether a thread of a process differs from the process. :raises OSError: the kernel cannot compare."""
    with suppress(FileNotFoundError, ProcessLookupError):
        return any(
            _equal(kind, pid, int(name), compare) is False
            for name in os.listdir(f"{proc}/{pid}/task")
            if int(name) != pid
        )
    return False


def _share(kind: int, pids: Iterable[int], compare: Compare) -> bool:
    """Whether two of the processes share a part. :raises OSError: the kernel cannot compare."""

    def order(one: int, other: int) -> int:
        try:
            found = compare(kind, one, other)
        except ProcessLookupError:
            return one - other
        return {_EQUAL: 0, _LESS: -1}.get(found, 1)

    ordered = sorted(pids, key=functools.cmp_to_key(order))
    return any(_equal(kind, one, other, compare) for one, other in itertools.pairwise(ordered))


def _equal(kind: int, one: int, other: int, compare: Compare) -> bool | None:
    """Whether two threads share a part; None when one has ended."""
    try:
        return compare(kind, one, other) == _EQUAL
    except ProcessLookupError:
        return None


def _end_signal(pid: int, proc: str) -> int | None:
    """Return the signal that a process sends to its parent as it ends; None when it is not known."""
    try:
        with open(f"{proc}/{pid}/stat", "rb") as file:
            return int(file.read(_MAX_FILE_BYTES).rpartition(b")")[2].split()[_END_SIGNAL_FIELD])
    except (OSError, ValueError, IndexError):
        return None
