"""
Processes that the threads of a job are asked about, as they have no restriction that a job may have.

A process of the same user, without any capability, may be looked at by the job's processes. They may do more
than look: trace it, write to its memory, take its descriptors. So it is a program that has nothing of this
process, and until it is that, the kernel lets nobody look. Standard library only: supervisors use it.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import select
import signal
import struct
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Final, NamedTuple

from gomd.jobs.checkpoint.process_status import ProcessStatus
from libgomd.errors import CannotMove

_SET_NO_NEW_PRIVILEGES: Final = 38
_SET_PDEATHSIG: Final = 1
#: A program that waits, wherever it is.
_WAITING: Final = ("/bin/sleep", "/usr/bin/sleep", "/run/current-system/sw/bin/sleep")
#: Seconds for which it waits: longer than a job is prepared and asked.
_WAITS: Final = 120
#: Seconds that one may take to be that program, which its user can stop before it is, and to end.
_START_TIMEOUT: Final = 10.0
_END_TIMEOUT: Final = 1.0
_libc: Final = ctypes.CDLL(None, use_errno=True)


class _Started(NamedTuple):
    """
    One of them.

    :ivar failed: the end of a pipe that ends when it is the program that waits, with a byte if there is none.
    """

    pid: int
    failed: int


class Outsiders:
    """
    One for each user, started when it is first asked for. `close` has to follow.

    They end with this process, too.

    :param high: `gomd.jobs.checkpoint.process_tree.high_pids` inside the job's PID namespace.
    """

    def __init__(self, high: Callable[[], AbstractContextManager[None]] = nullcontext) -> None:
        self._high = high
        self._started: dict[tuple[int, int], _Started] = {}

    def begin(self, status: ProcessStatus) -> None:
        """
        Start the one for a process, if there is none that lives. Does not wait until it is ready.

        :param status: of the process. :raises OSError: the kernel starts none.
        """
        user = _user_of(status)
        known = self._started.get(user)
        if known is not None:
            if not _has_ended(known.pid):
                return
            del self._started[user]
            _end(known)
        self._started[user] = _start(*user, self._high)

    def of(self, status: ProcessStatus) -> int:
        """
        Return the process id of the one for a process, once that is ready. Blocks for milliseconds.

        :param status: of the process.
        :raises CannotMove: there is no program that waits, or it does not start within `_START_TIMEOUT`.
        """
        self.begin(status)
        user = _user_of(status)
        pid, failed = self._started[user]
        if failed >= 0:
            self._started[user] = _Started(pid, -1)
            with open(failed, "rb") as pipe:
                if not _is_ready(failed, _START_TIMEOUT):
                    raise CannotMove("its processes cannot be asked for their restrictions: sleep(1) hangs")
                if pipe.read(1):
                    raise CannotMove(
                        "its processes cannot be asked for their restrictions: there is no sleep(1)"
                    )
        return pid

    def close(self) -> None:
        """End them all. Blocks for milliseconds. May be called twice."""
        while self._started:
            _end(self._started.popitem()[1])


def _user_of(status: ProcessStatus) -> tuple[int, int]:
    """Return the user and the group of a process that may do least."""
    return min(status.uids), min(status.gids)


def _has_ended(pid: int) -> bool:
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _end(one: _Started) -> None:
    if one.failed >= 0:
        os.close(one.failed)
    os.kill(one.pid, signal.SIGKILL)
    handle = os.pidfd_open(one.pid)
    try:
        _is_ready(handle, _END_TIMEOUT)
    finally:
        os.close(handle)
    # One that a process of its user traces stays a zombie until that has looked: it may never do so.
    os.waitpid(one.pid, os.WNOHANG)


def _is_ready(descriptor: int, limit: float) -> bool:
    """Wait, ``limit`` seconds at most, until a descriptor can be read. :returns: whether it can."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(limit * 1000))


def _start(uid: int, gid: int, high: Callable[[], AbstractContextManager[None]]) -> _Started:
    parent = os.getpid()
    reading, writing = os.pipe()
    try:
        with high():
            pid = os.fork()
    except BaseException:
        os.close(reading)
        os.close(writing)
        raise
    if pid == 0:
        try:
            _become(uid, gid, parent, writing)
        finally:
            os._exit(1)
    os.close(writing)
    return _Started(pid, reading)


def _become(uid: int, gid: int, parent: int, failed: int) -> None:
    """Become a program that waits. :param failed: open, gets a byte if there is none, and is closed."""
    descriptors = 0, 1, 2
    null = os.open(os.devnull, os.O_RDWR)
    for number in descriptors:
        os.dup2(null, number)
    failed = fcntl.fcntl(failed, fcntl.F_DUPFD_CLOEXEC, 3)
    for name in os.listdir("/proc/self/fd"):
        if int(name) not in (*descriptors, failed):
            with suppress(OSError):  # that of the list itself
                os.close(int(name))
    os.chdir("/")
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)
    _libc.prctl(_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        return  # it has ended before that
    _libc.capset(struct.pack("=II", 0x20080522, 0), bytes(24))
    _libc.prctl(_SET_NO_NEW_PRIVILEGES, 1, 0, 0, 0)  # else root's gets its capabilities back
    for program in _WAITING:
        with suppress(OSError):
            os.execve(program, ("sleep", str(_WAITS)), {})  # noqa: S606 - a constant
    os.write(failed, b"\0")
