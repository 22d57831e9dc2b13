"""Reads the transfer counters of disks and network interfaces: /proc/diskstats and /proc/net/dev."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

from gomd.sources.files import ProcRoot
from gomd.sources.linux.kernelstat import parse_kernel_stat
from gomd.sources.linux.numbers import MAX_COUNT, whole
from gomd.sources.linux.sysfs import Stacking, is_stacked_name
from libgomd.errors import NotFound, SourceUnavailable
from libgomd.model import Disk, Interface
from libgomd.wire.text import printable_name

#: The kernel counts in sectors of 512 bytes, whatever the disk's own are.
_SECTOR: Final = 512
#: Fields of a whole disk; kernels before 2.6.25 have 7 for a partition.
_DISK_FIELDS: Final = 14
_INTERFACE_FIELDS: Final = 16
#: Majors of ram, loop and md.
_OLD_STACKED: Final = frozenset({"1", "7", "9"})
#: Of /proc/stat before 2.5: (major,disk):(requests,reads,sectors read,writes,sectors written)
_OLD_DISK: Final = re.compile(r"\(([0-9]+),([0-9]+)\):\([0-9]+,[0-9]+,([0-9]+),[0-9]+,([0-9]+)\)")


def read_disks(root: ProcRoot, stacking: Stacking | None = None) -> tuple[Disk, ...]:
    """
    Read the disks from /proc/diskstats, or from /proc/stat on a kernel before 2.5. Blocks.

    :param stacking: tells which disks lie on others; without it, only their names tell.
    :raises SourceUnavailable: neither file can be read.
    """
    try:
        text = root.read("diskstats").decode("utf-8", "surrogateescape")
    except NotFound:
        return parse_disk_io(parse_kernel_stat(root.sample_text("stat")).disk_io)
    disks = parse_diskstats(text)
    if stacking is None:
        return disks
    stacked = stacking.look([disk.name for disk in disks])
    return tuple(
        disk if disk.stacked or disk.name not in stacked else replace(disk, stacked=True) for disk in disks
    )


def parse_diskstats(text: str) -> tuple[Disk, ...]:
    """
    Return the whole disks in ``text``, a /proc/diskstats: no partitions, no unused loop or ram disks.

    Only a disk's name decides here whether it is stacked; `gomd.sources.linux.sysfs` knows more.

    :param text: decoded with "surrogateescape", which keeps bytes of names that are not UTF-8.
    :raises SourceUnavailable: a line of it is cut short or not numbers.
    """
    disks: list[Disk] = []
    names: set[str] = set()
    try:
        # Bytes are split at ASCII white space only; str.split() knows more separators.
        for line in _lines(text.encode("utf-8", "surrogateescape")):
            fields = line.split()
            name = printable_name(fields[2])
            if len(fields) >= _DISK_FIELDS and not _is_partition(name, names):
                names.add(name)
                read, written, busy = _bytes(fields[5]), _bytes(fields[9]), whole(fields[12])
                if read != 0 or written != 0 or not name.startswith(("loop", "ram", "zram")):
                    disks.append(Disk(name, read, written, busy, is_stacked_name(name)))
            elif len(fields) < 7:
                raise ValueError(f"{len(fields)} fields for {name}")
    except (ValueError, IndexError) as error:
        raise SourceUnavailable(f"/proc/diskstats is not understood: {error}") from error
    return tuple(disks)


def _bytes(sectors: bytes | str) -> int | None:
    count = whole(sectors, MAX_COUNT // _SECTOR)
    return None if count is None else count * _SECTOR


def _lines(data: bytes) -> list[bytes]:
    """Split at LF only, as the kernel does: a name may hold other characters that end a line in Python."""
    return data.removesuffix(b"\n").split(b"\n") if data else []


def _is_partition(name: str, disks: set[str]) -> bool:
    """Return whether a disk listed before has this name's stem: sda1 of sda, nvme0n1p2 of nvme0n1."""
    stem = name.rstrip("0123456789")
    if stem == name:
        return False
    return stem in disks or (stem.endswith("p") and stem[-2:-1].isdigit() and stem[:-1] in disks)


def parse_disk_io(text: str) -> tuple[Disk, ...]:
    """Return the disks in ``text``, the `disk_io:` of an old /proc/stat. Their names are ``MAJOR:DISK``."""
    return tuple(
        Disk(f"{major}:{disk}", _bytes(read), _bytes(written), stacked=major in _OLD_STACKED)
        for major, disk, read, written in _OLD_DISK.findall(text)
    )


def read_network(root: ProcRoot) -> tuple[Interface, ...]:
    """
    Read /proc/net/dev; empty on a kernel without networking. Blocks.

    :raises SourceUnavailable: it cannot be read.
    """
    try:
        text = root.read("net/dev").decode("utf-8", "surrogateescape")
    except NotFound:
        root.sample_text("stat")  # no network is not the same as no /proc
        return ()
    return parse_net_dev(text)


def parse_net_dev(text: str) -> tuple[Interface, ...]:
    """
    Return the interfaces in ``text``, a /proc/net/dev.

    :param text: decoded with "surrogateescape", which keeps bytes of names that are not UTF-8.
    :raises SourceUnavailable: a line of it is cut short or not numbers.
    """
    interfaces: list[Interface] = []
    try:
        for line in _lines(text.encode("utf-8", "surrogateescape"))[2:]:
            # Old kernels put no space behind the colon, and an alias has a colon in its name.
            before, _, counters = line.rpartition(b":")
            name = printable_name(before.strip(b" "))
            fields = counters.split()
            if len(fields) < _INTERFACE_FIELDS:
                raise ValueError(f"{len(fields)} fields for {name!r}")
            received, sent = fields[:3], fields[8:11]
            interfaces.append(Interface(name, *map(whole, received), *map(whole, sent)))
    except ValueError as error:
        raise SourceUnavailable(f"/proc/net/dev is not understood: {error}") from error
    return tuple(interfaces)
