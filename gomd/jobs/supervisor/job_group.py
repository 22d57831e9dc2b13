"""
The cgroup of one job, as its supervisor makes and removes it.

A job is put into a cgroup of its own where the daemon may make one. With a memory controller the job can have
a limit, and the kernel counts the processes that it killed because of the limit. Standard library only:
supervisors use this.
"""

from __future__ import annotations

import os
import re
import time
from contextlib import suppress
from typing import Final

from gomd.jobs.supervisor.cgroups import MEMORY, PLAIN, UNIFIED, enter, read, write
from gomd.jobs.supervisor.fork_into import fork_into
from libgomd.wire.job_messages import SpawnSpec

#: Bytes beyond its limit that a frozen job may use, because criu adds memory to it.
FREEZE_ALLOWANCE: Final = 64 << 20
#: Seconds to wait until the last process of a job has left its cgroup.
_EMPTY_TIMEOUT: Final = 1.0
_OOM_KILLS: Final = re.compile(r"^oom_kill (\d+)$", re.MULTILINE)


class NoLimit(Exception):
    """A memory limit cannot be set; the text says why, as a clause."""


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

    def fork(self) -> tuple[int, bool]:
        """
        Fork as `os.fork` does; return its result, and whether the child is in the cgroup already.

        :raises OSError: no process can be made.
        """
        if self._kind != MEMORY:  # those of version 1 are entered at once
            with suppress(OSError):
                directory = os.open(self._directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
                try:
                    return fork_into(directory), True
                finally:
                    os.close(directory)
        return os.fork(), False

    def enter(self) -> None:
        """Put this process into the cgroup. :raises NoLimit: that failed, and the job has a limit."""
        for attempt in (1, 2, 3):
            try:
                enter(self._directory, self._kind)
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
        if self._kind == PLAIN:
            return ""
        name = "memory.events" if self._kind == UNIFIED else "memory.oom_control"
        found = _OOM_KILLS.search(read(self._directory, name))
        if found is None or found[1] == "0":
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
