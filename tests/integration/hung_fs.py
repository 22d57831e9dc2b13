"""
A file system that never answers: whoever looks at what is below it waits until it is unmounted or killed.

As a program, `python -m tests.integration.hung_fs DIRECTORY PROGRAM [ARG ...]`, it mounts one and becomes the
program, which has it for as long as it or a child of it lives. Start it in a mount namespace of its own
(`unshare --mount`): a mount that hangs is nobody else's affair.
"""

from __future__ import annotations

import ctypes
import os
import sys

DEVICE = "/dev/fuse"


def missing() -> str:
    """Return why there can be none here, empty when there can."""
    if os.geteuid() != 0:
        return "only root mounts file systems"
    try:
        os.close(os.open(DEVICE, os.O_RDWR))
    except OSError as error:
        return f"{DEVICE}: {error.strerror}"
    return ""


def mount(directory: str) -> int:
    """
    Mount one at ``directory`` and return the descriptor it hangs on; when that is closed it answers errors.

    The kernel asks over it what the file system has, and gets no answer.
    """
    number = os.open(DEVICE, os.O_RDWR)
    options = f"fd={number},rootmode=40000,user_id=0,group_id=0,allow_other".encode()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"hung", os.fsencode(directory), b"fuse", ctypes.c_ulong(6), options) != 0:
        code = ctypes.get_errno()
        os.close(number)
        raise OSError(code, os.strerror(code), directory)
    return number


if __name__ == "__main__":
    os.set_inheritable(mount(sys.argv[1]), True)
    os.execvp(sys.argv[2], sys.argv[2:])
