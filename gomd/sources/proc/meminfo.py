"""/proc/meminfo and /proc/vmstat: memory in bytes, pages moved since boot."""

from __future__ import annotations

from typing import Final

from gomd.sources.files import ProcRoot
from gomd.sources.proc.kernelstat import parse_kernel_stat
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

    :raises SourceUnavailable: it does not say how much there is and how much is free.
    """
    sizes: dict[str, int] = {}
    try:
        for line in text.splitlines():
            name, _, rest = line.partition(":")
            if name in _MEMORY:
                sizes[name] = int(rest.split()[0]) * _KILOBYTE
        free = sizes["MemFree"]
        total = sizes["MemTotal"]
    except (ValueError, IndexError, KeyError) as error:
        raise SourceUnavailable(f"/proc/meminfo is not understood: {error}") from error
    available = sizes.get("MemAvailable")
    if available is None:
        available = min(total, free + sizes.get("Buffers", 0) + sizes.get("Cached", 0))
    return Memory(available, free, total, sizes.get("SwapTotal"), sizes.get("SwapFree"))


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
    Return the page counters of ``text``, a /proc/vmstat.

    :raises SourceUnavailable: a line of it is not a name and a number.
    """
    counts: dict[str, int] = {}
    try:
        for line in text.splitlines():
            name, _, count = line.partition(" ")
            if name in _PAGING:
                counts[name] = int(count)
    except ValueError as error:
        raise SourceUnavailable(f"/proc/vmstat is not understood: {error}") from error
    get = counts.get
    return Paging(get("pswpin"), get("pswpout"), get("pgfault"), get("pgmajfault"))
