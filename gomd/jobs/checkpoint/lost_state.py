"""
Looks once more, when a job is stopped, for what its copy would lack without a word.

The inspection before the freeze has looked for all of it, but the job ran on since then, for minutes if its
memory was sent ahead. Standard library only: supervisors use it.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from contextlib import suppress

from gomd.jobs.checkpoint import shared_state, socket_contents
from gomd.jobs.checkpoint.kernel_objects import form_that_stays
from gomd.jobs.checkpoint.process_status import parse_fdinfo

_MAX_FILE_BYTES = 65536


def reason_to_stay(pids: Collection[int], proc: str = "/proc") -> str:
    """
    Return why the stopped processes ``pids`` would lose something, empty when they do not. Blocks.

    The caller is a process with one thread that has changed no semaphore.
    """
    found = (
        shared_state.reasons_to_stay(pids, os.getpid(), proc),
        socket_contents.reasons_to_stay(pids, proc),
        _forms(pids, proc),
    )
    return next((why for each in found for why in each), "")


def _forms(pids: Collection[int], proc: str) -> Iterator[str]:
    """Yield why event counters keep the processes; criu itself refuses pipes of packets."""
    for pid in pids:
        with suppress(FileNotFoundError, ProcessLookupError):
            for name in os.listdir(f"{proc}/{pid}/fd"):
                if os.readlink(f"{proc}/{pid}/fd/{name}") == "anon_inode:[eventfd]":
                    with open(f"{proc}/{pid}/fdinfo/{name}", encoding="ascii", errors="replace") as file:
                        info = parse_fdinfo(file.read(_MAX_FILE_BYTES))
                    if why := form_that_stays("anon_inode:[eventfd]", info.semaphore, info.direct):
                        yield why
