"""
The values of a sample as named numbers, for stores that keep a value as a row. No I/O.

The names are those of the flat log's columns. What has no number, or is not known, is not among them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from libgomd.model import Disk, Interface, Measure, Node, Sample

#: What a heartbeat says of another node.
NODE_FIELDS: Final = ("load", "speed", "cpus", "util", "mem", "rmem", "tmem")

_LOADS: Final = ("load1", "load5", "load15")
_PAGING: Final = ("swapped_in", "swapped_out", "faults", "major_faults")
_DISK: Final = ("read_bytes", "written_bytes", "busy_ms")
_NETWORK: Final = (
    "received_bytes", "received_packets", "received_errors", "sent_bytes", "sent_packets", "sent_errors",
)  # fmt: skip
_PRESSURE: Final = ("cpu_some", "io_some", "io_full", "memory_some", "memory_full")

#: Every name that a sample may have; file systems and the like add their own.
KNOWN_FIELDS: Final = (
    *NODE_FIELDS, "runnable", *_LOADS, "busy_percent", "iowait_percent", "swap_total", "swap_free", *_PAGING,
    *(f"disk_{name}" for name in _DISK), *(f"net_{name}" for name in _NETWORK), *_PRESSURE,
)  # fmt: skip

Numbers = Iterator[tuple[str, Any]]


def _own(node: Node, sample: Sample) -> Numbers:
    for name in NODE_FIELDS:
        yield name, getattr(node, name)


def _load(node: Node, sample: Sample) -> Numbers:
    if sample.load is not None:
        yield "runnable", sample.load.runnable
        yield from zip(_LOADS, sample.load.averages or (), strict=False)


def _cpu(node: Node, sample: Sample) -> Numbers:
    if sample.cpu is not None:
        yield "busy_percent", sample.cpu.busy_percent
        yield "iowait_percent", sample.cpu.iowait_percent


def _memory(node: Node, sample: Sample) -> Numbers:
    if sample.memory is not None:
        yield "swap_total", sample.memory.swap_total
        yield "swap_free", sample.memory.swap_free


def _paging(node: Node, sample: Sample) -> Numbers:
    if sample.paging is not None:
        for name in _PAGING:
            yield name, getattr(sample.paging, name)


def _disks(node: Node, sample: Sample) -> Numbers:
    if sample.disks is not None:
        whole = [disk for disk in sample.disks if not disk.stacked]
        for name in _DISK:
            yield f"disk_{name}", _sum(whole, name)


def _network(node: Node, sample: Sample) -> Numbers:
    if sample.network is not None:
        outside = [interface for interface in sample.network if interface.name != "lo"]
        for name in _NETWORK:
            yield f"net_{name}", _sum(outside, name)


def _pressure(node: Node, sample: Sample) -> Numbers:
    if sample.pressure is not None:
        for name in _PRESSURE:
            yield name, getattr(sample.pressure, name)


_PARTS: Final[tuple[Callable[[Node, Sample], Numbers], ...]] = (
    _own, _load, _cpu, _memory, _paging, _disks, _network, _pressure,
)  # fmt: skip


def named_numbers(node: Node, sample: Sample) -> dict[str, float]:
    """Return every number of ``sample`` that is known, by its name; percentages have two decimals."""
    found: dict[str, float] = {}
    for part in _PARTS:
        for name, value in part(node, sample):
            if value is not None:
                found[name] = round(value, 2)
    return found


def field_of(measure: Measure) -> str:
    """Return the name of a measure as a field; fields are separated by commas in requests."""
    return measure.key.replace("\\", "\\x5c").replace(",", "\\x2c").replace(" ", "\\x20")


def _sum(parts: Iterable[Disk | Interface], name: str) -> int | None:
    known = [value for part in parts if (value := getattr(part, name)) is not None]
    return sum(known) if known else None
