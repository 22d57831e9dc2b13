"""
Finds the place for the cgroups of jobs on this machine, and makes the cgroup of a job.

A job is put into a cgroup of its own where the daemon may make one. With a memory controller the job can have
a limit, and the kernel counts the processes that it killed because of the limit. Two kinds of controllers are
supported: that of the unified hierarchy (v2), and the older one of version 1.

In the unified hierarchy a cgroup that passes its memory controller on must not contain processes itself.
So the daemon has to be in a cgroup beside those of its jobs. Under systemd, `Delegate=yes` and
`DelegateSubgroup=daemon` put it there (without the latter systemd could not start the daemon again while
jobs run). Elsewhere the daemon moves there by itself if it is alone in its cgroup.

This module uses only the standard library, because supervisors import it.
"""

from __future__ import annotations

import os
import re
import time
from contextlib import suppress
from typing import Final, NamedTuple

from libgomd.wire.job_messages import SpawnSpec

#: Names of cgroups: the daemon's own; that of all jobs inside the daemon's cgroup; and that inside another.
DAEMON, JOBS, JOBS_BESIDE = "daemon", "jobs", "gomd-jobs"
#: The kinds: unified with memory, version 1's memory, and unified without.
UNIFIED, MEMORY, PLAIN = "unified", "memory", "plain"
#: Bytes beyond its limit that a frozen job may use, because criu adds memory to it.
FREEZE_ALLOWANCE: Final = 64 << 20
#: Seconds to wait until the last process of a job has left its cgroup.
_EMPTY_TIMEOUT = 1.0
_OOM_KILLS = re.compile(r"^oom_kill (\d+)$", re.MULTILINE)


class NoLimit(Exception):
    """A memory limit cannot be set; the text says why, as a clause."""


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


class JobGroup:
    """
    The cgroup of one job, as its supervisor uses it.

    :param place: `Place.parent` and `Place.kind`. :param name: the name of the job.
    :param most: bytes of memory that the job may use; None for no limit.
    """

    def __init__(self, place: tuple[str, str], name: str, most: int | None) -> None:
        parent, self._kind = place
        self._most = most
        # Two daemons may have a job of the same name, and the copy made by a migration has that name too.
        self._directory = os.path.join(parent, f"{name}.{os.urandom(4).hex()}")

    def make(self) -> None:
        """Make the cgroup. Blocks briefly. :raises NoLimit: it cannot be made, or its limit cannot be set."""
        try:
            os.makedirs(self._directory, 0o755, exist_ok=True)
            self.limit()
        except OSError as error:
            raise NoLimit(f"its cgroup {self._directory} cannot be made: {error.strerror}") from error

    def limit(self, more: int = 0) -> None:
        """Limit memory and swap together, to ``more`` bytes above the limit. :raises OSError: refused."""
        if self._most is None:
            return
        most = str(self._most + more)
        if self._kind == UNIFIED:
            write(self._directory, "memory.max", most)
            with suppress(OSError):  # a kernel without swap
                write(self._directory, "memory.swap.max", "0")
            return
        both = "memory.memsw.limit_in_bytes"  # the kernel never lets it be below the other one
        for name in (both, "memory.limit_in_bytes", both):
            try:
                write(self._directory, name, most)
            except OSError:
                if name != both:
                    raise

    def enter(self) -> None:
        """Put this process into the cgroup. :raises NoLimit: that failed, and the job has a limit."""
        for attempt in (1, 2, 3):
            try:
                write(self._directory, "cgroup.procs", "0")
            except FileNotFoundError:
                if attempt < 3:  # the daemon removes empty cgroups
                    with suppress(NoLimit):
                        self.make()
                    continue
                self._stay_out("it is gone")
            except OSError as error:
                self._stay_out(str(error.strerror))
            return

    def _stay_out(self, why: str) -> None:
        if self._most is not None:
            raise NoLimit(f"it cannot be put into its cgroup {self._directory}: {why}")

    def out_of_memory(self) -> str:
        """Return a clause about processes that the kernel killed for lack of memory; empty for none."""
        name = "memory.events" if self._kind == UNIFIED else "memory.oom_control"
        found = _OOM_KILLS.search(_read(self._directory, name))
        if self._kind == PLAIN or found is None or found[1] == "0":
            return ""
        which = "a process of it was" if found[1] == "1" else f"{found[1]} processes of it were"
        limit = "" if self._most is None else f" beyond its --mem-max of {self._most} bytes"
        return f"out of memory{limit}: {which} killed by the kernel"

    def remove(self) -> None:
        """Remove the cgroup once it is empty. Blocks up to a second; then it is left to the daemon."""
        end = time.monotonic() + _EMPTY_TIMEOUT
        while True:
            try:
                os.rmdir(self._directory)
                return
            except FileNotFoundError:
                return
            except OSError:
                if time.monotonic() >= end:
                    return
                time.sleep(0.005)


def group_of(spec: SpawnSpec) -> JobGroup | None:
    """
    Make and return the cgroup of the job in ``spec``; None when it can have none. Blocks briefly.

    :raises NoLimit: the job must have a limit, but none can be set.
    """
    place, most = spec.cgroup, spec.memory_max
    if place is None or not place[0]:
        if most is not None:
            raise NoLimit("there are no cgroups for jobs")
        return None
    group = JobGroup(place, spec.id, most)
    try:
        group.make()
    except NoLimit:
        if most is not None:
            raise
        return None
    return group


def find_place(proc: str = "/proc", managed: bool | None = None) -> Place:
    """
    Find and prepare the place for the cgroups of jobs, and return it. Blocks briefly.

    :param managed: whether systemd manages the machine's cgroups; None to find out.
    """
    managed = os.path.isdir("/run/systemd/system") if managed is None else managed
    unified, memory = parse_mounts(_read(proc, "self/mountinfo"))
    own = parse_own(_read(proc, "self/cgroup"))
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
    if "memory" not in _read(base, "cgroup.controllers").split():
        return Place("", UNIFIED, "the kernel's memory controller is not there, or not for gomd")
    is_root = not os.path.exists(os.path.join(base, "cgroup.type"))
    try:
        if "memory" not in _read(base, "cgroup.subtree_control").split():
            if at == base and not is_root:
                if managed:
                    return Place("", UNIFIED, "its unit has no Delegate=yes with DelegateSubgroup=daemon")
                if _read(base, "cgroup.procs").split() != [str(os.getpid())]:
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
    hierarchy, own = parse_mounts(_read(proc, "self/mountinfo"))[at], parse_own(_read(proc, "self/cgroup"))
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


def _read(directory: str, name: str) -> str:
    try:
        with open(os.path.join(directory, name), encoding="utf-8", errors="surrogateescape") as file:
            return file.read(1 << 20)
    except OSError:
        return ""


def write(directory: str, name: str, text: str) -> None:
    """Write a file of a cgroup. Blocks briefly. :raises OSError: the kernel refuses."""
    descriptor = os.open(os.path.join(directory, name), os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, text.encode("ascii"))
    finally:
        os.close(descriptor)
