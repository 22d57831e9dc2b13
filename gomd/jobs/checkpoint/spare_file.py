"""
Space for a job's memory, taken on the target before the job is stopped.

Writing a file that is not there costs the kernel more than writing over one that is: it has to find memory
for its cache, and a job of a gigabyte would stand still for that. So a file of about that size is written
while the job still runs on the source node, and the memory of a large process is written over it. Blocks.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from contextlib import suppress
from typing import BinaryIO, Final, Protocol

#: The file, among the images; its name is none of an image.
NAME: Final = "spare"
#: Bytes: no file is made for less, and none larger than this, or than these shares of memory and disk.
LEAST: Final = 16 << 20
MOST: Final = 1 << 30
_SHARE_OF_MEMORY, _SHARE_OF_DISK = 8, 4
#: Seconds after which it is as large as it is.
TIME_LIMIT: Final = 1.0
_PIECE: Final = bytes(1 << 20)
_AVAILABLE: Final = re.compile(r"^MemAvailable:\s+(\d+) kB$", re.MULTILINE)


class RawFile(Protocol):
    """A file without a buffer, as far as it is used here."""

    def write(self, data: memoryview, /) -> int:
        """Write some of ``data``; return how much. :raises OSError: the disk is full, or the like."""


def make(directory: str, expected: int, now: Callable[[], float] = time.monotonic) -> int:
    """
    Write the file, if it is worth it. No error: it is not needed.

    :param directory: of the images. :param expected: bytes of the job's memory.
    :returns: its size.
    """
    path, end = os.path.join(directory, NAME), now() + TIME_LIMIT
    made = 0
    try:
        disk = os.statvfs(directory)
        size = min(expected, MOST, _available() // _SHARE_OF_MEMORY)
        size = min(size, disk.f_bavail * disk.f_frsize // _SHARE_OF_DISK)
        if size < LEAST:
            return 0
        with open(_open(path, os.O_CREAT | os.O_EXCL), "wb", buffering=0) as file:
            while made < size and now() < end:
                made += file.write(_PIECE)
    except OSError:
        remove(directory)
        return 0
    return made


def take(directory: str, path: str, written: int) -> BinaryIO | None:
    """
    Put the file in the place of the one at ``path``, which is small; return it, behind what was in that.

    :param written: bytes that are in the other one. :returns: None when there is no such file.
    :raises OSError: the disk does not work.
    """
    try:
        number = _open(os.path.join(directory, NAME))
    except OSError:
        return None
    taken: BinaryIO = os.fdopen(number, "wb", 0)
    try:
        with open(path, "rb") as before:
            write_whole(taken, before.read(written))
        os.rename(os.path.join(directory, NAME), path)
    except BaseException:
        taken.close()
        raise
    return taken


def write_whole(file: RawFile, data: bytes) -> None:
    """Write all of ``data``; a write may do a part only, on a disk that is about to be full."""
    left = memoryview(data)
    while left:
        left = left[file.write(left) :]


def remove(directory: str) -> None:
    """Remove it if it is there. No error."""
    with suppress(OSError):
        os.unlink(os.path.join(directory, NAME))


def _open(path: str, more: int = 0) -> int:
    return os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC | more, 0o600)


def _available() -> int:
    with open("/proc/meminfo", encoding="ascii") as file:
        found = _AVAILABLE.search(file.read(4096))
    return int(found[1]) << 10 if found else 0
