"""/proc/diskstats and /proc/net/dev: what disks and network interfaces moved."""

from __future__ import annotations

import re
from typing import Final

from gomd.sources.files import ProcRoot
from gomd.sources.proc.kernelstat import parse_kernel_stat
from libgomd.errors import NotFound, SourceUnavailable
from libgomd.model import Disk, Interface

#: The kernel counts in sectors of 512 bytes, whatever the disk's own are.
_SECTOR: Final = 512
#: Fields of a whole disk; kernels before 2.6.25 have 7 for a partition.
_DISK_FIELDS: Final = 14
_INTERFACE_FIELDS: Final = 16
#: Of /proc/stat before 2.5: (major,disk):(requests,reads,sectors read,writes,sectors written)
_OLD_DISK: Final = re.compile(r"\((\d+),(\d+)\):\(\d+,\d+,(\d+),\d+,(\d+)\)")


def read_disks(root: ProcRoot) -> tuple[Disk, ...]:
    """
    Read /proc/diskstats, or on a kernel before 2.5 what /proc/stat has of it. Blocks.

    :raises SourceUnavailable: neither can be read.
    """
    try:
        text = root.read("diskstats").decode("utf-8", "replace")
    except NotFound:
        return parse_disk_io(parse_kernel_stat(root.sample_text("stat")).disk_io)
    return parse_diskstats(text)


def parse_diskstats(text: str) -> tuple[Disk, ...]:
    """
    Return the whole disks in ``text``, a /proc/diskstats: no partitions, no unused loop or ram disks.

    :raises SourceUnavailable: a line of it is cut short or not numbers.
    """
    disks: list[Disk] = []
    names: set[str] = set()
    try:
        for line in text.splitlines():
            fields = line.split()
            name = fields[2]
            if len(fields) >= _DISK_FIELDS and not _is_partition(name, names):
                names.add(name)
                read, written, busy = int(fields[5]), int(fields[9]), int(fields[12])
                if read or written or not name.startswith(("loop", "ram", "zram")):
                    disks.append(Disk(name, read * _SECTOR, written * _SECTOR, busy))
            elif len(fields) < 7:
                raise ValueError(f"{len(fields)} fields for {name}")
    except (ValueError, IndexError) as error:
        raise SourceUnavailable(f"/proc/diskstats is not understood: {error}") from error
    return tuple(disks)


def _is_partition(name: str, disks: set[str]) -> bool:
    """Whether it is named after a disk: sda1 of sda, nvme0n1p2 of nvme0n1. The disk comes first."""
    stem = name.rstrip("0123456789")
    if stem == name:
        return False
    return stem in disks or (stem.endswith("p") and stem[-2:-1].isdigit() and stem[:-1] in disks)


def parse_disk_io(text: str) -> tuple[Disk, ...]:
    """Return the disks of ``text``, the `disk_io:` of an old /proc/stat; named ``MAJOR:DISK``."""
    return tuple(
        Disk(f"{major}:{disk}", int(read) * _SECTOR, int(written) * _SECTOR)
        for major, disk, read, written in _OLD_DISK.findall(text)
    )


def read_network(root: ProcRoot) -> tuple[Interface, ...]:
    """
    Read /proc/net/dev; empty on a kernel without networking. Blocks.

    :raises SourceUnavailable: it cannot be read.
    """
    try:
        text = root.read("net/dev").decode("utf-8", "replace")
    except NotFound:
        root.sample_text("stat")  # no network is not the same as no /proc
        return ()
    return parse_net_dev(text)


def parse_net_dev(text: str) -> tuple[Interface, ...]:
    """
    Return the interfaces of ``text``, a /proc/net/dev.

    :raises SourceUnavailable: a line of it is cut short or not numbers.
    """
    interfaces: list[Interface] = []
    try:
        for line in text.splitlines()[2:]:
            # Old kernels put no space behind the colon, and an alias has a colon in its name.
            name, _, counters = line.rpartition(":")
            fields = counters.split()
            if len(fields) < _INTERFACE_FIELDS:
                raise ValueError(f"{len(fields)} fields for {name.strip()!r}")
            received, sent = fields[:3], fields[8:11]
            interfaces.append(Interface(name.strip(), *map(int, received), *map(int, sent)))
    except ValueError as error:
        raise SourceUnavailable(f"/proc/net/dev is not understood: {error}") from error
    return tuple(interfaces)
