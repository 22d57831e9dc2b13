"""
Sends the memory of a job ahead, while the job runs: in rounds, each of what is new and what has changed.

No mark of the kernel's says what was written since: what was sent is kept (`sent_copy`) and compared. The
last comparison is that of the relay, of what criu dumps (`precopy_relay`); here it only decides what to send
once more. Blocks. Standard library only: supervisors use it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from typing import Final, NamedTuple, Protocol

from gomd.jobs.checkpoint import page_images, precopy_records, present_pages
from gomd.jobs.checkpoint.page_ranges import PageRange
from gomd.jobs.checkpoint.precopy_records import CHANGED, DONE, MAX_ROUNDS, NEW, OFFERED, ROUND, ZEROS
from gomd.jobs.checkpoint.present_pages import PAGE, Run
from gomd.jobs.checkpoint.sent_copy import SentCopy, address_of
from libgomd.errors import CannotMove

#: Pages that are read and sent at a time.
PIECE_PAGES: Final = 256
#: There is another round while the last one had to send so many bytes, and less than this share of the one
#: before: a program that writes faster than that would go on for ever.
WORTH_BYTES: Final = 8 << 20
SHRUNK: Final = 0.7
#: Bytes of the copy after which it is looked whether memory is still free.
LOOK_BYTES: Final = 64 << 20
#: Seconds after which a word is sent, when there is nothing else to send: the other end waits for a while.
_BEAT: Final = 20.0


class PageStream(Protocol):
    """The connection to the target."""

    def send_parts(self, *parts: bytes | memoryview) -> None:
        """Send all of them. :raises OSError: it broke."""

    def answer(self, size: int) -> bytes:
        """Return the next ``size`` bytes that come. :raises OSError: it broke."""


class MemoryReads(NamedTuple):
    """
    How memory is read; the tests have another one.

    :ivar present, read, has_huge_pages: see `gomd.jobs.checkpoint.present_pages`.
    """

    present: Callable[[int], Iterator[Run]] = present_pages.present
    read: Callable[[int, int, memoryview], int] = present_pages.read
    has_huge_pages: Callable[[int], bool] = present_pages.has_huge_pages


_KERNEL: Final = MemoryReads()


def is_worth_another(found: int, before: int) -> bool:
    """
    Return whether there is to be another round.

    :param found: bytes that the last one had to send. :param before: those of the one before it, or -1.
    """
    return found >= WORTH_BYTES and (before < 0 or found <= before * SHRUNK)


class Precopy:
    """
    The memory of one job on its way.

    :param stream: to the target. :param pids: returns the processes of the job, as criu sees them.
    :param room: bytes that the copy may have. :param end: when, by ``now``, the job has to be stopped.
    :param goes_on: see `is_worth_another`. :param is_room: tells whether memory is still free: other copies
        may grow beside this one. Without any, the rest is left to criu.
    :ivar sent: bytes of pages, so far. :ivar copy: what was sent; None when nothing is sent ahead.
    """

    def __init__(
        self,
        stream: PageStream,
        pids: Callable[[], Collection[int]],
        room: int,
        end: float,
        now: Callable[[], float] = time.monotonic,
        source: MemoryReads = _KERNEL,
        goes_on: Callable[[int, int], bool] = is_worth_another,
        is_room: Callable[[], bool] = lambda: True,
    ) -> None:
        self.sent = 0
        self.copy: SentCopy | None = None
        self._stream = stream
        self._pids = pids
        self._room = room
        self._end = end
        self._now = now
        self._source = source
        self._goes_on = goes_on
        self._is_room = is_room
        self._looked = 0
        self._piece = memoryview(bytearray(PIECE_PAGES * PAGE))
        self._place = address_of(self._piece)
        self._last_sent = 0.0

    def offer(self) -> bool:
        """
        Ask the target whether it takes memory ahead. Nothing may have been sent before.

        :returns: whether `run` may follow; else the memory goes as if there was no pre-copy.
        :raises OSError: the connection broke.
        """
        copy: SentCopy | None = None
        if self._room >= PAGE:
            with suppress(OSError):  # the kernel promises no more memory
                copy = SentCopy(self._room)
        self._send(OFFERED, 0 if copy is None else self._room // PAGE)
        [taken] = precopy_records.ANSWER.unpack(self._stream.answer(precopy_records.ANSWER.size))
        if copy is None or taken < PAGE:
            return False
        copy.limit(int(taken))
        self.copy = copy
        return True

    def run(self) -> None:
        """
        Send the memory, in as many rounds as are worth it.

        Memory that this process may not read is left to criu.

        :raises OSError: the connection broke. :raises CannotMove: the other end failed.
        """
        before = -1
        for _ in range(MAX_ROUNDS):
            begun = self.sent
            self._send(ROUND)
            whole = self._round()
            found = self.sent - begun
            if not whole or not self._goes_on(found, before):
                break
            before = found
        self._send(DONE)
        if self._stream.answer(len(page_images.COMPLETE)) != page_images.COMPLETE:
            raise CannotMove("the other node did not keep what was sent of its memory")

    def _round(self) -> bool:
        """Send what is new or has changed. :returns: whether there was time and room for all."""
        for pid in self._pids():
            if self._source.has_huge_pages(pid):
                continue
            memory = precopy_records.process(pid)
            for run in self._source.present(pid):
                for at in range(0, run.pages, PIECE_PAGES):
                    pages = min(PIECE_PAGES, run.pages - at)
                    if not self._is_time_left() or not self._one(memory, pid, run.address + at * PAGE, pages):
                        return False
        return True

    def _is_time_left(self) -> bool:
        now = self._now()
        if now - self._last_sent > _BEAT:
            self._send(NEW)
        return now < self._end

    def _one(self, memory: int, pid: int, address: int, pages: int) -> bool:
        """Send some pages, if need be. :returns: False when there is no room for them."""
        copy = self.copy
        assert copy is not None
        for part in tuple(copy.parts(memory, address, pages)):
            if part.store >= 0:
                self._changed(copy, memory, pid, part)
            elif not self._new(copy, memory, pid, part.address, part.pages):
                return False
        return True

    def _new(self, copy: SentCopy, memory: int, pid: int, address: int, pages: int) -> bool:
        if copy.is_scattered(memory):
            return True
        if copy.used - self._looked >= LOOK_BYTES:
            self._looked = copy.used
            if not self._is_room():
                return False
        wanted = min(pages, copy.pages_left)
        count = self._source.read(pid, address, copy.room(wanted)) if wanted else 0
        if count:
            zeros = copy.forget_zeros(count)
            data = copy.add(memory, address, count)
            self._send(ZEROS if zeros else NEW, count, address, memory, b"" if zeros else data)
        return wanted == pages

    def _changed(self, copy: SentCopy, memory: int, pid: int, known: PageRange) -> None:
        count = self._source.read(pid, known.address, self._piece[: known.pages * PAGE])
        at = 0
        for run, equal in copy.compare(known.offset, self._place, count) if count else ():
            size = run * PAGE
            if not equal:
                data = self._piece[at : at + size]
                copy.put(known.offset + at, data)
                self._send(CHANGED, run, known.address + at, memory, data)
            at += size

    def _send(
        self, command: int, pages: int = 0, address: int = 0, memory: int = 0, data: bytes | memoryview = b""
    ) -> None:
        self._stream.send_parts(precopy_records.encode(command, pages, address, memory), data)
        self._last_sent = self._now()
        self.sent += len(data)
