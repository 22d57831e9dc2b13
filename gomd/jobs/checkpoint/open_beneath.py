"""
Opens files below an opened directory, so that no name in a path can lead out of it.

`open_beneath` uses openat2(2) with RESOLVE_BENEATH and RESOLVE_NO_SYMLINKS. Where the kernel (before 5.6)
or a seccomp filter has no openat2, it opens the path one component at a time with O_NOFOLLOW. Standard
library only.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from typing import Final

from gomd.jobs.checkpoint.syscalls import common_number

#: Longest name of a file, in bytes, as on Linux's own file systems.
MAX_NAME: Final = 255

_RESOLVE_NO_XDEV: Final = 0x01
_RESOLVE_NO_MAGICLINKS: Final = 0x02
_RESOLVE_NO_SYMLINKS: Final = 0x04
_RESOLVE_BENEATH: Final = 0x08
_OPENAT2: Final = 437
#: What openat2 fails with where it is missing, or where a filter written before it existed refuses it.
_ABSENT: Final = (errno.ENOSYS, errno.EPERM)

_libc = ctypes.CDLL(None, use_errno=True)
_number = common_number(_OPENAT2)


def is_name(name: bytes) -> bool:
    """Whether ``name`` can be one component of a path that does not lead upwards."""
    if name in (b".", b"..") or not 0 < len(name) <= MAX_NAME:
        return False
    return b"/" not in name and b"\0" not in name


def open_beneath(
    directory: int,
    names: tuple[bytes, ...],
    flags: int,
    mode: int = 0,
    *,
    crossing: bool = True,
    by_kernel: bool | None = None,
) -> int:
    """
    Return a descriptor of the file that ``names`` lead to below ``directory``; no symbolic link is
    followed.

    :param names: the components of the path, each `is_name`. :param flags: of open(2); O_NOFOLLOW and
        O_CLOEXEC are added. :param crossing: whether the path may enter another mounted file system.
    :param by_kernel: whether to use openat2; None: where the kernel has it.
    :raises OSError: as open(2); ELOOP or ENOTDIR for a symbolic link, EXDEV for a mount that is not to be
        entered.
    :raises ValueError: a component is no name.
    """
    if not names or not all(map(is_name, names)):
        raise ValueError("a path below a directory consists of names")
    flags |= os.O_NOFOLLOW | os.O_CLOEXEC
    if has_openat2() if by_kernel is None else by_kernel:
        return _openat2(directory, b"/".join(names), flags, mode, crossing)
    return _step_by_step(directory, names, flags, mode, crossing)


def open_named(directory: int, path: str, flags: int) -> int:
    """
    Return a descriptor of what ``path`` leads to from ``directory``, over any symbolic links.

    They may not lead over the links of /proc: in a process of root's these lead to what only that one has
    open, past directories that are closed to a user whose rights it has taken on. Before kernel 5.6 they may.

    :raises OSError: as open(2); ELOOP for a link of /proc.
    """
    if not has_openat2():
        return os.open(path, flags | os.O_CLOEXEC, dir_fd=directory)
    return _resolved(directory, os.fsencode(path), flags | os.O_CLOEXEC, 0, _RESOLVE_NO_MAGICLINKS)


def has_openat2() -> bool:
    """Whether openat2 can be used here. Asks the kernel once."""
    global _has_openat2
    if _has_openat2 is None:
        try:
            os.close(_openat2(_AT_FDCWD, b".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC, 0, True))
            _has_openat2 = True
        except OSError as error:
            _has_openat2 = error.errno not in _ABSENT
    return _has_openat2


_AT_FDCWD: Final = -100
_has_openat2: bool | None = None


def _openat2(directory: int, path: bytes, flags: int, mode: int, crossing: bool) -> int:
    resolve = _RESOLVE_BENEATH | _RESOLVE_NO_SYMLINKS | _RESOLVE_NO_MAGICLINKS
    return _resolved(directory, path, flags, mode, resolve | (0 if crossing else _RESOLVE_NO_XDEV))


def _resolved(directory: int, path: bytes, flags: int, mode: int, resolve: int) -> int:
    how = struct.pack("=QQQ", flags, mode, resolve)
    for _attempt in range(8):  # EAGAIN: something above was renamed meanwhile; the kernel asks to try again
        result = int(
            _libc.syscall(
                ctypes.c_long(_number),
                ctypes.c_long(directory),
                ctypes.c_char_p(path),
                ctypes.create_string_buffer(how, len(how)),
                ctypes.c_size_t(len(how)),
            )
        )
        number = ctypes.get_errno() if result == -1 else 0
        if number not in (errno.EAGAIN, errno.EINTR):
            break
    if result == -1:
        raise OSError(number, os.strerror(number), os.fsdecode(path))
    return result


def _step_by_step(directory: int, names: tuple[bytes, ...], flags: int, mode: int, crossing: bool) -> int:
    at = os.dup(directory)
    try:
        for name in names[:-1]:
            below = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=at)
            os.close(at)
            at = below
            _check_mount(directory, at, crossing)
        last = os.open(names[-1], flags, mode, dir_fd=at)
        try:
            _check_mount(directory, last, crossing)
        except OSError:
            os.close(last)
            raise
        return last
    finally:
        os.close(at)


def _check_mount(directory: int, found: int, crossing: bool) -> None:
    """Without openat2, a mount that is not to be entered is known by its mount id."""
    if not crossing and _mount(directory) != _mount(found):
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))


def _mount(descriptor: int) -> object:
    """Return a number of the mount that a file is on: its id, or its device where /proc is missing."""
    try:
        with open(f"/proc/self/fdinfo/{descriptor}", "rb") as file:
            found = [line for line in file if line.startswith(b"mnt_id:")]
    except OSError:
        found = []
    return found[0] if found else os.fstat(descriptor).st_dev
