"""Lets one thread touch files with a user's rights, as a file server does; other threads keep root's."""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

_libc: Final = ctypes.CDLL(None, use_errno=True)
#: The number of setgroups, with 32 bits for each, by machine and the size of a pointer. The C library's
#: function changes all threads.
_SETGROUPS: Final = {
    ("x86_64", 8): 116, ("aarch64", 8): 159, ("riscv64", 8): 159, ("loongarch64", 8): 159,
    ("ppc64le", 8): 81, ("ppc64", 8): 81, ("s390x", 8): 81, ("mips64", 8): 5114,
    ("armv7l", 4): 206, ("armv6l", 4): 206, ("armv8l", 4): 206, ("i686", 4): 206, ("i586", 4): 206,
}  # fmt: skip


@contextmanager
def acting_as(uid: int, gid: int, groups: Sequence[int]) -> Iterator[None]:
    """
    Give this thread the rights of a user to files within the block. Nothing changes when this is that user.

    Without a known number of setgroups the user's further groups do not count.

    :raises PermissionError: this process may not do that, as it is not root's.
    """
    if uid == os.geteuid():
        yield
        return
    if os.geteuid() != 0:
        raise PermissionError("only root can act as another user")
    own = os.getgroups()
    try:
        _set_groups(groups)
        _libc.setfsgid(ctypes.c_uint(gid))
        _libc.setfsuid(ctypes.c_uint(uid))
        if ctypes.c_uint(_libc.setfsuid(ctypes.c_uint(uid))).value != uid:
            raise PermissionError("the kernel does not let this thread act as another user")
        yield
    finally:
        _libc.setfsuid(ctypes.c_uint(0))
        _libc.setfsgid(ctypes.c_uint(os.getegid()))
        _set_groups(own)


def _set_groups(groups: Sequence[int]) -> None:
    number = _SETGROUPS.get((os.uname().machine, struct.calcsize("P")))
    if number is not None:
        _libc.syscall(
            ctypes.c_long(number), ctypes.c_long(len(groups)), (ctypes.c_uint * len(groups))(*groups)
        )
