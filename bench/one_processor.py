"""Keeps a client and a server on one processor, so that a round trip costs the same each time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def on_one_processor(*pids: int) -> Iterator[None]:
    """
    Let this thread and all threads of ``pids`` run on one processor only.

    Otherwise the kernel decides anew in each run which pairs share a processor. Waking a process on another
    one takes longer than answering a short request, so a ratio of two round trips would mostly show that.
    """
    allowed = os.sched_getaffinity(0)
    one = {max(allowed)}
    threads = [int(thread.name) for pid in pids for thread in Path(f"/proc/{pid}/task").iterdir()]
    _bind(threads, one)
    try:
        yield
    finally:
        _bind(threads, allowed)


def _bind(threads: list[int], processors: set[int]) -> None:
    for thread in (0, *threads):
        try:
            os.sched_setaffinity(thread, processors)
        except ProcessLookupError:
            continue  # this thread has ended meanwhile
