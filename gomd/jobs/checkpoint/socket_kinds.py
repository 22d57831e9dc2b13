"""
Finds the address family of a process's socket by duplicating it for a moment (pidfd_getfd). Blocks briefly.
"""

from __future__ import annotations

import ctypes
import os
import socket
from typing import Final

_libc: Final = ctypes.CDLL(None, use_errno=True)
#: The number of the call is the same on all architectures.
_PIDFD_GETFD: Final = 438
#: Families whose sockets are judged by the kernel's tables (`gomd.jobs.checkpoint.sockets`) or peers.
_KNOWN: Final = frozenset((socket.AF_UNIX, socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK, 17))
_NAMES: Final = {38: "kernel cryptography (AF_ALG)", 40: "virtual machines (AF_VSOCK)", 31: "bluetooth"}


def reason_to_stay(pid: int, descriptor: int) -> str:
    """
    Return why a socket of a process keeps it, as far as its family tells; empty when that does not.

    :raises OSError: it cannot be told: the process or the descriptor is gone, or the kernel is before 5.6.
    """
    handle = os.pidfd_open(pid)
    try:
        number = _libc.syscall(
            ctypes.c_long(_PIDFD_GETFD), ctypes.c_int(handle), ctypes.c_int(descriptor), ctypes.c_uint(0)
        )
        if number < 0:
            raise OSError(ctypes.get_errno(), "pidfd_getfd")
    finally:
        os.close(handle)
    with socket.socket(fileno=number) as borrowed:
        family = borrowed.getsockopt(socket.SOL_SOCKET, socket.SO_DOMAIN)
    if family in _KNOWN:
        return ""
    return f"it has a socket for {_NAMES.get(family, f'address family {family}')} open"
