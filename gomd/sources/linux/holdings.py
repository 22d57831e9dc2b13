"""Reads what a process holds beside memory: swap, descriptors, its control group, memory of GPUs."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final

from gomd.sources.files import ProcRoot
from gomd.sources.linux.containers import read_group
from gomd.sources.linux.numbers import MAX_MEMORY, whole
from libgomd.errors import NotAllowed
from libgomd.model import Holdings

_MAX_STATUS_BYTES: Final = 16384


def read_holdings(root: ProcRoot, pid: int, uid: int, on_gpus: Mapping[int, int]) -> Holdings:
    """
    Return what process ``pid`` of user ``uid`` holds. Blocks.

    The descriptors are None when the kernel does not show them to the user, because the process has dropped
    privileges: its own user sees what `ps` answers, too.

    :param on_gpus: bytes of memory of GPUs, by process id.
    :raises OSError: it has ended, or its id is that of another user's process now.
    """
    if os.lstat(root.under(str(pid))).st_uid != uid:
        raise ProcessLookupError(f"process {pid} is another one now")
    swap = parse_swap(root.peek_data(f"{pid}/status", _MAX_STATUS_BYTES))
    group = None
    try:
        group = read_group(root, pid)
    except (FileNotFoundError, NotAllowed):  # a kernel without control groups, or a forged tree
        pass
    return Holdings(
        swap=swap,
        descriptors=_count_descriptors(root, pid, uid),
        cgroup=None if group is None else group.path,
        container=(group.container or None) if group is not None else None,
        gpu_memory=on_gpus.get(pid),
    )


def parse_swap(status: bytes) -> int | None:
    """Return the bytes in swap space in ``status``, a /proc/PID/status; None for a kernel thread."""
    _, found, tail = status.partition(b"\nVmSwap:")
    words = tail.split(b"\n", 1)[0].split()
    if not found or len(words) != 2 or words[1] != b"kB":
        return None
    try:
        kilobytes = whole(words[0], MAX_MEMORY // 1024)
    except ValueError:
        return None
    return None if kilobytes is None else kilobytes * 1024


def _count_descriptors(root: ProcRoot, pid: int, uid: int) -> int | None:
    path = root.under(f"{pid}/fd")
    try:
        if os.lstat(path).st_uid != uid:
            return None
        if root.is_kernel and (size := os.stat(path).st_size):  # Linux 6.2 and newer count them
            return size
        with os.scandir(path) as entries:
            return sum(1 for _ in entries)
    except OSError:
        return None
