"""
Tells by their content whether two files, or two directories, are equal: a digest that takes bounded time.

A file that a job only reads may be another one on the target node, if what is in it is the same. The source
node decides how much of each file is read, and the target node reads the same.
"""

from __future__ import annotations

import hashlib
import os
import stat
import time
from collections.abc import Callable, Iterator
from typing import Final

#: Bytes that are read at once, and bytes of one sample of a file that is too large to be read whole.
BLOCK_BYTES: Final = 1 << 20
SAMPLE_BYTES: Final = 1 << 16
#: Bytes of all files of a job that are read whole; what is beyond is sampled.
MAX_WHOLE_BYTES: Final = 64 << 20
#: Number of samples, spread over the file.
SAMPLE_COUNT: Final = 64
#: Bytes before and behind the position at which the job reads that count in any case.
NEAR_BYTES: Final = 1 << 20
#: Entries of a directory that are compared; one with more is not compared.
MAX_ENTRIES: Final = 5000


class Budget:
    """
    How much may be read of all files of a job together: then the next ones are sampled.

    :param most: bytes. :param seconds: of time. :param now: a monotonic clock.
    """

    def __init__(self, most: int, seconds: float, now: Callable[[], float] = time.monotonic) -> None:
        self._left = most
        self._now = now
        self._end = now() + seconds

    def allows(self, size: int) -> bool:
        """Whether ``size`` more bytes may be read; they count then."""
        if size > self._left or self._now() > self._end:
            return False
        self._left -= size
        return True


def digest_of(descriptor: int, size: int, whole: bool, near: int = 0) -> str:
    """
    Return the digest of an opened file, hexadecimal. Blocks.

    :param size: its size in bytes.
    :param whole: read all of it, else `SAMPLE_COUNT` samples of it, and
        what is around ``near``, a position in it.
    :raises OSError: it cannot be read.
    """
    digest = hashlib.sha256(b"%d" % size)
    for begin, length in [(0, size)] if whole else samples(size, near):
        while length > 0:
            piece = os.pread(descriptor, min(BLOCK_BYTES, length), begin)
            if not piece:
                break
            digest.update(piece)
            begin, length = begin + len(piece), length - len(piece)
    return digest.hexdigest()


def samples(size: int, near: int) -> Iterator[tuple[int, int]]:
    """Yield where the samples of a file of ``size`` bytes begin, and their lengths."""
    begin = max(0, min(near, size) - NEAR_BYTES)
    yield begin, min(2 * NEAR_BYTES, size - begin)
    room = max(0, size - SAMPLE_BYTES)
    for number in range(SAMPLE_COUNT):
        begin = room * number // (SAMPLE_COUNT - 1)
        yield begin, min(SAMPLE_BYTES, size - begin)


def listing_of(descriptor: int) -> str:
    """
    Return the digest of an opened directory: names, kinds, sizes and times of its entries. Blocks.

    :returns: empty when it has more than `MAX_ENTRIES`. :raises OSError: it cannot be read.
    """
    lines: list[str] = []
    with os.scandir(descriptor) as entries:
        for entry in entries:
            if len(lines) == MAX_ENTRIES:
                return ""
            known = entry.stat(follow_symlinks=False)
            regular = stat.S_ISREG(known.st_mode)
            lines.append(
                f"{entry.name!r} {stat.S_IFMT(known.st_mode):o} "
                f"{known.st_size if regular else 0} {known.st_mtime_ns if regular else 0}"
            )
    return hashlib.sha256("\n".join(sorted(lines)).encode("utf-8", "surrogateescape")).hexdigest()
