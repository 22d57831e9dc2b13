"""
Finds System V objects that a restored job could not use, as criu makes each of them as root for its owner.

Who made an object may always use it, even when it was given to another user (IPC_SET). The kernel lets nobody
name a maker, so root would be the copy's, and the job would be refused its own object. An object whose maker
is root is one that criu has made, or root's own, who may use all.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

#: Files of /proc/sysvipc, the column of the number there, and what errors call the object.
_KINDS: Final = {
    "sem": ("semid", "semaphore set"),
    "msg": ("msqid", "message queue"),
    "shm": ("shmid", "memory segment"),
}
_CLONE_NEWIPC: Final = 0x08000000
#: Bytes of a table that are read.
_MAX_TABLE_BYTES: Final = 4 << 20
_libc: Final = ctypes.CDLL(None, use_errno=True)


def reasons_to_stay(pid: int) -> list[str]:
    """
    Return why the System V objects of a process keep it from moving. Blocks briefly; needs root.

    :raises OSError: it has ended, or its IPC namespace cannot be entered.
    """
    found = []
    with _ipc_of(pid):
        for kind, (column, what) in _KINDS.items():
            try:
                with open(f"/proc/sysvipc/{kind}", encoding="ascii", errors="replace") as file:
                    text = file.read(_MAX_TABLE_BYTES)
            except FileNotFoundError:
                continue  # a kernel without System V
            found += [
                f"its System V {what} {number} was given to another user than its maker"
                for number in given_away(text, column)
            ]
    return found


def has_semaphores(pid: int) -> bool:
    """
    Whether there are System V semaphores in the IPC namespace of a process. Blocks briefly; needs root.

    :raises OSError: it has ended, or its IPC namespace cannot be entered.
    """
    with (
        _ipc_of(pid),
        suppress(FileNotFoundError),
        open("/proc/sysvipc/sem", encoding="ascii", errors="replace") as file,
    ):
        return file.read(_MAX_TABLE_BYTES).count("\n") > 1
    return False


def given_away(table: str, column: str) -> list[int]:
    """
    Return the numbers of the objects in a table of /proc/sysvipc that their maker has given away.

    Those that root has made do not count. What cannot be read counts as none.

    :param column: of the number.
    """
    lines = [line.split() for line in table.splitlines()]
    if not lines or not {column, "uid", "gid", "cuid", "cgid"} <= set(lines[0]):
        return []
    rows = [dict(zip(lines[0], line, strict=False)) for line in lines[1:] if len(line) >= len(lines[0])]
    return [
        int(row[column])
        for row in rows
        if row["cuid"] != "0" and (row["uid"], row["gid"]) != (row["cuid"], row["cgid"])
    ]


@contextmanager
def _ipc_of(pid: int) -> Iterator[None]:
    """Put this thread into the IPC namespace of a process. :raises OSError: it cannot."""
    own = os.open("/proc/thread-self/ns/ipc", os.O_RDONLY | os.O_CLOEXEC)
    try:
        other = os.open(f"/proc/{pid}/ns/ipc", os.O_RDONLY | os.O_CLOEXEC)
        try:
            _enter(other)
        finally:
            os.close(other)
        try:
            yield
        finally:
            _enter(own)
    finally:
        os.close(own)


def _enter(namespace: int) -> None:
    if _libc.setns(ctypes.c_int(namespace), ctypes.c_int(_CLONE_NEWIPC)):
        number = ctypes.get_errno()
        raise OSError(number, f"an IPC namespace cannot be entered: {os.strerror(number)}")
