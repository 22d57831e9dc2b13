"""
Finds restrictions of a process that no file of /proc shows, and that criu would leave behind.

A process may have forbidden itself writable memory that can be executed (MDWE), and a thread may have
restricted itself with landlock. A copy of it that can do more is a security hole, so such a job stays. Each
thread is asked in its own name (`gomd.jobs.checkpoint.injection`), which is possible only when the job is
about to be frozen. A landlock domain shows in that a thread may not look at a process outside of it.

Standard library only: supervisors use it.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from typing import Final

from gomd.jobs.checkpoint import process_tree, whole_process
from gomd.jobs.checkpoint.injection import CannotInject, StoppedThread, stopped
from gomd.jobs.checkpoint.outsiders import Outsiders
from gomd.jobs.checkpoint.process_status import ProcessStatus
from libgomd.errors import CannotMove

MDWE: Final = "it has forbidden itself writable executable memory (MDWE), which would be lost"
LANDLOCK: Final = "it has restricted itself with landlock, which would be lost"
#: Seconds within which all threads have to be asked, and that one of them may take.
CHECK_TIMEOUT: Final = 2.0
THREAD_TIMEOUT: Final = 1.0
_GET_MDWE: Final = 66
_KCMP_VM: Final = 1


def check(
    pids: Collection[int], outsiders: Outsiders, now: Callable[[], float] = time.monotonic
) -> dict[int, ProcessStatus]:
    """
    Check that no process of a job has a restriction that would be lost. Blocks; needs root.

    :param pids: the processes, as this process's PID namespace numbers them. They run, or are stopped.
    :param outsiders: what they are asked about. The caller closes it.
    :returns: what was seen of them, for `check_changed`.
    :raises CannotMove: one has, or could not be asked.
    """
    seen: dict[int, ProcessStatus] = {}
    end = now() + CHECK_TIMEOUT
    for pid in pids:
        with suppress(FileNotFoundError, ProcessLookupError):
            status = whole_process.read_status(f"/proc/{pid}")
            if status.state in process_tree.ENDED:
                continue
            outsider = outsiders.of(status)
            for number, thread in enumerate(_threads(pid, status)):
                if now() > end:
                    raise CannotMove("its threads are too many to be asked for their restrictions")
                _check_thread(pid, thread, status, outsider, number == 0)
            seen[pid] = status
    return seen


def check_changed(pids: Collection[int], before: Mapping[int, ProcessStatus], outsiders: Outsiders) -> None:
    """
    Check the stopped processes that have started, or have given up rights, since `check`. Blocks.

    :param before: what `check` returned. :raises CannotMove: one has a restriction that would be lost.
    """
    changed = []
    for pid in pids:
        with suppress(FileNotFoundError, ProcessLookupError):
            known = whole_process.read_status(f"/proc/{pid}")
            if pid not in before or _rights(known) != _rights(before[pid]):
                changed.append(pid)
    if changed:
        check(changed, outsiders)


def _rights(status: ProcessStatus) -> tuple[bool, int, int, int]:
    return status.no_new_privileges, status.seccomp, status.capabilities, status.threads


def _threads(pid: int, status: ProcessStatus) -> list[int]:
    """Return the threads that have to be asked, the first one first. :raises OSError: it has ended."""
    found = [pid]
    for name in os.listdir(f"/proc/{pid}/task"):
        thread = int(name)
        # without this mark only one that has root's rights can restrict itself
        if thread != pid and (status.uids == {0} or _is_marked(f"/proc/{pid}/task/{name}")):
            found.append(thread)
    return found


def _is_marked(here: str) -> bool:
    with suppress(FileNotFoundError, ProcessLookupError):
        return whole_process.read_status(here).no_new_privileges
    return False


def _check_thread(pid: int, thread: int, status: ProcessStatus, outsider: int, first: bool) -> None:
    try:
        with stopped(thread, THREAD_TIMEOUT, filtered=status.seccomp != 0) as held:
            if first and held.call("prctl", _GET_MDWE) > 0:
                raise CannotMove(MDWE)
            if _is_restricted(held, pid, outsider):
                raise CannotMove(LANDLOCK)
    except ProcessLookupError:
        pass  # it has just ended
    except CannotInject as error:
        if status.no_new_privileges:
            raise CannotMove(f"it may have restricted itself, and cannot be asked: {error}") from error
        raise CannotMove(
            f"process {pid} cannot be asked whether it has restricted itself: {error}"
        ) from error


def _is_restricted(held: StoppedThread, pid: int, outsider: int) -> bool:
    """Whether a thread may not look at the outsider. :raises CannotInject: the kernel does not tell."""
    told = held.call("kcmp", pid, outsider, _KCMP_VM)
    if told in (-errno.EPERM, -errno.EACCES):
        return True
    if told < 0:
        raise CannotInject(f"kcmp: {os.strerror(-told)}")
    return False
