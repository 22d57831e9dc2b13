"""
Finds the place of a carried file on this node, and says why there can be none. Changes nothing.

Standard library only.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Collection
from contextlib import AbstractContextManager, nullcontext
from typing import Final

from gomd.jobs.checkpoint.acting_as import acting_as
from gomd.jobs.checkpoint.open_beneath import open_beneath
from libgomd.errors import CannotMove

#: Directories, and those in them, that nothing is added to for a user.
SYSTEM: Final = (
    "bin", "boot", "dev", "etc", "gnu", "lib", "lib32", "lib64", "libx32", "nix", "opt", "proc", "root",
    "run", "sbin", "snap", "sys", "usr", "var",
)  # fmt: skip
#: Flags of open(2) for a file that must not be there yet.
NEW_FILE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_PACKAGES: Final = os.path.join(os.path.dirname(__file__), *[os.pardir] * 3)
#: What gomd consists of: its supervisors, which are root's, load programs from there in the job's view.
_OWN: Final = tuple(map(os.path.realpath, (sys.prefix, sys.base_prefix, sys.exec_prefix, _PACKAGES)))
_root = -1


def obstacle(path: str, uid: int, gids: Collection[int], where: str) -> str:
    """
    Return why files of a user could not appear at ``path`` here, a clause; empty when they can. Blocks
    briefly.

    This goes by owners and modes, and changes nothing; `carried_mounts.mount_carried` tries it as the user.
    """
    if uid == 0:
        return ""
    try:
        with looking_as(uid, min(gids, default=uid), gids):
            above = os.path.realpath(os.path.dirname(path))
            existing = nearest_existing((*path_components(above), os.fsencode(os.path.basename(path))))
        try:
            found, parent = os.fstat(existing.descriptor), os.fstat(existing.parent)
            if existing.path == os.path.join(above, os.path.basename(path)):
                sticky = bool(parent.st_mode & stat.S_ISVTX) and uid not in (parent.st_uid, found.st_uid)
                replaceable = not sticky and _is_writable(parent, uid, gids)
                if not (replaceable or _is_writable(found, uid, gids)):
                    return f"{path} on {where} is not the user's to replace"
            elif not _is_writable(found, uid, gids):
                check_free(existing, path, where, uid)
        finally:
            existing.close()
    except CannotMove as error:
        return str(error)
    except OSError as error:
        return f"{path} cannot appear on {where}: {error.strerror}"
    return ""


def _is_writable(found: os.stat_result, uid: int, gids: Collection[int]) -> bool:
    if found.st_uid == uid:
        return bool(found.st_mode & stat.S_IWUSR)
    return bool(found.st_mode & (stat.S_IWGRP if found.st_gid in gids else stat.S_IWOTH))


class ExistingPath:
    """
    The nearest directory that exists, or the file itself.

    :ivar descriptor: of it, and ``parent`` of what it is in.
    :ivar depth: how many names of the path lead there.
    """

    def __init__(self, descriptor: int, parent: int, depth: int, path: str) -> None:
        self.descriptor = descriptor
        self.parent = parent
        self.depth = depth
        self.path = path

    def close(self) -> None:
        """Close the descriptors."""
        os.close(self.descriptor)
        os.close(self.parent)


def root_directory() -> int:
    """Return a descriptor of the root directory, which stays open."""
    global _root
    if _root < 0:
        _root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    return _root


def nearest_existing(names: tuple[bytes, ...]) -> ExistingPath:
    """Return how far the path of these names exists. Links are not followed. :raises OSError: as open(2)."""
    parent, at = os.dup(root_directory()), os.dup(root_directory())
    for depth, name in enumerate(names):
        try:
            below = open_beneath(at, (name,), os.O_PATH)
        except FileNotFoundError:
            return ExistingPath(at, parent, depth, "/" + os.fsdecode(b"/".join(names[:depth])))
        os.close(parent)
        parent, at = at, below
    return ExistingPath(at, parent, len(names), "/" + os.fsdecode(b"/".join(names)))


def path_components(path: str) -> tuple[bytes, ...]:
    """Return the names in an absolute path."""
    return tuple(os.fsencode(name) for name in path.split("/") if name)


def looking_as(uid: int, gid: int, groups: Collection[int]) -> AbstractContextManager[None]:
    """Look places up with a user's rights, so that directories closed to the user are closed here, too."""
    return nullcontext() if os.geteuid() else acting_as(uid, gid, tuple(groups))


def check_free(found: ExistingPath, path: str, where: str, uid: int) -> None:
    """
    Check that a directory that the user may not write can get something for the job.

    :raises CannotMove: it cannot.
    """
    existing = found.path
    if existing == "/":
        top = "/" + path.split("/")[1]
        raise CannotMove(f"{where} has no directory {top}: make it there, then {path} can be carried")
    system = existing.split("/")[1] in SYSTEM or any(_overlap(existing, each) for each in _OWN)
    others = os.fstat(found.descriptor).st_uid not in (0, uid)
    if uid != 0 and (system or others):
        raise CannotMove(f"{where} has no {path}, and {existing} there is not the user's")


def _overlap(one: str, other: str) -> bool:
    return f"{one}/".startswith(f"{other}/") or f"{other}/".startswith(f"{one}/")
