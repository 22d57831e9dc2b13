"""
Keeps, on the target, the memory of a job that comes before the job is stopped: as images of earlier dumps.

Each round that brings new pages has a directory of its own, with a file of pages for each process; pages that
have changed are written over where they are. Each directory is the parent of the next one, and the last one
that of the dump itself: criu reads from there what the dump leaves out. So nothing is copied while the job
stands still. Blocks.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from typing import BinaryIO, Final, NamedTuple

from gomd.jobs.checkpoint import page_images
from gomd.jobs.checkpoint.images import MAX_IMAGES
from gomd.jobs.checkpoint.page_images import IN_PARENT, PRESENT, Header
from gomd.jobs.checkpoint.page_ranges import Overlap, PageRanges
from gomd.jobs.checkpoint.precopy_records import CHANGED, MAX_RANGES, MAX_ROUNDS, NEW, ROUND
from libgomd.errors import CannotMove

#: The name by which criu finds the parent of a directory of images; it is a link.
PARENT: Final = "parent"
_DIRECTORY: Final = "ahead{}"
#: Bytes of the disk that stay free, and the share of it.
LEAST_FREE: Final = 64 << 20
FREE_SHARE: Final = 32
_WRONG: Final = "the other node sends memory ahead that cannot be"


def room(directory: str, wanted: int) -> int:
    """
    Return how many bytes may come ahead: ``wanted``, or 0. Blocks briefly.

    All of them may come once more while the job is stopped, so there is to be space for that, too.
    """
    try:
        disk = os.statvfs(directory)
    except OSError:
        return 0
    reserved = max(LEAST_FREE, disk.f_blocks * disk.f_frsize // FREE_SHARE)
    return wanted if disk.f_bavail * disk.f_frsize - reserved >= 2 * wanted else 0


class _Key(NamedTuple):
    """Names a file of pages. :ivar level: the round it came in. :ivar memory: the process."""

    level: int
    memory: int


class PrecopyImages:
    """
    The memory of one job.

    :param directory: of the images of the dump. :param page: bytes of a page.
    :param most: bytes that may come, those of zeros included.
    """

    def __init__(self, directory: str, page: int, most: int) -> None:
        self._directory = directory
        self._page = page
        self._left = most
        self._round = 0
        self._ranges: dict[int, PageRanges] = {}
        self._sizes: dict[_Key, int] = {}
        self._file: BinaryIO | None = None
        self._open: _Key | None = None

    def begin(self) -> None:
        """Make sure that nothing of an earlier one is here. :raises OSError: the disk does not work."""
        with suppress(FileNotFoundError):
            os.unlink(os.path.join(self._directory, PARENT))

    def has(self, memory: int, address: int, pages: int) -> bool:
        """Return whether all of these pages are here."""
        found = self._ranges.get(memory)
        return found is not None and found.has(address, pages)

    def take(self, header: Header) -> Iterator[tuple[BinaryIO, int]]:
        """
        Take a record; yield each file, at the place where so many of its bytes, which follow, are to go.

        :raises CannotMove: there is no such record now. :raises OSError: the disk is full, or the like.
        """
        if header.command == ROUND:
            self._round += 1
            if self._round > MAX_ROUNDS:
                raise CannotMove(_WRONG)
        elif header.pages:  # without any it is a sign of life
            size = header.pages * self._page
            if (
                not self._round
                or not page_images.is_process(header.memory)
                or header.address % self._page
                or header.address + size >= 1 << 64
            ):
                raise CannotMove(_WRONG)
            if header.command == CHANGED:
                yield from self._changed(header)
            else:
                yield from self._new(header, size)

    def finish(self) -> None:
        """Complete the images of what has come. :raises CannotMove, OSError: as `take` does."""
        self.close()
        levels = sorted({key.level for key in self._sizes})
        for before, level in zip([0, *levels], levels, strict=False):
            directory = self._level_directory(level)
            if before:
                os.symlink(os.path.join(os.pardir, _DIRECTORY.format(before)), f"{directory}/{PARENT}")
            for memory, ranges in self._ranges.items():
                self._write_pagemap(_Key(level, memory), ranges)
        if levels:
            os.symlink(_DIRECTORY.format(levels[-1]), os.path.join(self._directory, PARENT))

    def close(self) -> None:
        """Close what is open."""
        file, self._file, self._open = self._file, None, None
        if file is not None:
            file.close()

    def _changed(self, header: Header) -> Iterator[tuple[BinaryIO, int]]:
        if not self.has(header.memory, header.address, header.pages):
            raise CannotMove(_WRONG)
        for part in self._ranges[header.memory].parts(header.address, header.pages):
            file = self._opened(_Key(part.store, header.memory))
            file.seek(part.offset)
            yield file, part.pages * self._page

    def _new(self, header: Header, size: int) -> Iterator[tuple[BinaryIO, int]]:
        if header.memory not in self._ranges and len(self._ranges) >= MAX_IMAGES:
            raise CannotMove("it has too many processes")
        ranges = self._ranges.setdefault(header.memory, PageRanges(self._page))
        key = _Key(self._round, header.memory)
        offset = self._sizes.get(key, 0)
        try:
            ranges.add(header.address, header.pages, self._round, offset)
        except Overlap:
            raise CannotMove(_WRONG) from None
        self._left -= size
        if self._left < 0 or len(ranges) > 2 * MAX_RANGES:
            raise CannotMove("the other node sends more memory ahead than was agreed")
        self._sizes[key] = offset + size
        if header.command == NEW:
            file = self._opened(key)
            file.seek(offset)
            yield file, size

    def _opened(self, key: _Key) -> BinaryIO:
        """Return the file of pages, open; no other one is."""
        if self._file is None or key != self._open:
            self.close()
            self._file = self._open_file(os.path.join(self._level_directory(key.level), _pages_name(key)))
            self._open = key
        return self._file

    def _level_directory(self, level: int) -> str:
        """Return the directory of a round, made if need be."""
        path = os.path.join(self._directory, _DIRECTORY.format(level))
        if not os.path.isdir(path):
            os.mkdir(path, 0o700)
        return path

    def _open_file(self, path: str) -> BinaryIO:
        number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        return os.fdopen(number, "wb", 0)

    def _write_pagemap(self, key: _Key, ranges: PageRanges) -> None:
        """Write where the pages of a process are that came in this round and in those before it."""
        known = [each for each in ranges if each.store <= key.level]
        if not known:
            return
        directory, at = self._level_directory(key.level), 0
        with self._open_file(os.path.join(directory, _pages_name(key))) as pages:
            pages.truncate(self._sizes.get(key, 0))  # zeros at its end were not written
        path = os.path.join(directory, page_images.pagemap_name(key.memory))
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(page_images.head(_number(key)))
            for each in known:
                flags = IN_PARENT
                if each.store == key.level:
                    if each.offset != at:  # criu reads them in the order of their addresses
                        raise CannotMove(_WRONG)
                    at, flags = at + each.pages * self._page, PRESENT
                file.write(page_images.entry(Header(0, flags, each.pages, each.address, key.memory)))


def _number(key: _Key) -> int:
    """Return the number of a file of pages, which no other one of its round has."""
    return key.memory >> 8


def _pages_name(key: _Key) -> str:
    return page_images.pages_name(_number(key))
