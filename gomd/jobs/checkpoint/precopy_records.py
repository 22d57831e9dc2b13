"""
What the source of a move sends of a job's memory before the job is stopped, and after it. No I/O.

The records travel over the page server's connection, before criu's own requests and between them, and have
headers of the same form (`gomd.jobs.checkpoint.page_images`), the wide one. docs/migration-wire.md has them.
"""

from __future__ import annotations

import struct
from typing import Final

from gomd.jobs.checkpoint import page_images
from gomd.jobs.checkpoint.page_images import Header

#: The first record: so many pages may be sent ahead. It is answered by `ANSWER`, how many bytes the target
#: takes; 0: none.
OFFERED: Final = 0x2001
#: Another round begins: what is new from here on is kept apart from what came before.
ROUND: Final = 0x2002
#: New pages, which follow; new pages of zeros, which do not; pages that have changed since, which follow.
NEW: Final = 0x2003
ZEROS: Final = 0x2004
CHANGED: Final = 0x2005
#: No more comes before the job is stopped; answered by `page_images.COMPLETE` when all of it is kept.
DONE: Final = 0x2006
#: While the job is stopped, of the memory that was opened last: these pages are as they were sent ahead.
SAME: Final = 0x2007
#: Those that come up to `DONE`; those that come then; and all.
AHEAD: Final = frozenset((ROUND, NEW, ZEROS, CHANGED, DONE))
STOPPED: Final = frozenset((SAME, *page_images.WORDS))
WORDS: Final = frozenset((*AHEAD, *STOPPED, OFFERED))
ANSWER: Final = struct.Struct("=Q")
#: Rounds that one job may have at most; each has files of its own on the target.
MAX_ROUNDS: Final = 8
#: Ranges of pages that one process may have on the source; a more scattered one is sent in part only.
MAX_RANGES: Final = 1 << 19


def encode(command: int, pages: int = 0, address: int = 0, memory: int = 0, flags: int = 0) -> bytes:
    """Return the header of a record, or of a request of criu's."""
    return page_images.encode(Header(command, flags, pages, address, memory))


def is_offer(first: bytes) -> bool:
    """Return whether a connection begins with `OFFERED`. :param first: four bytes of it, or more."""
    return struct.unpack_from("=I", first) == (OFFERED,)


def parse(data: bytes) -> Header:
    """Return the header in ``data``, all of it. :raises CannotMove: it is none."""
    return page_images.parse(data, WORDS)


def process(pid: int) -> int:
    """Return the name of a process's memory, as criu has it. :param pid: as criu sees it."""
    return page_images.process_memory(pid)
