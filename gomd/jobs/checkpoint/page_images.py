"""
How criu sends a job's memory to a page server, and the images in which it is kept. No I/O.

criu sends requests, each a header that pages may follow. ``OPEN2`` begins the memory of one process, or one
piece of shared memory, and is answered by one byte; ``ADD_F`` has pages; ``CLOSE`` ends it all and is
answered by four bytes. criu before 4.2 has headers of 24 bytes, later ones of 32; the first header shows it.

For each process or piece there are two images: ``pages-N.img`` has the pages, ``pagemap-ID.img`` says where
in memory they are.
"""

from __future__ import annotations

import struct
from collections.abc import Collection
from typing import Final, NamedTuple

from libgomd.errors import CannotMove

OPEN2, ADD, ADD_F, PARENT, CLOSE, FORCE_CLOSE = 4, 1, 6, 5, 0x1023, 0x1024
#: Answers to `OPEN2`: there is no earlier dump; to `CLOSE` and `FORCE_CLOSE`: all is here.
NO_PARENT: Final = b"\0"
COMPLETE: Final = b"\0\0\0\0"
#: All that criu sends.
WORDS: Final = frozenset((OPEN2, ADD, ADD_F, PARENT, CLOSE, FORCE_CLOSE))
#: Bytes of the shortest header, and of the other one.
NARROW: Final = 24
WIDE: Final = 32
_FORMATS: Final = {24: struct.Struct("=IIQQ"), 32: struct.Struct("=IxxxxQQQ")}
_COMMAND_BITS: Final = 16
#: Of a piece of memory: its pages are in an earlier dump; they follow.
IN_PARENT: Final = 1 << 0
PRESENT: Final = 1 << 2
#: The kinds of memory that an id names.
_PROCESS, _SHARED = 1, 2
_MAGIC: Final = struct.pack("=II", 0x54564319, 0x56084025)
#: Numbers of images begin above those that criu itself uses on the source node.
FIRST_NUMBER: Final = 0x10000
#: Pages that one header may announce.
_MAX_PAGES: Final = (1 << 32) - 1


class Header(NamedTuple):
    """
    :ivar command: one of those above. :ivar flags: of the piece. :ivar pages: how many it has.
    :ivar address: where they are. :ivar memory: which memory they belong to.
    """

    command: int
    flags: int
    pages: int
    address: int
    memory: int

    @property
    def present(self) -> bool:
        """Whether the pages follow."""
        return self.command == ADD or (self.command == ADD_F and bool(self.flags & PRESENT))


def width(first: bytes) -> int:
    """
    Return the bytes of each header, given the first `NARROW` bytes of a connection.

    The first request opens the memory of something, which has an id; or it ends all, and then the rest of
    its header does not count.
    """
    [command] = struct.unpack_from("=I", first)
    return 24 if command in (CLOSE, FORCE_CLOSE) or struct.unpack_from("=Q", first, 16)[0] else 32


def encode(header: Header) -> bytes:
    """Return a header of the wide form."""
    command = header.command | header.flags << _COMMAND_BITS
    return _FORMATS[WIDE].pack(command, header.pages, header.address, header.memory)


def parse(data: bytes, words: Collection[int] = WORDS) -> Header:
    """
    Return the header in ``data``, all of it. :raises CannotMove: it is none.

    :param words: the commands that may come.
    """
    command, pages, address, memory = _FORMATS[len(data)].unpack(data)
    word, flags = command & (1 << _COMMAND_BITS) - 1, command >> _COMMAND_BITS
    if word not in words or pages > _MAX_PAGES:
        raise CannotMove("the other node sends something that is not the memory of a job")
    return Header(word, PRESENT if word == ADD else flags, pages, address, memory)


class RequestReader:
    """
    Finds the requests `OPEN2` in what criu sends, in whatever pieces it comes.

    :param page: bytes of a page.
    """

    def __init__(self, page: int) -> None:
        self._page = page
        self._width = 0
        self._head = b""
        self._skipped = 0

    def feed(self, data: memoryview) -> int:
        """Return how many begin in ``data``, the next bytes. :raises CannotMove: it is no memory."""
        found = at = 0
        while at < len(data):
            step = min(self._skipped, len(data) - at)
            at, self._skipped = at + step, self._skipped - step
            rest = data[at : at + (self._width or NARROW) - len(self._head)]
            self._head += rest
            at += len(rest)
            if not self._width and len(self._head) == NARROW:
                self._width = width(self._head)
            if self._width and len(self._head) == self._width:
                header, self._head = parse(self._head), b""
                found += header.command == OPEN2
                self._skipped = header.pages * self._page if header.present else 0
        return found


def process_memory(pid: int) -> int:
    """Return the id of the memory of a process."""
    return pid << 8 | _PROCESS


def is_process(memory: int) -> bool:
    """Return whether an id is that of the memory of a process."""
    return memory & 0xFF == _PROCESS


def pagemap_name(memory: int) -> str:
    """Return the name of the image that says where pages are. :raises CannotMove: no memory has this id."""
    kind, number = memory & 0xFF, memory >> 8
    if kind not in (_PROCESS, _SHARED) or number >= 1 << 32:
        raise CannotMove("the other node sends memory of an unknown kind")
    return f"pagemap-{'shmem-' if kind == _SHARED else ''}{number}.img"


def pages_name(number: int) -> str:
    """Return the name of the image that has the pages."""
    return f"pages-{number}.img"


def head(number: int) -> bytes:
    """Return how a pagemap image begins. :param number: of the image that has the pages."""
    return _MAGIC + _record(_field(1, number))


def entry(header: Header) -> bytes:
    """Return the record of a pagemap image for a piece of memory; every criu reads it."""
    return _record(_field(1, header.address) + _field(2, header.pages) + _field(4, header.flags))


def _record(message: bytes) -> bytes:
    return struct.pack("=I", len(message)) + message


def _field(number: int, value: int) -> bytes:
    """Return a field of a protobuf message, a whole number."""
    return bytes((number << 3,)) + _varint(value)


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)
