"""A copy of a user's job keeps limits and priorities that it could have on this node, and no others."""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Iterator

import pytest

from gomd.jobs.checkpoint import syscalls
from gomd.jobs.checkpoint.kernel_files import read_text, write_text
from gomd.jobs.supervisor.attributes import Limits, parse_limits
from gomd.jobs.supervisor.capped_attributes import (
    allowed_here,
    beyond,
    cap,
    highest_priority,
    lowest_nice,
)

_NONE = resource.RLIM_INFINITY
_FILES, _NICE, _REAL_TIME = resource.RLIMIT_NOFILE, resource.RLIMIT_NICE, resource.RLIMIT_RTPRIO
_NOBODY = 65534


@pytest.mark.parametrize(
    ("own", "allowed", "becomes"),
    [
        ((10, 20), (100, 20), None),
        ((10, 21), (100, 20), (10, 20)),
        ((21, 21), (1, 20), (20, 20)),
        ((10, _NONE), (100, 20), (10, 20)),
        ((_NONE, _NONE), (1, 20), (20, 20)),
        ((_NONE, _NONE), (1, _NONE), None),
        ((0, 0), (_NONE, _NONE), None),
    ],
)
def test_hard_limits(own: tuple[int, int], allowed: tuple[int, int], becomes: tuple[int, int] | None) -> None:
    """No hard limit is beyond the node's, no soft one beyond the hard one, and no limit is raised."""
    assert beyond({_FILES: own}, {_FILES: allowed}) == ({} if becomes is None else {_FILES: becomes})


@pytest.mark.parametrize(
    ("limit", "nice", "priority"), [(0, 0, 0), (10, 0, 10), (25, -5, 25), (40, -20, 40), (_NONE, -20, 99)]
)
def test_what_the_limits_of_priorities_allow(limit: int, nice: int, priority: int) -> None:
    """As setpriority(2) and sched(7) say of RLIMIT_NICE and RLIMIT_RTPRIO."""
    assert lowest_nice({_NICE: (0, limit)}) == nice
    assert highest_priority({_REAL_TIME: (0, limit)}) == priority


@pytest.fixture
def copy() -> Iterator[int]:
    """A process of another user that has what only root can give it."""
    reading, writing = os.pipe()
    ready, told = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(writing)
            resource.setrlimit(_FILES, (500, 700))
            os.sched_setscheduler(0, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(7))
            os.setpriority(os.PRIO_PROCESS, 0, -7)
            syscalls.call("ioprio_set", 1, 0, 1 << 13 | 2)
            write_text("/proc/self/oom_score_adj", "-500")
            os.setgroups([])
            os.setresgid(_NOBODY, _NOBODY, _NOBODY)
            os.setresuid(_NOBODY, _NOBODY, _NOBODY)
            os.write(told, b"1")
            os.read(reading, 1)
        finally:
            os._exit(0)
    os.close(reading)
    os.close(told)
    os.read(ready, 1)
    os.close(ready)
    yield pid
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    os.close(writing)


@pytest.fixture
def allowed() -> Iterator[Limits]:
    """What this node allows a new job of a user, but fewer open files and no priorities."""
    descriptor = os.open("/proc", os.O_RDONLY | os.O_DIRECTORY)
    yield {**allowed_here(descriptor), _FILES: (9, 99), _NICE: (0, 0), _REAL_TIME: (0, 0)}
    os.close(descriptor)


def limits(pid: int) -> Limits:
    """Return the limits of a process."""
    return parse_limits(read_text(f"/proc/{pid}/limits"))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a process more than a user may have")
def test_a_copy_is_capped(copy: int, allowed: Limits) -> None:
    """Whatever it came with, it has afterwards what a user's job can have here; other limits stay."""
    before = limits(copy)
    changed = beyond(before, allowed)
    assert changed[_FILES] == (99, 99)
    assert os.sched_getscheduler(copy) == os.SCHED_FIFO | os.SCHED_RESET_ON_FORK
    cap([copy], allowed)
    assert limits(copy) == {**before, **changed}
    assert os.sched_getscheduler(copy) == os.SCHED_OTHER | os.SCHED_RESET_ON_FORK
    assert os.getpriority(os.PRIO_PROCESS, copy) == 0
    assert syscalls.call("ioprio_get", 1, copy) >> 13 != 1
    assert int(read_text(f"/proc/{copy}/oom_score_adj")) >= 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a process more than a user may have")
def test_what_this_node_allows_stays(copy: int, allowed: Limits) -> None:
    """Real time and a low nice value are a user's where the limits of a new job allow them."""
    cap([copy], {**allowed, _NICE: (40, 40), _REAL_TIME: (7, 7)})
    assert os.sched_getscheduler(copy) == os.SCHED_FIFO | os.SCHED_RESET_ON_FORK
    assert os.getpriority(os.PRIO_PROCESS, copy) == -7


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act for another user")
def test_what_a_user_may_set_stays(copy: int, allowed: Limits) -> None:
    """A copy that is nicer than it must be, and has less than it may have, is left as it is."""
    cap([copy], allowed)
    os.setpriority(os.PRIO_PROCESS, copy, 11)
    os.sched_setscheduler(copy, os.SCHED_BATCH, os.sched_param(0))
    syscalls.call("ioprio_set", 1, copy, 2 << 13 | 6)
    write_text(f"/proc/{copy}/oom_score_adj", "300")
    before = limits(copy)
    cap([copy], allowed)
    assert os.getpriority(os.PRIO_PROCESS, copy) == 11
    assert os.sched_getscheduler(copy) == os.SCHED_BATCH
    assert syscalls.call("ioprio_get", 1, copy) == 2 << 13 | 6
    assert read_text(f"/proc/{copy}/oom_score_adj").strip() == "300"
    assert limits(copy) == before


def test_what_has_ended_is_left_out(allowed: Limits) -> None:
    """It has no limits any more."""
    cap([1 << 30], allowed)
