"""
The memory limit of the daemon's control group, which also applies to the jobs that it starts.

Limits of all ancestors count, with versions 1 and 2 of the interface, also where the daemon sees its own
group as the root (in a cgroup namespace or with a container's bind mount). Processor limits are ignored:
load and usage are those of the whole machine, so they must not be related to a part of it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Final, NamedTuple

from gomd.sources.files import ProcRoot, unescaped
from gomd.sources.kept_reads import KeptReads
from gomd.sources.linux.numbers import MAX_MEMORY, whole
from libgomd.errors import GomdError
from libgomd.model import Memory

#: Maximum size of a file of a group, in bytes. A memory.stat has about 2 KiB.
_MAX_FILE_BYTES: Final = 65536
#: Maximum depth of nested groups.
_MAX_DEPTH: Final = 64
#: Reads after which the daemon's group is searched for again, since it can be moved.
_REFRESH_READS: Final = 60


class _Files(NamedTuple):
    """The file names of one version of the interface: limit, usage, and the cache within the usage."""

    limit: str
    usage: str
    cache: bytes


_V2: Final = _Files("memory.max", "memory.current", b"inactive_file ")
_V1: Final = _Files("memory.limit_in_bytes", "memory.usage_in_bytes", b"total_inactive_file ")


class MemoryGroup:
    """
    The memory controller's groups of this daemon, innermost first.

    :param root: the tree of /proc. :param sys_root: the tree of sysfs; what is mounted on /sys/fs/cgroup
        is read below it.
    """

    def __init__(self, root: ProcRoot, sys_root: str) -> None:
        self._root = root
        self._sys_root = sys_root.rstrip("/")
        self._groups: list[tuple[str, _Files]] = []
        self._kept = KeptReads(_open, 2 * _MAX_DEPTH)
        self._left = 0

    def within(self, memory: Memory) -> Memory:
        """
        Return the machine's ``memory``, reduced to the limits of the daemon's groups. Blocks.

        The total is the lowest limit. Free memory is what the tightest group has not used. The memory that
        a new process could get also includes the group's cache of inactive files (inactive_file).
        """
        if self._left <= 0:
            found = self._find()
            self._groups = [(place, files) for place, files in found if self._read(place, files.limit)]
            self._left = _REFRESH_READS
        self._left -= 1
        mem, rmem, tmem = memory.mem, memory.rmem, memory.tmem
        for directory, files in self._groups:
            limit = self._number(directory, files.limit)
            if limit is None or (memory.tmem is not None and limit >= memory.tmem):
                continue
            tmem = _least(tmem, limit)
            usage = self._number(directory, files.usage)
            if usage is None:
                mem, rmem = _least(mem, limit), _least(rmem, limit)
                continue
            free = max(0, limit - usage)
            mem = _least(mem, min(limit, free + self._cache(directory, files)))
            rmem = _least(rmem, free)
        if (mem, rmem, tmem) == (memory.mem, memory.rmem, memory.tmem):
            return memory
        return Memory(mem, rmem, tmem, memory.swap_total, memory.swap_free)

    def _read(self, directory: str, name: str) -> bytes:
        try:
            return self._kept.read(f"{directory}/{name}", _MAX_FILE_BYTES)
        except OSError:
            return b""

    def _number(self, directory: str, name: str) -> int | None:
        """Return the number of bytes in a file of a group; None if it is missing or means no limit."""
        try:
            return whole(self._read(directory, name).strip(), MAX_MEMORY)
        except ValueError:
            return None

    def _cache(self, directory: str, files: _Files) -> int:
        for line in self._read(directory, "memory.stat").split(b"\n"):
            if line.startswith(files.cache):
                try:
                    return whole(line[len(files.cache) :].strip(), MAX_MEMORY) or 0
                except ValueError:
                    return 0
        return 0

    def _find(self) -> Iterator[tuple[str, _Files]]:
        try:
            own, mounts = self._root.read("self/cgroup"), self._root.read("self/mountinfo")
        except GomdError:  # a kernel without groups, or a captured tree
            return
        for version, path in parse_own_groups(own):
            for mounted, point in parse_group_mounts(mounts, version):
                inner = os.path.join(self._place(point), _below(path, mounted))
                yield from _up(inner, self._place(point), _V2 if version == 2 else _V1)
                break  # the same groups can be mounted in several places

    def _place(self, point: str) -> str:
        """Return the directory of a mount point. One below /sys is looked up below ``sys_root``."""
        return self._sys_root + point.removeprefix("/sys") if point.startswith("/sys/") else point


def parse_own_groups(data: bytes) -> list[tuple[int, str]]:
    """Return version and path of each group in ``data``, a /proc/PID/cgroup, that may control memory."""
    found = []
    for line in data.split(b"\n"):
        number, _, rest = line.partition(b":")
        controllers, colon, path = rest.partition(b":")
        if colon and (b"memory" in controllers.split(b",") or (number == b"0" and not controllers)):
            found.append((1 if controllers else 2, os.fsdecode(path)))
    return found


def parse_group_mounts(data: bytes, version: int) -> list[tuple[str, str]]:
    """Return the group path and mount point of each mount of groups in ``data``, a /proc/PID/mountinfo."""
    found = []
    for line in data.split(b"\n"):
        before, _, after = line.partition(b" - ")
        fields, kind = before.split(b" "), after.split(b" ")
        if len(fields) < 6 or len(kind) < 3:
            continue
        of_memory = kind[0] == b"cgroup" and b"memory" in kind[2].split(b",")
        if (kind[0] == b"cgroup2") if version == 2 else of_memory:
            found.append((os.fsdecode(unescaped(fields[3])), os.fsdecode(unescaped(fields[4]))))
    return found


def _below(path: str, mounted: str) -> str:
    """
    Return ``path`` relative to the group path that is ``mounted``.

    In a container, the container's own group is mounted, and ``path`` is the machine's or "/". A path that
    begins with ".." lies outside of the visible groups; the mounted group is then the nearest one.
    """
    if mounted != "/" and (path + "/").startswith(mounted + "/"):
        path = path[len(mounted) :]
    elif mounted != "/" and path != "/":
        return ""
    parts = [part for part in path.split("/") if part]
    return "" if ".." in parts else "/".join(parts)


def _up(inner: str, point: str, files: _Files) -> Iterator[tuple[str, _Files]]:
    """Yield a group and its ancestors, as far as they are visible."""
    directory = inner.rstrip("/")
    for _ in range(_MAX_DEPTH):
        yield directory, files
        if directory == point or not directory.startswith(point + "/"):
            return
        directory = os.path.dirname(directory)


def _open(path: str) -> int:
    return os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)


def _least(known: int | None, other: int) -> int:
    return other if known is None else min(known, other)
