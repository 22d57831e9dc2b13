"""Calls mount(2) for places that open descriptors name, so that no path can be exchanged in between."""

from __future__ import annotations

import ctypes
import os

from gomd.jobs.checkpoint.open_beneath import open_beneath
from gomd.jobs.supervisor.carried_place import path_components, root_directory

#: Flags of mount(2).
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC = 1, 2, 4, 8
MS_REMOUNT, MS_BIND, MS_REC = 32, 4096, 16384
_libc = ctypes.CDLL(None, use_errno=True)


def mount(source: str | None, target: str, kind: str | None, flags: int, data: str = "") -> None:
    """Call mount(2). :raises OSError: the kernel refuses."""
    result = _libc.mount(
        None if source is None else os.fsencode(source), os.fsencode(target),
        None if kind is None else kind.encode(), ctypes.c_ulong(flags), data.encode() or None,
    )  # fmt: skip
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def no_programs(descriptor: int) -> int:
    """Return the flag of a mount of which no program can be executed, if a file is on one; else 0."""
    return os.statvfs(f"/proc/self/fd/{descriptor}").f_flag & MS_NOEXEC


def bind_at(source: str, target: str, flags: int) -> None:
    """Bind ``source`` onto ``target``, both ``/proc/self/fd/N``. :raises OSError: the kernel refuses."""
    mount(source, target, None, MS_BIND)
    # The descriptor of the target names what is below the new mount: the mount itself is found by its path.
    path = os.readlink(target)
    over = open_beneath(root_directory(), path_components(path), os.O_PATH)
    try:
        mount(None, f"/proc/self/fd/{over}", None, MS_REMOUNT | MS_BIND | flags)
    finally:
        os.close(over)
