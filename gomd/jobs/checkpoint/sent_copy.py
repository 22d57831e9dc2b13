"""
The source's copy of what it has sent of a job's memory before the job is stopped.

When the job is stopped, its memory is compared with this copy, byte by byte, so that nothing rests on a
checksum: what is found equal is on the target already. The copy is memory of this process, which is in no
core dump and in no child of it. Standard library only: supervisors use it.
"""

from __future__ import annotations

import ctypes
import mmap
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

from gomd.jobs.checkpoint.page_ranges import PageRange, PageRanges
from gomd.jobs.checkpoint.precopy_records import MAX_RANGES
from gomd.jobs.checkpoint.present_pages import PAGE

#: Pages that are compared at a time before they are compared one by one.
_PIECE: Final = 32
_MAP_NORESERVE: Final = 0x4000
#: Of madvise(2): not in core dumps, not in children.
_ADVICE: Final = (16, 10)
_ZEROS: Final = bytes(1 << 20)
_libc: Final = ctypes.CDLL(None)
_libc.memcmp.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)


def address_of(view: memoryview | mmap.mmap) -> int:
    """Return where in the memory of this process a buffer is that can be written to."""
    return ctypes.addressof(ctypes.c_char.from_buffer(view))


class SentCopy:
    """
    :param room: bytes that it may have. They are taken only as they are used.
    :ivar used: bytes that are used. :raises OSError: the kernel has no room for so many.
    """

    def __init__(self, room: int) -> None:
        self.used = 0
        self._room = max(PAGE, room)
        self._memory = mmap.mmap(-1, self._room, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _MAP_NORESERVE)
        for advice in _ADVICE:
            with suppress(OSError):
                self._memory.madvise(advice)
        self._view = memoryview(self._memory)
        self._base = address_of(self._memory)
        self._ranges: dict[int, PageRanges] = {}

    def limit(self, room: int) -> None:
        """Have no more than ``room`` bytes."""
        self._room = min(self._room, room)

    @property
    def pages_left(self) -> int:
        """How many pages there is room for."""
        return (self._room - self.used) // PAGE

    def is_scattered(self, memory: int) -> bool:
        """Return whether a memory has so many ranges that no more are kept."""
        found = self._ranges.get(memory)
        return found is not None and len(found) >= MAX_RANGES

    def room(self, pages: int) -> memoryview:
        """Return where the next ``pages`` go; `add` notes what was put there."""
        return self._view[self.used : self.used + pages * PAGE]

    def add(self, memory: int, address: int, pages: int) -> memoryview:
        """Note that the first ``pages`` of `room` are of that address; return them."""
        offset = self.used
        self._ranges.setdefault(memory, PageRanges(PAGE)).add(address, pages, 0, offset)
        self.used += pages * PAGE
        return self._view[offset : self.used]

    def forget_zeros(self, pages: int) -> bool:
        """Return whether the first ``pages`` of `room` are zeros; give the memory for them back then."""
        place = self._base + self.used
        if any(
            _libc.memcmp(place + at, _ZEROS, min(len(_ZEROS), pages * PAGE - at))
            for at in range(0, pages * PAGE, len(_ZEROS))
        ):
            return False
        self._memory.madvise(mmap.MADV_DONTNEED, self.used, pages * PAGE)
        return True

    def parts(self, memory: int, address: int, pages: int) -> Iterator[PageRange]:
        """Yield what there is of these pages, and what is not there; see `PageRanges.parts`."""
        found = self._ranges.get(memory)
        if found is None:
            return iter((PageRange(address, pages, -1, -1),))
        return found.parts(address, pages)

    def compare(self, offset: int, place: int, pages: int) -> Iterator[tuple[int, bool]]:
        """
        Compare pages with the copy; yield how many are equal, or are not, and whether they are equal.

        :param offset: of the copy. :param place: address of the pages in this process (`address_of`).
        """
        copy, compare = self._base + offset, _libc.memcmp
        if not compare(copy, place, pages * PAGE):
            yield pages, True
            return
        run, equal = 0, True
        for first in range(0, pages, _PIECE):
            size = min(_PIECE, pages - first)
            at = first * PAGE
            steps = [size]
            if compare(copy + at, place + at, size * PAGE):
                steps = [1] * size
            for step in steps:
                same = len(steps) == 1 < size or not compare(copy + at, place + at, PAGE)
                if same is not equal and run:
                    yield run, equal
                    run = 0
                run, equal, at = run + step, same, at + step * PAGE
        yield run, equal

    def put(self, offset: int, data: memoryview) -> None:
        """Change the copy from ``offset`` on."""
        self._view[offset : offset + len(data)] = data

    def close(self) -> None:
        """Give its memory back."""
        with suppress(BufferError):  # a part of it is still in use
            self._view.release()
            self._memory.close()
