"""
Removes a directory tree that a user has made, as root: however deep it is, and whatever the user does to it.

Everything is done below opened directories, no link is followed and no mount entered. A directory that is
not empty is moved up to the top of the tree first, so that neither the depth of the tree nor the number of
open files matters. Each directory is closed to the user before it is read: who has it open can make nothing
more in it, so that this ends. Standard library only: supervisors use it.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import suppress
from itertools import count
from typing import Final

from gomd.jobs.checkpoint.open_beneath import open_beneath

#: How often the top is read. Each time one more level of the tree has gone; a file system has fewer levels.
_MAX_PASSES: Final = 1_000_000
_FULL: Final = (errno.ENOTEMPTY, errno.EEXIST)


def remove_tree(path: str) -> None:
    """
    Remove the directory or file ``path`` with all that is in it; nothing happens if it is not there. Blocks.

    :raises OSError: not all of it can be removed.
    """
    try:
        parent = os.open(os.path.dirname(path), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        remove_entry(parent, os.path.basename(path))
    finally:
        os.close(parent)


def remove_entry(parent: int, name: str) -> None:
    """
    Remove an entry of an opened directory with all that is in it; nothing happens if it is not there. Blocks.

    :raises OSError: not all of it can be removed.
    """
    encoded = os.fsencode(name)
    if _removed(parent, encoded):
        return
    top = open_beneath(parent, (encoded,), os.O_RDONLY | os.O_DIRECTORY, crossing=False)
    try:
        _empty(top)
    finally:
        os.close(top)
    os.rmdir(encoded, dir_fd=parent)


def _close_to_others(directory: int) -> None:
    """Let nobody but this process's user make or remove anything in an opened directory."""
    with suppress(OSError):  # a file system that gives root no rights
        os.fchown(directory, os.geteuid(), -1)
        os.fchmod(directory, 0o700)


def _empty(top: int) -> None:
    """Remove what is in an opened directory."""
    _close_to_others(top)
    numbers = count()
    for _pass in range(_MAX_PASSES):
        left = False
        for name in _names(top):
            left = True
            if not _removed(top, name):
                _flatten(top, name, numbers)
        if not left:
            return
    raise OSError(errno.ENOTEMPTY, "files appear in it as fast as they are removed")


def _flatten(top: int, name: bytes, numbers: Iterator[int]) -> None:
    """Remove a directory in ``top``; what is in it and is not empty moves up to ``top``."""
    directory = open_beneath(top, (name,), os.O_RDONLY | os.O_DIRECTORY, crossing=False)
    try:
        _close_to_others(directory)
        for inner in _names(directory):
            while not _removed(directory, inner):
                try:
                    new = b"removing.%d" % next(numbers)
                    os.rename(inner, new, src_dir_fd=directory, dst_dir_fd=top)
                    break
                except OSError as error:
                    if error.errno not in (*_FULL, errno.ENOTDIR, errno.ENOENT):
                        raise  # not: the user has something of that name
    finally:
        os.close(directory)
    _removed(top, name)  # if it got something new meanwhile, the next pass does it


def _removed(parent: int, name: bytes) -> bool:
    """Remove what is no directory, or an empty one; return whether it is gone."""
    try:
        os.unlink(name, dir_fd=parent)
        return True
    except FileNotFoundError:
        return True
    except OSError as error:
        if error.errno not in (errno.EISDIR, errno.EPERM):
            raise
    try:
        os.rmdir(name, dir_fd=parent)
        return True
    except FileNotFoundError:
        return True
    except OSError as error:
        if error.errno not in _FULL:
            raise
        return False


def _names(directory: int) -> Iterator[bytes]:
    """Yield the names in an opened directory, from its beginning."""
    os.lseek(directory, 0, os.SEEK_SET)
    with os.scandir(directory) as entries:
        for entry in entries:
            yield os.fsencode(entry.name)
