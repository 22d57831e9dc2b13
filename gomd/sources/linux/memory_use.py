"""Reads what memory is used for from /proc/meminfo, and how often memory ran out from /proc/vmstat."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from gomd.sources.files import ProcRoot
from gomd.sources.linux.numbers import MAX_MEMORY, whole
from libgomd.errors import NotFound, SourceUnavailable
from libgomd.model import Measure

_KILOBYTE: Final = 1024
#: Line of /proc/meminfo -> the label ``use`` and what it means.
USES: Final = {
    "AnonPages": "anonymous", "Cached": "file", "Buffers": "buffers", "Shmem": "shared", "Slab": "slab",
    "SReclaimable": "slab_reclaimable", "Dirty": "dirty", "Writeback": "writeback",
    "PageTables": "page_tables", "KernelStack": "kernel_stack", "Mlocked": "locked",
    "Committed_AS": "committed",
}  # fmt: skip
_KEPT: Final = frozenset({"anonymous", "file", "shared", "slab", "dirty"})


def read_memory_use(root: ProcRoot) -> Iterator[Measure]:
    """Read /proc/meminfo and /proc/vmstat. Blocks. :raises SourceUnavailable: one is not understood."""
    yield from parse_memory_use(root.sample_text("meminfo"))
    try:
        text = root.read("vmstat").decode("ascii", "replace")
    except NotFound:
        return  # a kernel before 2.5
    yield from parse_oom_kills(text)


def parse_memory_use(text: str) -> Iterator[Measure]:
    """Yield the sizes in ``text``. :raises SourceUnavailable: a line is cut, or no number."""
    try:
        for line in text.split("\n"):
            name, _, rest = line.partition(":")
            if (use := USES.get(name)) is not None:
                kilobytes = whole(rest.split()[0], MAX_MEMORY // _KILOBYTE)
                if kilobytes is not None:
                    yield Measure(
                        "memory_use_bytes", float(kilobytes * _KILOBYTE), {"use": use},
                        text="memory by what it is used for", kept=use in _KEPT,
                    )  # fmt: skip
    except (ValueError, IndexError) as error:
        raise SourceUnavailable(f"/proc/meminfo is not understood: {error}") from error


def parse_oom_kills(text: str) -> Iterator[Measure]:
    """Yield how many processes the kernel killed for want of memory; kernels before 4.13 do not tell."""
    for line in text.split("\n"):
        name, _, count = line.partition(" ")
        if name == "oom_kill":
            try:
                kills = whole(count.strip())
            except ValueError as error:
                raise SourceUnavailable(f"/proc/vmstat is not understood: {error}") from error
            if kills is not None:
                yield Measure(
                    "oom_kills",
                    float(kills),
                    {},
                    "counter",
                    "processes killed because memory ran out",
                    kept=True,
                )
