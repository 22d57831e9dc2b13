"""
Lists the processes of a proc root, unless none can have been started since they were listed last.

To list 1,000 processes takes as long as reading 300 of them. The kernel counts the forks since boot, and a
scan reads that count anyway: while it stays the same there is no new process. Those that have ended are
noticed when they are read.
"""

from __future__ import annotations

import os
from typing import Final

from gomd.sources.files import ProcRoot
from libgomd.errors import RequestError, SourceUnavailable

#: Maximum number of calls that return one listing: a minute of scans at the default period.
_MOST_USES: Final = 12


class PidList:
    """
    The pids below ``root``. One thread at a time may use it.

    :param forks_tell: whether a process can only appear by a fork that the kernel counts. It is False for a
        captured tree, and for a daemon that is not root, to which the kernel may show more processes later.
    """

    def __init__(self, root: ProcRoot, forks_tell: bool) -> None:
        self._root = root
        self._forks_tell = forks_tell
        self._pids: list[int] = []
        self._place: tuple[int, int] | None = None
        #: The count of forks before the last listing, None if it must not be used again.
        self._forks: int | None = None
        self._uses = 0

    def read(self, forks: int | None) -> tuple[list[int], tuple[int, int]]:
        """
        Return all pids, in order, and a value that is another one when another file system is mounted there.
        Blocks.

        :param forks: the forks that the kernel had counted some time before this call, None if unknown.
        :raises SourceUnavailable: there is no /proc.
        """
        try:
            if self._forks is not None and forks == self._forks and self._uses < _MOST_USES:
                place = self._root.place()
                if place == self._place:
                    self._uses += 1
                    return self._pids, place
            names, place = self._root.listing()
        except RequestError as error:
            raise SourceUnavailable(str(error)) from error
        self._pids = sorted([int(name) for name in names if name.isdecimal()])
        self._place, self._uses = place, 1
        self._forks = forks if self._forks_tell and self._is_count(forks) else None
        return self._pids, place

    def forget(self) -> None:
        """List the processes again at the next call: one of them could not be read."""
        self._forks = None

    def _is_count(self, forks: int | None) -> bool:
        """Return whether ``forks`` counts the processes listed; sandboxes that imitate /proc have 0 there."""
        try:
            device = os.stat(self._root.under("stat")).st_dev
        except OSError:
            return False
        return forks is not None and forks >= len(self._pids) and device == (self._place or (None,))[0]
