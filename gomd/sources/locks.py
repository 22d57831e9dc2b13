"""The processes that are locked to this node by their owner or an admin: openMosix's `lock`."""

from __future__ import annotations

import threading
from collections.abc import Iterable

#: Identifies a process uniquely: its pid, and its start in clock ticks after boot.
Key = tuple[int, int]


class ProcessLocks:
    """
    The locked processes. A lock ends with its process or with the daemon.

    Any thread may use it, and it does not block.
    """

    def __init__(self) -> None:
        self._writing = threading.Lock()
        self._locked: frozenset[Key] = frozenset()

    def locked(self) -> frozenset[Key]:
        """Return the locked processes. It is the same object as long as nothing changes."""
        return self._locked

    def set(self, key: Key, lock: bool) -> None:
        """Lock or unlock one process."""
        with self._writing:
            self._locked = self._locked | {key} if lock else self._locked - {key}

    def drop(self, gone: Iterable[Key]) -> None:
        """Remove processes that have ended."""
        with self._writing:
            self._locked = self._locked.difference(gone)
