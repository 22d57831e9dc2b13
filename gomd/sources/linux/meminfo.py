"""Reads memory in bytes from /proc/meminfo, and pages moved since boot from /proc/vmstat."""

from __future__ import annotations

from typing import Final

from gomd.sources.files import ProcRoot
from gomd.sources.linux.kernelstat import parse_kernel_stat
from gomd.sources.linux.numbers import MAX_MEMORY, whole, within
from libgomd.errors import NotFound, SourceUnavailable
from libgomd.model import Memory, Paging

_KILOBYTE: Final = 1024
_MEMORY: Final = frozenset(
    {"MemTotal", "MemFree", "MemAvailable", "Buffers", "Cached", "SwapTotal", "SwapFree"}
)
_PAGING: Final = frozenset({"pswpin", "pswpout", "pgfault", "pgmajfault"})


def read_memory(root: ProcRoot) -> Memory:
    """Read /proc/meminfo. Blocks. :raises SourceUnavailable: it is missing or half-written."""
    return parse_meminfo(root.sample_text("meminfo"))


def parse_meminfo(text: str) -> Memory:
    """
    Return the memory sizes in ``text``, a /proc/meminfo.

    A kernel before 3.14 has no MemAvailable. The memory that a new process could get is then the sum of
    free memory, buffers and page cache, as openMosix counted.

    An impossible size is None: a total of 0, more free than the total, more than `MAX_MEMORY`. If more is
    available than the total (in containers), free memory is used instead.

    :raises SourceUnavailable: ``text`` lacks the total or the free memory, or is not understood.
    """
    sizes: dict[str, int | None] = {}
    try:
        for line in text.split("\n"):
            name, _, rest = line.partition(":")
            if name in _MEMORY:
                kilobytes = whole(rest.split()[0], MAX_MEMORY // _KILOBYTE)
                sizes[name] = None if kilobytes is None else kilobytes * _KILOBYTE
        free, total = sizes["MemFree"], within(sizes["MemTotal"], 1, MAX_MEMORY)
    except (ValueError, IndexError, KeyError) as error:
        raise SourceUnavailable(f"/proc/meminfo is not understood: {error}") from error
    most = MAX_MEMORY if total is None else total
    free = within(free, 0, most)
    if "MemAvailable" in sizes:
        available = within(sizes["MemAvailable"], 0, most)
        if available is None:
            available = free
    elif free is None:
        available = None
    else:
        available = min(most, free + (sizes.get("Buffers") or 0) + (sizes.get("Cached") or 0))
    swap_total = sizes.get("SwapTotal")
    swap_free = within(sizes.get("SwapFree"), 0, MAX_MEMORY if swap_total is None else swap_total)
    return Memory(available, free, total, swap_total, swap_free)


def read_paging(root: ProcRoot) -> Paging:
    """
    Read the page counters from /proc/vmstat, or from /proc/stat on a kernel before 2.5. Blocks.

    :raises SourceUnavailable: neither file can be read.
    """
    try:
        text = root.read("vmstat").decode("ascii", "replace")
    except NotFound:
        swapped = parse_kernel_stat(root.sample_text("stat")).swapped
        return Paging(*swapped) if swapped else Paging()
    return parse_vmstat(text)


def parse_vmstat(text: str) -> Paging:
    """
    Return the page counters in ``text``, a /proc/vmstat. An impossible counter is None.

    :raises SourceUnavailable: a line of it is not a name and a number.
    """
    counts: dict[str, int | None] = {}
    try:
        for line in text.split("\n"):
            name, _, count = line.partition(" ")
            if name in _PAGING:
                counts[name] = whole(count.strip())
    except ValueError as error:
        raise SourceUnavailable(f"/proc/vmstat is not understood: {error}") from error
    get = counts.get
    return Paging(get("pswpin"), get("pswpout"), get("pgfault"), get("pgmajfault"))
