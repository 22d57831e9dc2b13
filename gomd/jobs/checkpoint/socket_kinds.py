"""
Finds the address family of a process's socket by duplicating it for a moment (pidfd_getfd). Blocks briefly.
"""

from __future__ import annotations

import socket
from typing import Final

from gomd.jobs.checkpoint.borrowed_descriptor import duplicate_of

#: Families whose sockets are judged by the kernel's tables (`gomd.jobs.checkpoint.sockets`) or peers.
_KNOWN: Final = frozenset((socket.AF_UNIX, socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK, 17))
_NAMES: Final = {38: "kernel cryptography (AF_ALG)", 40: "virtual machines (AF_VSOCK)", 31: "bluetooth"}


def reason_to_stay(pid: int, descriptor: int) -> str:
    """
    Return why a socket of a process keeps it, as far as its family tells; empty when that does not.

    :raises OSError: it cannot be told: the process or the descriptor is gone, or the kernel is before 5.6.
    """
    with socket.socket(fileno=duplicate_of(pid, descriptor)) as borrowed:
        family = borrowed.getsockopt(socket.SOL_SOCKET, socket.SO_DOMAIN)
    if family in _KNOWN:
        return ""
    return f"it has a socket for {_NAMES.get(family, f'address family {family}')} open"
