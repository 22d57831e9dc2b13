"""Reads operations of disks, and the time they took, from /proc/diskstats."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Final

from gomd.sources.files import ProcRoot
from gomd.sources.linux.devices import parse_diskstats
from gomd.sources.linux.numbers import whole
from libgomd.errors import GomdError, SourceUnavailable
from libgomd.model import Measure
from libgomd.wire.text import printable_name

_FIELDS: Final = 14
#: Column of /proc/diskstats -> name, divisor, meaning.
_COLUMNS: Final = {
    3: ("disk_reads", 1.0, "reads completed"),
    6: ("disk_read_time_seconds", 1000.0, "time that reads waited and took, all together"),
    7: ("disk_writes", 1.0, "writes completed"),
    10: ("disk_write_time_seconds", 1000.0, "time that writes waited and took, all together"),
}


def read_disk_times(root: ProcRoot) -> Iterator[Measure]:
    """Read /proc/diskstats. Blocks. :raises SourceUnavailable: it is not understood."""
    try:
        text = root.read("diskstats").decode("utf-8", "surrogateescape")
    except GomdError:
        return  # a kernel before 2.6
    yield from parse_disk_times(text, {disk.name for disk in parse_diskstats(text)})


def parse_disk_times(text: str, disks: Collection[str]) -> Iterator[Measure]:
    """
    Yield the counters of ``disks``. An impossible number is left out.

    :param text: decoded with "surrogateescape". :raises SourceUnavailable: a line has no numbers.
    """
    try:
        for line in text.encode("utf-8", "surrogateescape").split(b"\n"):
            fields = line.split()
            if len(fields) < _FIELDS or (name := printable_name(fields[2])) not in disks:
                continue
            for column, (to, divisor, meaning) in _COLUMNS.items():
                value = whole(fields[column])
                if value is not None:
                    yield Measure(to, value / divisor, {"device": name}, "counter", meaning)
            waiting = whole(fields[11])
            if waiting is not None:
                yield Measure("disk_requests", float(waiting), {"device": name}, text="requests under way")
    except ValueError as error:
        raise SourceUnavailable(f"/proc/diskstats is not understood: {error}") from error
