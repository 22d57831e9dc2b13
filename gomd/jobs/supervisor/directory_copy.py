"""
Mounts a read-only copy of a directory, with some names added, that only one job sees.

The copy is a tmpfs with everything that is in the directory bound into it again. Standard library only.
"""

from __future__ import annotations

import os
import stat
from typing import Final

from gomd.jobs.checkpoint.open_beneath import open_beneath
from gomd.jobs.supervisor.carried_place import NEW_FILE, ExistingPath, path_components, root_directory
from gomd.jobs.supervisor.kernel import detach
from gomd.jobs.supervisor.mount_calls import (
    MS_BIND,
    MS_NODEV,
    MS_NOSUID,
    MS_RDONLY,
    MS_REC,
    MS_REMOUNT,
    mount,
    no_programs,
)
from libgomd.errors import CannotMove

#: Entries of a directory of which the job gets a copy.
MAX_ENTRIES: Final = 1000


def mount_copy(
    existing: ExistingPath,
    missing: tuple[bytes, ...],
    is_directory: bool,
    path: str,
    carried: int,
    where: str,
) -> None:
    """Mount a read-only copy of a directory over it that has the missing names as well."""
    at = f"/proc/self/fd/{existing.descriptor}"
    readable = os.open(at, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        names, noexec = os.listdir(readable), no_programs(readable)
        if len(names) > MAX_ENTRIES:
            raise CannotMove(
                f"{existing.path} on {where} has more than {MAX_ENTRIES} entries: make {path} there once, "
                "then it can be carried"
            )
        mode = stat.S_IMODE(os.fstat(readable).st_mode) & 0o777
        place = f"/proc/self/fd/{carried}/mount"
        copy = _new_tmpfs(place, mode)
        try:
            for name in names:
                _bind_entry(readable, copy, name)
            _make_missing(copy, missing, is_directory)
            mount(f"/proc/self/fd/{copy}", at, None, MS_BIND | MS_REC)
        finally:
            os.close(copy)
            detach(place)
    finally:
        os.close(readable)
    over = open_beneath(root_directory(), path_components(existing.path), os.O_PATH)
    try:
        flags = MS_RDONLY | MS_NOSUID | MS_NODEV | noexec
        mount(None, f"/proc/self/fd/{over}", None, MS_REMOUNT | MS_BIND | flags)
    finally:
        os.close(over)


def _new_tmpfs(place: str, mode: int) -> int:
    """Mount a new tmpfs at ``place``, and return a descriptor of it."""
    os.makedirs(place, 0o700, exist_ok=True)
    mount("tmpfs", place, "tmpfs", MS_NOSUID | MS_NODEV, f"mode={mode:o},size=1m")
    return os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


def _bind_entry(source: int, target: int, name: str) -> None:
    """Let an entry of a directory appear in its copy."""
    try:
        found = os.stat(name, dir_fd=source, follow_symlinks=False)
        if stat.S_ISLNK(found.st_mode):
            os.symlink(os.readlink(name, dir_fd=source), name, dir_fd=target)
            return
        if stat.S_ISDIR(found.st_mode):
            os.mkdir(name, 0o700, dir_fd=target)
        else:
            os.close(os.open(name, NEW_FILE, 0o600, dir_fd=target))
        first = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=source)
        second = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=target)
        try:
            mount(f"/proc/self/fd/{first}", f"/proc/self/fd/{second}", None, MS_BIND | MS_REC)
        finally:
            os.close(first)
            os.close(second)
    except FileNotFoundError:
        return  # removed meanwhile


def _make_missing(at: int, missing: tuple[bytes, ...], is_directory: bool) -> None:
    here = os.dup(at)
    for name in missing[:-1] if not is_directory else missing:
        os.mkdir(name, 0o755, dir_fd=here)
        below = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=here)
        os.fchmod(below, 0o755)
        os.close(here)
        here = below
    if not is_directory:
        os.close(os.open(missing[-1], NEW_FILE, 0o644, dir_fd=here))
    os.close(here)
