"""Many processes that do nothing, for as long as they are needed."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def sleepers(count: int) -> Iterator[None]:
    """Start processes that sleep, and end each of them by its id."""
    pids: list[int] = []
    try:
        for _ in range(count):
            pids.append(os.posix_spawnp("sleep", ["sleep", "600"], os.environ))
        time.sleep(1.0)  # the last ones fall asleep
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        for pid in pids:
            os.waitpid(pid, 0)
