"""The few system calls that Python has no functions for before 3.12, for supervisors of jobs."""

from __future__ import annotations

import ctypes
import os

_CLONE_NEWNS = 0x00020000
_CLONE_NEWPID = 0x20000000
_MS_NOSUID, _MS_NODEV, _MS_NOEXEC, _MS_REC, _MS_SLAVE = 2, 4, 8, 0x4000, 0x80000
_MS_BIND = 4096
#: As systemd mounts the machine's: everybody may make a terminal, and group 5, ``tty``, may write to one.
_DEVPTS_OPTIONS = b"newinstance,ptmxmode=0666,mode=620,gid=5"
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


def become_subreaper() -> None:
    """Become the parent of every descendant whose own parent ends. :raises OSError: the kernel refuses."""
    _check(_libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))


def end_with_parent(number: int) -> None:
    """Have signal ``number`` sent here when the parent ends. :raises OSError: the kernel refuses."""
    _check(_libc.prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0))


def set_name(name: str) -> None:
    """Set the name that `ps -o comm` shows for this process, at most 15 bytes."""
    _libc.prctl(_PR_SET_NAME, ctypes.c_char_p(name.encode()), 0, 0, 0)
