"""The few system calls that Python has no functions for before 3.12, for supervisors of jobs."""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager

from gomd.jobs.checkpoint.syscalls import common_number

_CLONE_NEWNS = 0x00020000
_CLONE_NEWPID = 0x20000000
_CLONE_NEWIPC = 0x08000000
_MS_NOSUID, _MS_NODEV, _MS_NOEXEC, _MS_REC, _MS_SLAVE = 2, 4, 8, 0x4000, 0x80000
_MS_RDONLY, _MS_REMOUNT, _MS_NOATIME, _MS_NODIRATIME, _MS_BIND = 1, 32, 1024, 2048, 4096
_MNT_DETACH = 2
_MS_PRIVATE, _MS_RELATIME = 0x40000, 0x200000
#: Flags of a mount that a bind mount keeps; they have the same values for statvfs(3) and mount(2).
_KEPT_FLAGS = _MS_RDONLY | _MS_NOSUID | _MS_NODEV | _MS_NOEXEC | _MS_NOATIME | _MS_NODIRATIME
#: statvfs(3)'s value for what mount(2) calls `_MS_RELATIME`.
_ST_RELATIME = 4096
#: As systemd mounts the machine's: everybody may make a terminal, and group 5, ``tty``, may write to one.
_DEVPTS_OPTIONS = b"newinstance,ptmxmode=0666,mode=620,gid=5"
_MOUNT_SETATTR = 442
_MOUNT_ATTR_NOSUID = 2
_AT_EMPTY_PATH, _AT_RECURSIVE = 0x1000, 0x8000
_PR_SET_PDEATHSIG = 1
_PR_SET_NAME = 15
_PR_SET_CHILD_SUBREAPER = 36

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def unshare_pids_and_mounts() -> None:
    """
    Give this process a mount namespace of its own, and its next child a PID namespace.

    :raises OSError: the kernel does not allow it; it allows it to root, as a rule.
    """
    _check(_libc.unshare(_CLONE_NEWPID | _CLONE_NEWNS))


def mount_own_proc() -> None:
    """
    Mount a /proc that shows this PID namespace only; all other mounts go on following the machine's.

    :raises OSError: the kernel does not allow it.
    """
    _check(_libc.mount(None, b"/", None, ctypes.c_ulong(_MS_REC | _MS_SLAVE), None))
    flags = ctypes.c_ulong(_MS_NOSUID | _MS_NODEV | _MS_NOEXEC)
    _check(_libc.mount(b"proc", b"/proc", b"proc", flags, None))


def mount_own_terminals() -> None:
    """
    Mount a /dev/pts in which the pseudo-terminals of this mount namespace are numbered from 0.

    :raises OSError: the kernel does not allow it, or there is no /dev/pts.
    """
    flags = ctypes.c_ulong(_MS_NOSUID | _MS_NOEXEC)
    _check(_libc.mount(b"devpts", b"/dev/pts", b"devpts", flags, _DEVPTS_OPTIONS))
    if not os.path.islink("/dev/ptmx"):  # a link leads to the new one by itself
        flags = ctypes.c_ulong(_MS_BIND)
        _check(_libc.mount(b"/dev/pts/ptmx", b"/dev/ptmx", None, flags, None))


def unshare_ipc() -> None:
    """
    Give this process System V and POSIX message queues, semaphores and shared memory of its own.

    :raises OSError: the kernel does not allow it, or has no such namespaces.
    """
    _check(_libc.unshare(_CLONE_NEWIPC))


def enter_ipc(pid: int) -> None:
    """Enter the IPC namespace of a process. :raises OSError: it has ended, or the kernel refuses."""
    number = os.open(f"/proc/{pid}/ns/ipc", os.O_RDONLY | os.O_CLOEXEC)
    try:
        _check(_libc.setns(number, _CLONE_NEWIPC))
    finally:
        os.close(number)


@contextmanager
def inside_ipc(pid: int) -> Iterator[None]:
    """Be in the IPC namespace of a process for a while. :raises OSError: see `enter_ipc`."""
    back = os.open("/proc/self/ns/ipc", os.O_RDONLY | os.O_CLOEXEC)
    try:
        enter_ipc(pid)
        try:
            yield
        finally:
            _check(_libc.setns(back, _CLONE_NEWIPC))
    finally:
        os.close(back)


def bind(source: str, target: str) -> None:
    """
    Show the file or directory ``source`` at ``target`` too, with all that is mounted below it.

    :raises OSError: the kernel does not allow it, or one of them is not there.
    """
    flags = ctypes.c_ulong(_MS_BIND | _MS_REC)
    _check(_libc.mount(os.fsencode(source), os.fsencode(target), None, flags, None))


def ignore_set_id(descriptor: int) -> None:
    """
    Let set-id bits mean nothing in what is mounted at an open file or directory, and in all mounted below.

    Before kernel 5.12 only the mount itself is changed.

    :raises OSError: the kernel does not allow it.
    """
    attributes = struct.pack("=QQQQ", _MOUNT_ATTR_NOSUID, 0, 0, 0)
    try:
        result = _libc.syscall(
            ctypes.c_long(common_number(_MOUNT_SETATTR)), ctypes.c_long(descriptor), ctypes.c_char_p(b""),
            ctypes.c_long(_AT_EMPTY_PATH | _AT_RECURSIVE), ctypes.c_char_p(attributes),
            ctypes.c_long(len(attributes)),
        )  # fmt: skip
        _check(int(result))
    except OSError as error:
        if error.errno not in (errno.ENOSYS, errno.EPERM):
            raise
        place = f"/proc/self/fd/{descriptor}"
        known = os.statvfs(place).f_flag
        flags = known & _KEPT_FLAGS | (_MS_RELATIME if known & _ST_RELATIME else 0) | _MS_NOSUID
        flags |= _MS_BIND | _MS_REMOUNT
        _check(_libc.mount(None, os.fsencode(place), None, ctypes.c_ulong(flags), None))


def bind_for_user(source: str, target: str, no_programs: bool) -> None:
    """
    Show the directory ``source`` at ``target``, where set-id bits and devices mean nothing.

    :param no_programs: nothing in it can be executed. :raises OSError: the kernel does not allow it.
    """
    place = os.fsencode(target)
    _check(_libc.mount(os.fsencode(source), place, None, ctypes.c_ulong(_MS_BIND), None))
    _check(_libc.mount(None, place, None, ctypes.c_ulong(_MS_PRIVATE), None))
    known = os.statvfs(target).f_flag
    flags = known & _KEPT_FLAGS | (_MS_RELATIME if known & _ST_RELATIME else 0) | _MS_NOSUID | _MS_NODEV
    flags |= (_MS_NOEXEC if no_programs else 0) | _MS_BIND | _MS_REMOUNT
    _check(_libc.mount(None, place, None, ctypes.c_ulong(flags), None))


def detach(target: str) -> None:
    """Take away what is mounted at ``target``, with all below it. :raises OSError: nothing is."""
    _check(_libc.umount2(os.fsencode(target), _MNT_DETACH))


def mount_tmpfs_for_user(target: str, no_programs: bool) -> None:
    """
    Mount an empty file system in memory, which everybody may write to; see `bind_for_user`.

    :raises OSError: the kernel does not allow it.
    """
    flags = ctypes.c_ulong(_MS_NOSUID | _MS_NODEV | (_MS_NOEXEC if no_programs else 0))
    _check(_libc.mount(b"tmpfs", os.fsencode(target), b"tmpfs", flags, b"mode=1777"))


def become_subreaper() -> None:
    """Become the parent of every descendant whose own parent ends. :raises OSError: the kernel refuses."""
    _check(_libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))


def end_with_parent(number: int) -> None:
    """Have signal ``number`` sent here when the parent ends. :raises OSError: the kernel refuses."""
    _check(_libc.prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0))


def set_name(name: str) -> None:
    """Set the name that `ps -o comm` shows for this process, at most 15 bytes."""
    _libc.prctl(_PR_SET_NAME, ctypes.c_char_p(name.encode()), 0, 0, 0)
