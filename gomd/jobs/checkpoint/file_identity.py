"""Tells whether two names lead to the same file, and what file a name leads to. Blocks."""

from __future__ import annotations

import errno
import os

from gomd.jobs.checkpoint.mounts import (
    Mount,
    shared_identity,
)


def leads_to(at: str, path: str) -> bool:
    """
    Whether ``at``, a link of /proc, still leads to what it led to when it was read.

    A process that runs may have closed the file, and have opened another one in its place.
    """
    try:
        return os.readlink(at) == path
    except OSError as error:
        return error.errno == errno.EINVAL  # it is no link: its name was used


def volume_of(mount: Mount, at: str) -> str:
    """Return the name that all nodes have for the file system at ``at``, empty when it has none."""
    try:
        return shared_identity(mount, os.statvfs(at).f_fsid)
    except OSError:
        return ""


def differs(root: str, point: str) -> bool:
    """Whether the job sees something else at ``point`` than this process."""
    try:
        theirs = os.stat(root + point)
    except OSError:
        return False
    try:
        ours = os.stat(point)
    except OSError:
        return True
    return (theirs.st_dev, theirs.st_ino) != (ours.st_dev, ours.st_ino)


def is_seen(path: str, at: str) -> bool:
    """Whether this process finds by its path what the job has at ``at``."""
    try:
        return is_at(path, os.stat(at))
    except OSError:
        return False


def is_at(path: str, known: os.stat_result) -> bool:
    """Whether ``path`` leads to the file whose status is ``known``."""
    try:
        there = os.stat(path)
    except OSError:
        return False
    return (there.st_dev, there.st_ino) == (known.st_dev, known.st_ino)


def inode_of(at: str) -> int:
    """Return the inode number of a file, 0 when it cannot be read."""
    try:
        return os.stat(at).st_ino
    except OSError:
        return 0


def size_of(at: str) -> int:
    """Return the size of a file in bytes, 0 when it cannot be read."""
    try:
        return os.stat(at).st_size
    except OSError:
        return 0
