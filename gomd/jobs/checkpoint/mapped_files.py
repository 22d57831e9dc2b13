"""Reads the files that a process has mapped, from its /proc/PID/maps. Blocks."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

_MAPPING: Final = re.compile(r"^([0-9a-f]+-[0-9a-f]+) (....) \S+ \S+ \d+ +(/.*|anon_inode:.*)$", re.MULTILINE)
_MAX_MAPS_BYTES: Final = 16 << 20


class Mapping(NamedTuple):
    """A file that is mapped. :ivar addresses: as in map_files. :ivar written: what is written goes to it."""

    path: str
    addresses: str
    written: bool


def parse_maps(text: str) -> list[Mapping]:
    """Return the files in ``text``, which is of /proc/PID/maps: each once, as it is written if it is."""
    found: dict[str, Mapping] = {}
    for addresses, permissions, path in _MAPPING.findall(text):
        written = permissions[1] == "w" and permissions[3] == "s"
        if path not in found or (written and not found[path].written):
            found[path] = Mapping(path.replace("\\012", "\n"), addresses, written)
    return list(found.values())


def read_mappings(here: str) -> list[Mapping]:
    """Return the files that a process has mapped. :raises OSError: it has ended, or may not be seen."""
    with open(f"{here}/maps", encoding="utf-8", errors="surrogateescape", newline="\n") as file:
        return parse_maps(file.read(_MAX_MAPS_BYTES))
