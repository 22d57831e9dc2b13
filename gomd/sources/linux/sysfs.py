"""
Finds disks that are stacked on others, from /sys/block, so that each transfer is counted once.

A write to a file system on LVM on RAID 1 on two disks appears in /proc/diskstats for the dm device, the md
device and both disks. Sums over the disks of a node include only whole devices with nothing below them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Sequence
from typing import Final

#: Devices whose data pass through other disks of /proc/diskstats, or stay in memory, whatever /sys says:
#: md, device mapper, bcache, drbd, ZFS volumes, loop (a file's), ram and zram; and nvme0c1n1, one path of
#: nvme0n1 where a disk has several: the kernel counts at both.
_STACKED: Final = re.compile(r"(md|dm-|bcache|drbd|zd|loop|ram|zram)[0-9_d]|nvme[0-9]+c[0-9]+n[0-9]+")
#: Reads after which the answer is determined again even if the disks are the same: a minute by default.
_REFRESH_READS: Final = 60


def is_stacked_name(name: str) -> bool:
    """Return whether a disk with this name stores its data on other disks or in memory."""
    return _STACKED.match(name) is not None


class Stacking:
    """
    Finds the disks that sums leave out. Use it on one thread at a time.

    :param root: the tree of sysfs, ``/sys``. If it does not exist, only the names decide.
    """

    def __init__(self, root: str) -> None:
        self._root = root
        self._names: tuple[str, ...] = ()
        self._stacked: frozenset[str] = frozenset()
        self._left = 0

    def look(self, names: Sequence[str]) -> Collection[str]:
        """
        Return those of ``names``, disks of /proc/diskstats, that lie on other disks or are parts of one.

        Reads some directories, and so blocks, when the names have changed and once a minute.
        """
        if tuple(names) != self._names or self._left <= 0:
            self._names, self._left = tuple(names), _REFRESH_READS
            self._stacked = frozenset(name for name in names if is_stacked_name(name) or self._lies_on(name))
        self._left -= 1
        return self._stacked

    def _lies_on(self, name: str) -> bool:
        # What /proc/diskstats calls cciss/c0d0 is cciss!c0d0 in a directory.
        directory = os.path.join(self._root, "block", name.replace("/", "!"))
        try:
            return bool(os.listdir(os.path.join(directory, "slaves")))
        except OSError:
            pass
        if os.path.isdir(directory):
            return False
        # /sys/block has whole devices only; class/block has the parts as well.
        part = os.path.join(self._root, "class", "block", name.replace("/", "!"), "partition")
        return os.path.exists(part)
