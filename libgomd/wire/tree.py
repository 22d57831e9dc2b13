"""
The paths of the tree: openMosix's own, and those of the kernel's files that may be read.

A path is checked once, here. A path that is not in these tables does not exist for a caller, whatever the
real /proc contains.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final

from libgomd.errors import MalformedRequest, NotAllowed

#: Maximum length of a path, in characters.
MAX_PATH: Final = 256

NODE_VALUES: Final = ("cpus", "load", "mem", "rmem", "speed", "status", "tmem", "util")
#: Highest speed in the tree, because openMosix's programs use 16 bits for it.
MAX_TREE_SPEED: Final = 65535
ADMIN_FILES: Final = (
    "block", "bring", "expel", "lstay", "mospe", "quiet", "speed", "sspeed", "stay", "version",
)  # fmt: skip
CLUSTER_FILES: Final = ("cantmove", "goto", "lock", "migrate", "nmigs", "where")
REMOTE_FILES: Final = ("from", "identity", "stats")
PROCESS_FILES: Final = (
    "cgroup", "cmdline", "comm", "io", "limits", "schedstat", "stat", "statm", "status",
)  # fmt: skip
KERNEL_FILES: Final = (
    "cpuinfo", "diskstats", "loadavg", "meminfo", "mounts", "net/dev", "net/sockstat", "partitions",
    "pressure/cpu", "pressure/io", "pressure/memory", "stat", "swaps", "uptime", "version", "vmstat",
)  # fmt: skip
_KERNEL_DIRECTORIES = frozenset(name.split("/")[0] for name in KERNEL_FILES if "/" in name)


class Kind(enum.Enum):
    """The kind of object that a path names."""

    DIRECTORY = "a directory of the tree"
    NODE_VALUE = "/proc/hpc/nodes/ID/NAME: a value of a node"
    ADMIN = "/proc/hpc/admin/NAME: a setting of this node"
    REMOTE = "/proc/hpc/remote/PID/NAME: a guest"
    CLUSTER = "/proc/PID/NAME: a file that openMosix adds to a process"
    PROCESS = "/proc/PID/NAME: the kernel's own file of a process"
    KERNEL = "/proc/NAME: the kernel's own file"


@dataclass(frozen=True, slots=True)
class TreePath:
    """
    A valid path of the tree.

    :ivar parts: the names after ``/proc``, none of them empty, ``.`` or ``..``.
    :ivar kind: the kind of object. :ivar number: the node id or pid in the path, None without one.
    """

    parts: tuple[str, ...]
    kind: Kind
    number: int | None = None

    def __str__(self) -> str:
        return "/".join(("/proc", *self.parts))

    @property
    def name(self) -> str:
        """The last name of the path, e.g. ``load``; empty for ``/proc`` itself."""
        return self.parts[-1] if self.parts else ""

    @classmethod
    def parse(cls, text: str) -> TreePath:
        """
        Return the path that ``text`` names.

        :raises MalformedRequest: it is not an absolute path, contains a NUL, or is too long.
        :raises NotAllowed: it is outside the tree.
        """
        if "\0" in text:
            raise MalformedRequest("a path has no NUL in it")
        if not text.startswith("/"):
            raise MalformedRequest("a path begins with /proc, for example /proc/loadavg")
        if len(text) > MAX_PATH:
            raise MalformedRequest(f"a path has at most {MAX_PATH} characters")
        root, *parts = [part for part in text.split("/") if part] or [""]
        if root != "proc" or "." in parts or ".." in parts:
            raise NotAllowed(
                f"{text} is outside the tree: only files below /proc, without `..`; try `ls /proc`"
            )
        found = _classify(tuple(parts))
        if found is None:
            raise NotAllowed(f"{text} is not among the files gomd shows: `ls` on its directory lists them")
        return cls(tuple(parts), *found)


def tree_value(name: str, value: int | None) -> int | None:
    """
    Return ``value`` as the tree shows it under ``name``, one of `NODE_VALUES`: speeds are cut to 16 bits.
    """
    return min(value, MAX_TREE_SPEED) if name == "speed" and value is not None else value


def _classify(parts: tuple[str, ...]) -> tuple[Kind, int | None] | None:
    if not parts:
        return Kind.DIRECTORY, None
    if parts[0] == "hpc":
        return _classify_hpc(parts[1:])
    number = _number(parts[0])
    if number is not None:
        return _leaf(parts[1:], number, {Kind.CLUSTER: CLUSTER_FILES, Kind.PROCESS: PROCESS_FILES})
    if "/".join(parts) in KERNEL_FILES:
        return Kind.KERNEL, None
    if len(parts) == 1 and parts[0] in _KERNEL_DIRECTORIES:
        return Kind.DIRECTORY, None
    return None


def _classify_hpc(parts: tuple[str, ...]) -> tuple[Kind, int | None] | None:
    if not parts or parts in (("admin",), ("nodes",), ("remote",)):
        return Kind.DIRECTORY, None
    if parts[0] == "admin":
        return _leaf(parts[1:], None, {Kind.ADMIN: ADMIN_FILES})
    number = _number(parts[1]) if len(parts) > 1 else None
    if number is None:
        return None
    if parts[0] == "nodes":
        return _leaf(parts[2:], number, {Kind.NODE_VALUE: NODE_VALUES})
    if parts[0] == "remote":
        return _leaf(parts[2:], number, {Kind.REMOTE: REMOTE_FILES})
    return None


def _leaf(
    names: tuple[str, ...], number: int | None, known: dict[Kind, tuple[str, ...]]
) -> tuple[Kind, int | None] | None:
    if not names:
        return Kind.DIRECTORY, number
    if len(names) == 1:
        for kind, files in known.items():
            if names[0] in files:
                return kind, number
    return None


def _number(text: str) -> int | None:
    """Return a node id or pid as /proc writes it: digits, no sign, no leading zero."""
    if text.isascii() and text.isdigit() and len(text) <= 10 and text[0] != "0":
        return int(text)
    return None
