"""
Finds the pages of a process that belong to it alone, and reads them while it runs. Blocks.

These are the pages that criu would dump: of private mappings, present, and not those of a file as it is on
the disk. Nothing is brought in from the swap space, and nothing is touched that the process has not touched.
A page may change while it is read; whoever reads it must not rely on more than having read it.

Standard library only: supervisors use it.
"""

from __future__ import annotations

import ctypes
import os
import re
import resource
from collections.abc import Iterator
from contextlib import suppress
from typing import Final, NamedTuple

PAGE: Final = resource.getpagesize()
#: Bytes of an entry of /proc/PID/pagemap; its highest byte has these bits: the page is present; it is a
#: file's, or shared.
_ENTRY: Final = 8
_PRESENT, _OF_FILE = 0x80, 0x20
#: From the highest byte of each entry to whether the page is meant.
_MEANT: Final = bytes(1 if byte & _PRESENT and not byte & _OF_FILE else 0 for byte in range(256))
_RUN: Final = re.compile(rb"\x01+")
#: Pages whose entries are read at a time.
_ENTRIES: Final = 1 << 15
_MAX_MAPS_BYTES: Final = 64 << 20
_MAPPING: Final = re.compile(rb"^([0-9a-f]+)-([0-9a-f]+) [r-][w-][x-]p \S+ \S+ \S+ *(.*)$", re.MULTILINE)
#: What the kernel maps into every process, as /proc/PID/maps names it.
_OF_KERNEL: Final = re.compile(rb"\[v[a-z_]+\]")
_HUGE: Final = re.compile(rb"^HugetlbPages:\s+(\d+) kB$", re.MULTILINE)
_libc: Final = ctypes.CDLL(None, use_errno=True)


class Run(NamedTuple):
    """Pages that are one after the other. :ivar address: of the first. :ivar pages: how many."""

    address: int
    pages: int


class _Piece(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("size", ctypes.c_size_t))


_libc.process_vm_readv.restype = ctypes.c_ssize_t
_libc.process_vm_readv.argtypes = (
    ctypes.c_int, ctypes.c_void_p, ctypes.c_ulong, ctypes.c_void_p, ctypes.c_ulong, ctypes.c_ulong,
)  # fmt: skip


def present(pid: int, proc: str = "/proc") -> Iterator[Run]:
    """
    Yield the pages of a process, in the order of their addresses.

    None when it has ended, or this process may not look at them.
    """
    try:
        with open(f"{proc}/{pid}/maps", "rb") as file:
            maps = file.read(_MAX_MAPS_BYTES)
        entries = os.open(f"{proc}/{pid}/pagemap", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return
    try:
        for start, end in private_mappings(maps):
            with suppress(OSError):  # it has just ended
                yield from _of_mapping(entries, start, end)
    finally:
        os.close(entries)


def private_mappings(maps: bytes) -> Iterator[tuple[int, int]]:
    """Yield the first address of each private mapping in /proc/PID/maps, and the one behind its last."""
    for start, end, name in _MAPPING.findall(maps):
        if not _OF_KERNEL.match(name):
            yield int(start, 16), int(end, 16)


def meant(entries: bytes) -> Iterator[tuple[int, int]]:
    """Yield runs of pages that are meant: the first, and how many. :param entries: of /proc/PID/pagemap."""
    high = entries[_ENTRY - 1 :: _ENTRY] if _is_little() else entries[::_ENTRY]
    for found in _RUN.finditer(high.translate(_MEANT)):
        yield found.start(), found.end() - found.start()


def has_huge_pages(pid: int, proc: str = "/proc") -> bool:
    """
    Return whether a process has pages of hugetlbfs, or may have, as that cannot be told.

    criu does not look for those in an earlier dump.
    """
    try:
        with open(f"{proc}/{pid}/status", "rb") as file:
            found = _HUGE.search(file.read(65536))
    except OSError:
        return True
    return found is not None and int(found[1]) > 0


def read(pid: int, address: int, view: memoryview) -> int:
    """
    Read the memory of a process from ``address`` on into ``view``; return how many whole pages were read.

    They are fewer than there is room for when one is not there any more, or may not be read.
    """
    place = ctypes.addressof(ctypes.c_char.from_buffer(view))
    ours, theirs = _Piece(place, len(view)), _Piece(address, len(view))
    count = _libc.process_vm_readv(pid, ctypes.byref(ours), 1, ctypes.byref(theirs), 1, 0)
    return max(0, int(count)) // PAGE


def _of_mapping(entries: int, start: int, end: int) -> Iterator[Run]:
    """Yield the pages of one mapping. :raises OSError: the process has ended."""
    for address in range(start, end, _ENTRIES * PAGE):
        count = min(_ENTRIES, (end - address) // PAGE)
        data = os.pread(entries, count * _ENTRY, address // PAGE * _ENTRY)
        for first, pages in meant(data[: len(data) // _ENTRY * _ENTRY]):
            yield Run(address + first * PAGE, pages)


def _is_little() -> bool:
    return bytes(memoryview(ctypes.c_uint16(1)))[0] == 1
