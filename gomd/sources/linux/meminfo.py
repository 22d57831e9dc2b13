"""/proc/meminfo and /proc/vmstat: memory in bytes, pages moved since boot."""

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
    Return the memory that ``text``, a /proc/meminfo, tells of.

    A kernel before 3.14 has no MemAvailable; there, as openMosix counted, free memory, buffers and
    the page cache are what a new process could get.

    A size that cannot be is None: no memory at all, more free than there is, more than `MAX_MEMORY`. Where
    more is available than there is (containers), free memory takes its place.

    :raises SourceUnavailable: it does not say how much there is and how much is free.
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
    Read /proc/vmstat, or on a kernel before 2.5 what /proc/stat has of it. Blocks.

    :raises SourceUnavailable: neither can be read.
    """
    try:
        text = root.read("vmstat").decode("ascii", "replace")
    except NotFound:
        swapped = parse_kernel_stat(root.sample_text("stat")).swapped
        return Paging(*swapped) if swapped else Paging()
    return parse_vmstat(text)


def parse_vmstat(text: str) -> Paging:
    """
    Return the page counters of ``text``, a /proc/vmstat; None for one that cannot be.

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
