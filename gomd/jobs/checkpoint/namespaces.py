"""The namespaces of a process, as /proc/PID/ns shows them."""

from __future__ import annotations

import os
from typing import Final

#: The kinds that a process of a job has in common with its supervisor, as errors name them. Its own time
#: namespace is what criu gives a copy, so that its clocks go on.
KINDS: Final = {
    "cgroup": "cgroup", "ipc": "IPC", "mnt": "mount", "net": "network", "pid": "PID", "user": "user",
    "uts": "UTS",
}  # fmt: skip


def read_namespaces(here: str) -> dict[str, str]:
    """
    Return the namespaces of a process by kind, without those kinds that this kernel does not have.

    :param here: the directory of the process in /proc. :raises OSError: it has ended, or may not be seen.
    """
    found = {}
    for kind in KINDS:
        try:
            found[kind] = os.readlink(f"{here}/ns/{kind}")
        except FileNotFoundError:
            continue
    return found
