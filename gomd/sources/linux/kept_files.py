"""
Keeps the stat files of processes open between scans: a read alone costs half of open, read and close.

An open file of /proc stays with its process. After the process has ended, every read of it fails, also when
another process has been given the same pid, so a kept file never shows the wrong process. Each takes a
descriptor and about 4 kB of the kernel's memory; both are bounded.
"""

from __future__ import annotations

import contextlib
import os
import resource
from collections.abc import Callable, Container
from typing import Final

from gomd.sources.files import ProcRoot

#: Maximum number of files that are kept open: 8 MB of the kernel's memory. The others are opened each time.
MAX_KEPT: Final = 2048
#: The share of this process's descriptors that they may take.
_SHARE: Final = 4


class KeptFiles:
    """
    Open files by pid. Scans, one at a time, and their threads use it; a thread that hangs may use it late.

    :param most: maximum number of files; 0 for none.
    :param close: closes a descriptor.
    :ivar descriptors: the open files. Whoever removes one from this dict closes it.
    """

    def __init__(self, most: int, close: Callable[[int], None] = os.close) -> None:
        self._most = most
        self._close = close
        self._place: object = None
        self.descriptors: dict[int, int] = {}

    def __del__(self) -> None:
        self.clear()

    def keep(self, pid: int, descriptor: int) -> None:
        """Keep the file of a process, or close it when there are too many, or one of that process already."""
        if len(self.descriptors) >= self._most or self.descriptors.setdefault(pid, descriptor) != descriptor:
            self._close(descriptor)

    def drop(self, pid: int) -> None:
        """Close the file of a process, if there is one."""
        descriptor = self.descriptors.pop(pid, None)
        if descriptor is not None:
            with contextlib.suppress(OSError):
                self._close(descriptor)

    def prune(self, alive: Container[int]) -> None:
        """Close the files of all processes but those."""
        for pid in [pid for pid in self.descriptors if pid not in alive]:
            self.drop(pid)

    def clear(self) -> None:
        """Close all files."""
        self.prune(())

    def at(self, place: object) -> None:
        """Close all files when ``place``, the file system they are in, is not that of the last call."""
        if place != self._place:
            self.clear()
            self._place = place


def kept_files_of(root: ProcRoot, is_root: bool) -> KeptFiles:
    """
    Return where the stat files of the processes below ``root`` are kept open.

    None are kept of a captured tree, whose files outlive their processes, nor for a daemon that does not run
    as root: with ``hidepid`` a process may be hidden from it later.
    """
    if not root.is_kernel or not is_root:
        return KeptFiles(0)
    soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return KeptFiles(MAX_KEPT if soft == resource.RLIM_INFINITY else min(MAX_KEPT, soft // _SHARE))
