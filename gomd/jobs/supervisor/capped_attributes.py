"""
Takes from a stopped copy of a user's job what this node gives to no job of a user: limits and priorities.

criu restores them as root. So a job would keep what another node has given it, or what its images say: hard
limits, real-time scheduling, a nice value below 0, the first class of the disk, protection from the OOM
killer. The copy keeps what it could have here, no less.

Standard library only: supervisors use it.
"""

from __future__ import annotations

import os
import re
import resource
from collections.abc import Iterable
from contextlib import suppress
from typing import Final

from gomd.jobs.checkpoint import syscalls
from gomd.jobs.checkpoint.kernel_files import read_text, write_text
from gomd.jobs.checkpoint.process_tree import ENDED, state
from gomd.jobs.supervisor.attributes import Limits, limits_of, parse_limits, within

_RESET_ON_FORK: Final = 0x40000000
#: The policies that go before those of everybody: by a fixed priority, and by a deadline.
_BY_PRIORITY: Final = (os.SCHED_FIFO, os.SCHED_RR)
_BY_DEADLINE: Final = 6
_THREAD: Final = 1  # IOPRIO_WHO_PROCESS, which means a thread
_IO_CLASS_BITS, _IO_REAL_TIME = 13, 1
_AUTOGROUP = re.compile(r"nice (-?\d+)")


def allowed_here(proc: int) -> Limits:
    """
    Return the limits up to which a user's job can have its own on this node: those of a new one.

    :param proc: a descriptor of the machine's /proc directory.
    """
    return {
        number: within(number, pair, resource.getrlimit(number))
        for number, pair in limits_of(proc, 1).items()
    }


def cap(pids: Iterable[int], allowed: Limits) -> None:
    """
    Cap limits and priorities of the stopped processes ``pids`` of a user. Blocks briefly.

    :param allowed: what `allowed_here` returns. :raises OSError: one cannot be capped, and must not run.
    """
    nice, priority = lowest_nice(allowed), highest_priority(allowed)
    for pid in pids:
        if state(pid) in ENDED:
            continue
        _lower(pid, beyond(parse_limits(read_text(f"/proc/{pid}/limits")), allowed))
        if int(read_text(f"/proc/{pid}/oom_score_adj") or 0) < 0:
            write_text(f"/proc/{pid}/oom_score_adj", "0")
        autogroup = _AUTOGROUP.search(read_text(f"/proc/{pid}/autogroup"))
        if autogroup and int(autogroup[1]) < nice:
            write_text(f"/proc/{pid}/autogroup", str(nice))
        for thread in map(int, os.listdir(f"/proc/{pid}/task")):
            _cap_thread(thread, nice, priority)


def beyond(own: Limits, allowed: Limits) -> Limits:
    """Return those limits of a process that are beyond ``allowed``, as they have to become."""
    found = {}
    for number, (soft, hard) in own.items():
        most = allowed.get(number, (0, resource.RLIM_INFINITY))[1]
        if _is_more(hard, most):
            found[number] = (most if _is_more(soft, most) else soft, most)
    return found


def lowest_nice(allowed: Limits) -> int:
    """Return the lowest nice value that a job can have here: it begins with 0 at least."""
    most = allowed.get(resource.RLIMIT_NICE, (0, 0))[1]
    return -20 if most == resource.RLIM_INFINITY else max(-20, min(0, 20 - most))


def highest_priority(allowed: Limits) -> int:
    """Return the highest priority of real time that a job can have here, 0 for none."""
    most = allowed.get(resource.RLIMIT_RTPRIO, (0, 0))[1]
    return 99 if most == resource.RLIM_INFINITY else most


def _is_more(one: int, other: int) -> bool:
    return other != resource.RLIM_INFINITY and (one == resource.RLIM_INFINITY or one > other)


def _cap_thread(thread: int, nice: int, priority: int) -> None:
    policy = os.sched_getscheduler(thread)
    kept, policy = policy & _RESET_ON_FORK, policy & ~_RESET_ON_FORK
    by_priority = policy in _BY_PRIORITY and os.sched_getparam(thread).sched_priority > priority
    if by_priority or policy == _BY_DEADLINE:
        os.sched_setscheduler(thread, os.SCHED_OTHER | kept, os.sched_param(0))
    if os.getpriority(os.PRIO_PROCESS, thread) < nice:
        os.setpriority(os.PRIO_PROCESS, thread, nice)
    with suppress(syscalls.UnknownMachine):  # on such a machine no user's job runs
        if syscalls.call("ioprio_get", _THREAD, thread) >> _IO_CLASS_BITS == _IO_REAL_TIME:
            syscalls.call("ioprio_set", _THREAD, thread, 0)


def _lower(pid: int, limits: Limits) -> None:
    """
    Lower these limits of a process.

    Without CAP_SYS_RESOURCE even root may do that to its own processes only; there the user does it.
    """
    if not limits:
        return
    try:
        for number, pair in limits.items():
            resource.prlimit(pid, number, pair)
        return
    except PermissionError:
        child = os.fork()
    if child == 0:
        status = 1
        try:
            known = os.stat(f"/proc/{pid}/task")
            os.setgroups([])
            os.setresgid(known.st_gid, known.st_gid, known.st_gid)
            os.setresuid(known.st_uid, known.st_uid, known.st_uid)
            for number, pair in limits.items():
                resource.prlimit(pid, number, pair)
            status = 0
        finally:
            os._exit(status)
    if os.waitpid(child, 0)[1]:
        raise PermissionError(f"the limits of process {pid} cannot be lowered")
