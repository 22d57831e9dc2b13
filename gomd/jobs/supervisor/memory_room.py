"""
How much memory this process may still use: of the machine's, and of that of its cgroups. Blocks briefly.

Standard library only: supervisors use it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

from gomd.jobs.supervisor.cgroups import MEMORY, UNIFIED, own_directory

#: The share of the machine's memory that stays free, and bytes of it at least.
RESERVED_SHARE: Final = 16
LEAST_RESERVED: Final = 128 << 20
_MEMINFO: Final = re.compile(r"^(\w+):\s+(\d+) kB$", re.MULTILINE)
_CACHE: Final = re.compile(r"^(?:total_)?inactive_file (\d+)$", re.MULTILINE)
#: The files of a cgroup: its limit, and what is used.
_FILES: Final = {
    UNIFIED: ("memory.max", "memory.current"),
    MEMORY: ("memory.limit_in_bytes", "memory.usage_in_bytes"),
}


def available(proc: str = "/proc") -> int:
    """Return how many bytes may be used here so that a reserve is left, 0 or more."""
    return max(0, min((_of_machine(proc), *_of_groups(proc))))


def _of_machine(proc: str) -> int:
    found = {name: int(size) << 10 for name, size in _MEMINFO.findall(_read(f"{proc}/meminfo"))}
    reserved = max(LEAST_RESERVED, found.get("MemTotal", 0) // RESERVED_SHARE)
    return found.get("MemAvailable", 0) - reserved


def _of_groups(proc: str) -> Iterator[int]:
    """Yield what is left in each cgroup around this process that has a limit."""
    for kind, (most, used) in _FILES.items():
        directory = own_directory(kind, proc)
        while directory is not None and os.path.exists(os.path.join(directory, "cgroup.procs")):
            with suppress(ValueError):  # "max", or there are no such files
                limit, now = (int(_read(os.path.join(directory, name))) for name in (most, used))
                cache = _CACHE.search(_read(os.path.join(directory, "memory.stat")))
                yield limit - now + (int(cache[1]) if cache else 0) - LEAST_RESERVED
            directory = os.path.dirname(directory)


def _read(path: str) -> str:
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.read(1 << 16)
    except OSError:
        return ""
