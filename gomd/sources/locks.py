"""Which processes an administrator or their owner has locked to this node; openMosix's `lock`."""

from __future__ import annotations

import threading
from collections.abc import Iterable

#: A process for ever: its pid, and when it started in clock ticks after boot.
Key = tuple[int, int]


class ProcessLocks:
    """
    The locked processes, in memory: a lock ends with its process or with the daemon.

    Any thread may use it; nothing in it blocks.
    """

    def __init__(self) -> None:
        self._writing = threading.Lock()
        self._held: frozenset[Key] = frozenset()

    def held(self) -> frozenset[Key]:
        """Return the locked processes: the same object as long as nothing changes."""
        return self._held

    def set(self, key: Key, lock: bool) -> None:
        """Lock or unlock one process."""
        with self._writing:
            self._held = self._held | {key} if lock else self._held - {key}

    def drop(self, gone: Iterable[Key]) -> None:
        """Forget processes that have ended."""
        with self._writing:
            self._held = self._held.difference(gone)
