"""
Where the pages of a job's processes are kept: ranges of addresses, and the place of each. No I/O.

Both ends of a pre-copy have such a table, the source for its copy and the target for its files.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from typing import NamedTuple


class PageRange(NamedTuple):
    """
    Pages that are one after the other in memory and where they are kept.

    :ivar address: of the first. :ivar pages: how many, at least one.
    :ivar store: number of the store. :ivar offset: of the first page in that, in bytes.
    """

    address: int
    pages: int
    store: int
    offset: int


class Overlap(ValueError):
    """Pages are kept already."""


class PageRanges:
    """The pages of one memory. :param page: bytes of a page."""

    def __init__(self, page: int) -> None:
        self._page = page
        self._starts: list[int] = []
        self._ranges: list[PageRange] = []

    def __iter__(self) -> Iterator[PageRange]:
        return iter(self._ranges)

    def __len__(self) -> int:
        return len(self._ranges)

    def add(self, address: int, pages: int, store: int, offset: int) -> None:
        """Note where pages are kept. :raises Overlap: one of them is kept already."""
        at = bisect_right(self._starts, address)
        before = self._ranges[at - 1] if at else None
        if before is not None and self._end(before) > address:
            raise Overlap
        if at < len(self._ranges) and self._starts[at] < address + pages * self._page:
            raise Overlap
        if before is not None and self._continues(before, address, store, offset):
            self._ranges[at - 1] = before._replace(pages=before.pages + pages)
        else:
            self._starts.insert(at, address)
            self._ranges.insert(at, PageRange(address, pages, store, offset))

    def parts(self, address: int, pages: int) -> Iterator[PageRange]:
        """
        Take ``pages`` from ``address`` on apart: into what is kept at one place each, and what is not kept.

        What is not kept has -1 for the store and the offset. The table may be added to meanwhile, up to the
        end of the part that was yielded last.
        """
        end = address + pages * self._page
        while address < end:
            at = bisect_right(self._starts, address)
            found = self._ranges[at - 1] if at else None
            if found is not None and address < self._end(found):
                until = min(end, self._end(found))
                place = found.store, found.offset + address - found.address
            else:
                until = min(end, self._starts[at]) if at < len(self._starts) else end
                place = -1, -1
            yield PageRange(address, (until - address) // self._page, *place)
            address = until

    def has(self, address: int, pages: int) -> bool:
        """Return whether all of these pages are kept."""
        return all(part.store >= 0 for part in self.parts(address, pages))

    def _end(self, found: PageRange) -> int:
        return found.address + found.pages * self._page

    def _continues(self, before: PageRange, address: int, store: int, offset: int) -> bool:
        size = before.pages * self._page
        return (before.address + size, before.store, before.offset + size) == (address, store, offset)
