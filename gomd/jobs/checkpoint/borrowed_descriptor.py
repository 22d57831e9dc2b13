"""Duplicates a descriptor of another process (pidfd_getfd, since kernel 5.6). Standard library only."""

from __future__ import annotations

import ctypes
import os
from typing import Final

_libc: Final = ctypes.CDLL(None, use_errno=True)
#: The number of the system call, and what is added to it where an architecture does not count from 0.
_PIDFD_GETFD: Final = 438
_FIRST_CALL: Final = {"mips": 4000, "mips64": 5000}


def duplicate_of(pid: int, descriptor: int) -> int:
    """
    Return a duplicate of a descriptor of process ``pid``; the caller closes it.

    :raises OSError: the process or the descriptor is gone, it may not be had, or the kernel is before 5.6.
    """
    call = _PIDFD_GETFD + _FIRST_CALL.get(os.uname().machine, 0)
    handle = os.pidfd_open(pid)
    try:
        number = int(_libc.syscall(
            ctypes.c_long(call), ctypes.c_int(handle), ctypes.c_int(descriptor), ctypes.c_uint(0)
        ))  # fmt: skip
        if number < 0:
            raise OSError(ctypes.get_errno(), "pidfd_getfd")
        return number
    finally:
        os.close(handle)
