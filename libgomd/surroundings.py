"""
What a program that this process starts would inherit: its directory, umask, nice value and resource limits.

Standard library only. Blocks briefly.
"""

from __future__ import annotations

import os
import resource
from typing import Final

from libgomd.errors import MalformedRequest

#: The resource limits that come along, by their names in `resource` without ``RLIMIT_``.
LIMITS: Final = (
    "CPU", "FSIZE", "DATA", "STACK", "CORE", "RSS", "NPROC", "NOFILE", "MEMLOCK", "AS", "SIGPENDING",
    "MSGQUEUE", "NICE", "RTPRIO", "RTTIME",
)  # fmt: skip


def own_directory() -> str:
    """
    Return the directory this process is in, by the name its user came into it where that still leads there.

    :raises MalformedRequest: it has been removed.
    """
    shown = os.environ.get("PWD", "")
    try:
        real = os.getcwd()
    except FileNotFoundError as error:
        raise MalformedRequest("the directory you are in has been removed: cd to another one") from error
    try:
        return shown if os.path.isabs(shown) and os.path.samefile(shown, real) else real
    except OSError:
        return real


def own_umask() -> int:
    """Return the umask of this process, without changing it where the kernel tells."""
    try:
        with open("/proc/self/status", "rb") as file:
            for line in file:
                if line.startswith(b"Umask:"):
                    return int(line.split()[1], 8)
    except (OSError, ValueError, IndexError):
        pass
    mask = os.umask(0o77)
    os.umask(mask)
    return mask


def own_nice() -> int:
    """Return the nice value of this process."""
    return os.getpriority(os.PRIO_PROCESS, 0)


def own_limits() -> dict[str, tuple[int, int]]:
    """Return the resource limits of this process; -1 for none."""
    found = {}
    for name in LIMITS:
        number = getattr(resource, f"RLIMIT_{name}", None)
        if number is not None:
            soft, hard = resource.getrlimit(number)
            found[name] = (max(soft, -1), max(hard, -1))  # one beyond 63 bits is negative, too
    return found
