"""
Copies and removes files below open directories without following links. A copy is there whole or not at all.

Standard library only.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import suppress

from gomd.jobs.checkpoint.file_tree import next_data
from gomd.jobs.checkpoint.open_beneath import open_beneath

#: Bytes that are read at once.
PIECE_BYTES = 1 << 20
#: Flags of open(2): a device or fifo is never waited for.
READ_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def names_in(directory: int) -> Iterator[bytes]:
    """Yield the names in an open directory."""
    with os.scandir(directory) as entries:
        for entry in entries:
            yield os.fsencode(entry.name)


def copy_entry(source: int, target: int, name: bytes, to: bytes, gid: int | None = None) -> None:
    """Copy an entry of any kind, a file all of it or none; what has the name ``to`` is replaced."""
    found = os.stat(name, dir_fd=source, follow_symlinks=False)
    if stat.S_ISDIR(found.st_mode):
        os.mkdir(to, 0o700, dir_fd=target)
        below = open_beneath(source, (name,), READ_FLAGS | os.O_DIRECTORY)
        try:
            into = open_beneath(target, (to,), READ_FLAGS | os.O_DIRECTORY)
            try:
                for each in sorted(names_in(below)):
                    copy_entry(below, into, each, each)
                set_mode_and_time(into, found)
            finally:
                os.close(into)
        finally:
            os.close(below)
        return
    new = b".gomd-new-" + os.urandom(6).hex().encode()
    try:
        if stat.S_ISLNK(found.st_mode):
            os.symlink(os.readlink(name, dir_fd=source), new, dir_fd=target)
        elif stat.S_ISFIFO(found.st_mode):
            os.mkfifo(new, found.st_mode & 0o777, dir_fd=target)
        elif stat.S_ISREG(found.st_mode):
            _copy_file(source, target, name, new, gid)
        else:
            return
        os.rename(new, to, src_dir_fd=target, dst_dir_fd=target)
    finally:
        with suppress(OSError):
            os.unlink(new, dir_fd=target)


def _copy_file(source: int, target: int, name: bytes, new: bytes, gid: int | None) -> None:
    """Copy a regular file with its holes, and have it on the disk."""
    first = open_beneath(source, (name,), READ_FLAGS)
    try:
        found = os.fstat(first)
        second = os.open(new, _NEW, 0o600, dir_fd=target)
        try:
            position = 0
            while position < found.st_size:
                begin, end = next_data(first, position, found.st_size)
                data = os.pread(first, min(PIECE_BYTES, end - begin), begin)
                if not data:
                    break
                view, position = memoryview(data), begin
                while view:
                    written = os.pwrite(second, view, position)
                    view, position = view[written:], position + written
            os.ftruncate(second, found.st_size)
            if gid is not None:
                with suppress(PermissionError):
                    os.fchown(second, -1, gid)
            set_mode_and_time(second, found)
            os.fsync(second)
        finally:
            os.close(second)
    finally:
        os.close(first)


def set_mode_and_time(descriptor: int, found: os.stat_result) -> None:
    """Give an open file or directory the permissions and the time of another one."""
    os.fchmod(descriptor, found.st_mode & 0o1777)
    os.utime(descriptor, ns=(found.st_mtime_ns, found.st_mtime_ns))


def remove_entry(directory: int, name: bytes) -> None:
    """Remove what an earlier merge has left under a name, if anything."""
    try:
        found = os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return
    if not stat.S_ISDIR(found.st_mode):
        os.unlink(name, dir_fd=directory)
        return
    below = open_beneath(directory, (name,), READ_FLAGS | os.O_DIRECTORY)
    try:
        for each in list(names_in(below)):
            remove_entry(below, each)
    finally:
        os.close(below)
    os.rmdir(name, dir_fd=directory)
