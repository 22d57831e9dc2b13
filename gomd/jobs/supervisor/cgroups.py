"""
Finds the place for the cgroups of jobs on this machine (`gomd.jobs.supervisor.job_group` makes them).

Two kinds of memory controllers are supported: that of the unified hierarchy (v2), and the older one of
version 1.

In the unified hierarchy a cgroup that passes its memory controller on must not contain processes itself.
So the daemon has to be in a cgroup beside those of its jobs. Under systemd, `Delegate=yes` and
`DelegateSubgroup=daemon` put it there (without the latter systemd could not start the daemon again while
jobs run). Elsewhere the daemon moves there by itself if it is alone in its cgroup.

This module uses only the standard library, because supervisors import it.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from typing import NamedTuple

#: Names of cgroups: the daemon's own; that of all jobs inside the daemon's cgroup; and that inside another.
DAEMON, JOBS, JOBS_BESIDE = "daemon", "jobs", "gomd-jobs"
#: The kinds: unified with memory, version 1's memory, and unified without.
UNIFIED, MEMORY, PLAIN = "unified", "memory", "plain"
#: Bytes of a file that are read: in all, and at a time.
_MAX_BYTES, _PIECE_BYTES = 1 << 20, 1 << 16


class Hierarchy(NamedTuple):
    """The mount point of a cgroup hierarchy, and the root of the mount: the part of it that is mounted."""

    mounted: str
    root: str

    def directory(self, path: str) -> str | None:
        """Return the directory of the cgroup ``path``; None when it is not visible here."""
        root = self.root.rstrip("/")
        if "/.." in path or not (path + "/").startswith(root + "/"):
            return None
        found = os.path.normpath(self.mounted + path[len(root) :])
        return found if os.path.exists(os.path.join(found, "cgroup.procs")) else None


class Place(NamedTuple):
    """
    Where the cgroups of jobs are.

    :ivar parent: the directory for them; empty when there can be none.
    :ivar kind: `UNIFIED`, `MEMORY` or `PLAIN`.
    :ivar why_not: why no memory limit can be set there, as a clause; empty when one can.
    """

    parent: str
    kind: str
    why_not: str


def find_place(proc: str = "/proc", managed: bool | None = None) -> Place:
    """
    Find and prepare the place for the cgroups of jobs, and return it. Blocks briefly.

    :param managed: whether systemd manages the machine's cgroups; None to find out.
    """
    managed = os.path.isdir("/run/systemd/system") if managed is None else managed
    unified, memory = parse_mounts(read(proc, "self/mountinfo"))
    own = parse_own(read(proc, "self/cgroup"))
    at = None if unified is None or "" not in own else unified.directory(own[""])
    why_not = "the kernel's memory controller is not there"
    if at is not None:
        place = _unified(at, managed)
        if not place.why_not:
            return place
        why_not = place.why_not
    older = None if memory is None or "memory" not in own else memory.directory(own["memory"])
    if older is not None:
        parent = os.path.join(older, JOBS_BESIDE)
        try:
            os.makedirs(parent, 0o755, exist_ok=True)
            return Place(parent, MEMORY, "")
        except OSError as error:
            why_not = f"{parent} cannot be made: {error.strerror}"
    if at is not None:
        parent = os.path.join(_base(at), JOBS if _base(at) != at else JOBS_BESIDE)
        with suppress(OSError):
            os.makedirs(parent, 0o755, exist_ok=True)
            return Place(parent, PLAIN, why_not)
    return Place("", PLAIN, why_not)


def _base(at: str) -> str:
    """Return the cgroup that the daemon was given: ``at``, or its parent if it is the `DAEMON` subgroup."""
    return os.path.dirname(at) if os.path.basename(at) == DAEMON else at


def _unified(at: str, managed: bool) -> Place:
    """Return the place in the unified hierarchy, for a daemon that is in the cgroup ``at``."""
    base = _base(at)
    if "memory" not in read(base, "cgroup.controllers").split():
        return Place("", UNIFIED, "the kernel's memory controller is not there, or not for gomd")
    is_root = not os.path.exists(os.path.join(base, "cgroup.type"))
    try:
        if "memory" not in read(base, "cgroup.subtree_control").split():
            if at == base and not is_root:
                if managed:
                    return Place("", UNIFIED, "its unit has no Delegate=yes with DelegateSubgroup=daemon")
                if read(base, "cgroup.procs").split() != [str(os.getpid())]:
                    return Place("", UNIFIED, f"other processes are in gomd's cgroup {base}")
                os.makedirs(os.path.join(base, DAEMON), 0o755, exist_ok=True)
                write(os.path.join(base, DAEMON), "cgroup.procs", "0")
            write(base, "cgroup.subtree_control", "+memory")
        parent = os.path.join(base, JOBS if not is_root else JOBS_BESIDE)
        os.makedirs(parent, 0o755, exist_ok=True)
        write(parent, "cgroup.subtree_control", "+memory")
    except OSError as error:
        return Place("", UNIFIED, f"the memory controller cannot be used in {base}: {error.strerror}")
    return Place(parent, UNIFIED, "")


def sweep(parent: str) -> int:
    """Remove the empty cgroups of ended jobs in ``parent``, and return how many there were. Blocks."""
    removed = 0
    with suppress(OSError):
        for entry in os.listdir(parent):
            with suppress(OSError):  # it is a file, or has processes in it
                os.rmdir(os.path.join(parent, entry))
                removed += 1
    return removed


def own_directory(kind: str, proc: str = "/proc") -> str | None:
    """
    Return the directory of this process's own cgroup; None when it cannot be seen. Blocks briefly.

    :param kind: of a `Place`, which says in which hierarchy.
    """
    at = kind == MEMORY
    hierarchy, own = parse_mounts(read(proc, "self/mountinfo"))[at], parse_own(read(proc, "self/cgroup"))
    path = own.get("memory" if at else "")
    return None if hierarchy is None or path is None else hierarchy.directory(path)


def parse_own(text: str) -> dict[str, str]:
    """Return the paths in /proc/PID/cgroup by controller; "" stands for the unified hierarchy."""
    found = {}
    for line in text.split("\n"):
        words = line.split(":", 2)
        if len(words) == 3:
            found.update(dict.fromkeys(words[1].split(","), words[2]))
    return found


def parse_mounts(text: str) -> tuple[Hierarchy | None, Hierarchy | None]:
    """Return the unified hierarchy and the version 1 memory hierarchy from /proc/PID/mountinfo."""
    unified = memory = None
    for line in text.split("\n"):
        words, _, rest = line.partition(" - ")
        before, after = words.split(" "), rest.split(" ")
        if len(before) < 5 or len(after) < 3:
            continue
        there = Hierarchy(_plain(before[4]), _plain(before[3]))
        if after[0] == "cgroup2":
            unified = unified or there
        elif after[0] == "cgroup" and "memory" in after[2].split(","):
            memory = memory or there
    return unified, memory


def _plain(text: str) -> str:
    """Return an unescaped path. The kernel writes spaces and the like as three octal digits."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), text)


def enter(directory: str, kind: str) -> None:
    """
    Put this process, which has one thread, into the cgroup ``directory``. Blocks.

    The kernel holds up every fork of the machine to move a whole process, which takes it about ten
    milliseconds; a thread that moves itself is moved at once. Only version 1 has such a file for any cgroup.

    :param kind: of the `Place` that it is in. :raises OSError: the kernel refuses.
    """
    write(directory, "tasks" if kind == MEMORY else "cgroup.procs", "0")


def read(directory: str, name: str) -> str:
    """Return the text of a file of a cgroup, or of /proc; empty when it cannot be read. Blocks briefly."""
    text = bytearray()
    try:
        descriptor = os.open(os.path.join(directory, name), os.O_RDONLY | os.O_CLOEXEC)
        try:
            while len(text) < _MAX_BYTES and (data := os.read(descriptor, _PIECE_BYTES)):
                text += data
        finally:
            os.close(descriptor)
    except OSError:
        return ""
    return text.decode("utf-8", "surrogateescape")


def write(directory: str, name: str, text: str) -> None:
    """Write a file of a cgroup. Blocks briefly. :raises OSError: the kernel refuses."""
    descriptor = os.open(os.path.join(directory, name), os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, text.encode("ascii"))
    finally:
        os.close(descriptor)
