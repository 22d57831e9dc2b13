"""
What of a stopped job's memory has changed since it was sent ahead: the records that tell it. No I/O.

Standard library only: supervisors use it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from gomd.jobs.checkpoint import page_images, precopy_records
from gomd.jobs.checkpoint.page_images import Header
from gomd.jobs.checkpoint.present_pages import PAGE, has_huge_pages
from gomd.jobs.checkpoint.sent_copy import SentCopy, address_of

#: Pages after which a run that is the same is told of: the other end must hear something now and then.
LONGEST_RUN: Final = 1 << 18
_NONE: Final = Header(precopy_records.SAME, 0, 0, 0, 0)


class PageDifference:
    """
    Takes criu's requests and pages, one after the other, and sends what the target needs of them.

    :param send: sends parts to the target. :param copy: of what was sent ahead.
    :param is_huge: tells whether a process has pages of hugetlbfs, which criu does not look for in an earlier
        dump, so that they are not compared.
    :ivar same: bytes that were not sent again.
    """

    def __init__(
        self,
        send: Callable[..., object],
        copy: SentCopy,
        is_huge: Callable[[int], bool] = has_huge_pages,
    ) -> None:
        self.same = 0
        self._send = send
        self._copy = copy
        self._is_huge = is_huge
        self._memory = 0
        self._compared = False
        self._address = self._flags = 0
        self._run = _NONE

    def take_request(self, header: Header) -> None:
        """Take a request. If its pages follow, `take_pages` has to be called for all of them."""
        if header.command == page_images.OPEN2:
            self._memory = header.memory
            is_process = page_images.is_process(header.memory)
            self._compared = is_process and not self._is_huge(header.memory >> 8)
        if header.present:
            self._address, self._flags = header.address, header.flags
        else:
            self._flush()
            self._send(page_images.encode(header))

    def take_pages(self, data: memoryview) -> None:
        """Take pages that follow the last request, or the last pages."""
        at = 0
        for run, equal in self._compare(data):
            address, size = self._address + at, run * PAGE
            if equal:
                self._note_same(address, run)
            else:
                self._flush()
                header = Header(page_images.ADD_F, self._flags, run, address, self._memory)
                self._send(page_images.encode(header), data[at : at + size])
            at += size
        self._address += at

    def _compare(self, data: memoryview) -> Iterator[tuple[int, bool]]:
        """Yield how many of the pages are equal to what was sent, or are not, in turn."""
        pages = len(data) // PAGE
        if not self._compared:
            yield pages, False
            return
        place = address_of(data) - self._address
        for part in self._copy.parts(self._memory, self._address, pages):
            if part.store < 0:
                yield part.pages, False
            else:
                yield from self._copy.compare(part.offset, place + part.address, part.pages)

    def _note_same(self, address: int, pages: int) -> None:
        run = self._run
        if not run.pages or address != run.address + run.pages * PAGE or run.pages >= LONGEST_RUN:
            self._flush()
            run = _NONE._replace(address=address, memory=self._memory)
        self._run = run._replace(pages=run.pages + pages)
        self.same += pages * PAGE

    def _flush(self) -> None:
        """Tell of the pages that are the same, up to here."""
        run, self._run = self._run, _NONE
        if run.pages:
            self._send(page_images.encode(run))
