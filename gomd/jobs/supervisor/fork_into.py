"""
Forks a process into a cgroup of the unified hierarchy, where it begins: clone3(2) with CLONE_INTO_CGROUP.

A process that enters a cgroup holds up every fork of the machine for about ten milliseconds; one that begins
there does not. Standard library only: supervisors use this.
"""

from __future__ import annotations

import ctypes
import errno
import os
import signal
from typing import Final

_CLONE_INTO_CGROUP: Final = 0x200000000
#: The number of clone3, on all architectures but MIPS, whose numbers begin at 4000 or 5000, and Alpha.
_CLONE3: Final = 435
_OTHER_NUMBERS: Final = ("mips", "alpha")
_ARGUMENTS: Final = (
    "flags", "pidfd", "child_tid", "parent_tid", "exit_signal", "stack", "stack_size", "tls", "set_tid",
    "set_tid_size", "cgroup",
)  # fmt: skip

_libc = ctypes.PyDLL(None, use_errno=True)


class _CloneArguments(ctypes.Structure):
    """What clone3(2) takes; all of it are numbers of 64 bits."""

    _fields_ = tuple((name, ctypes.c_uint64) for name in _ARGUMENTS)


def fork_into(cgroup: int) -> int:
    """
    Fork as `os.fork` does, with the child in a cgroup; this process has one thread.

    :param cgroup: its open directory.
    :raises OSError: the kernel, or a filter of system calls, does not allow it. `os.fork` may work.
    """
    if os.uname().machine.startswith(_OTHER_NUMBERS):
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    wanted = _CloneArguments(flags=_CLONE_INTO_CGROUP, exit_signal=signal.SIGCHLD, cgroup=cgroup)
    size = ctypes.c_size_t(ctypes.sizeof(wanted))
    ctypes.pythonapi.PyOS_BeforeFork()
    pid = int(_libc.syscall(ctypes.c_long(_CLONE3), ctypes.byref(wanted), size))
    if pid == 0:
        ctypes.pythonapi.PyOS_AfterFork_Child()
        return 0
    number = ctypes.get_errno()
    ctypes.pythonapi.PyOS_AfterFork_Parent()
    if pid < 0:
        raise OSError(number, os.strerror(number))
    return pid
