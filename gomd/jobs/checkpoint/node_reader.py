"""Reads which of a process's requirements this node meets. Blocks."""

from __future__ import annotations

import os
import pwd
import re
import resource
from contextlib import suppress
from typing import Final

from gomd.jobs.checkpoint.content import MAX_WHOLE_BYTES, Budget
from gomd.jobs.checkpoint.file_counterparts import describe_here
from gomd.jobs.checkpoint.file_facts import FileReader
from gomd.jobs.checkpoint.free_ports import MAX_PORTS, not_free
from gomd.jobs.checkpoint.mounts import read_mounts
from gomd.jobs.checkpoint.probes import Rights, find_probes
from gomd.jobs.checkpoint.requirements import (
    MAX_FILES,
    UNLIMITED,
    Capabilities,
    FileRequirement,
    Requirements,
    parse_flags,
)

_SYS_RESOURCE: Final = 24
#: The limits of a process that criu sets again, as /proc/PID/limits names them.
LIMITS: Final = {
    "cpu time": resource.RLIMIT_CPU, "file size": resource.RLIMIT_FSIZE, "data size": resource.RLIMIT_DATA,
    "stack size": resource.RLIMIT_STACK, "core file size": resource.RLIMIT_CORE,
    "processes": resource.RLIMIT_NPROC, "open files": resource.RLIMIT_NOFILE,
    "locked memory": resource.RLIMIT_MEMLOCK, "address space": resource.RLIMIT_AS,
    "msgqueue size": resource.RLIMIT_MSGQUEUE,
}  # fmt: skip
#: Seconds in which files of this node are read whole, as another node has told.
_WHOLE_SECONDS: Final = 20.0


def read_offer(needs: Requirements, user: str, room: str, criu: str, proc: str = "/proc") -> Capabilities:
    """
    Read which of ``needs`` this node has. Blocks.

    :param user: the name of the user with that uid here. :param room: the directory for images.
    :param criu: the result of `Criu.check`.
    """
    reader, mounts = FileReader(Budget(MAX_WHOLE_BYTES, _WHOLE_SECONDS)), read_mounts(f"{proc}/self")
    gids = _groups_of(user)
    rights = None if gids is None else Rights(needs.uid, gids[0], gids)
    users = rights if needs.uid else None
    files: dict[str, FileRequirement] = {}
    for file in needs.files[:MAX_FILES]:
        if file.path not in files and (there := describe_here(file, reader, mounts, users)) is not None:
            files[file.path] = there
    with open(f"{proc}/meminfo", encoding="ascii") as stream:
        numbers = dict(re.findall(r"^(\w+):\s+(\d+)", stream.read(), re.MULTILINE))
    space = os.statvfs(room)
    system = os.uname()
    return Capabilities(
        int(numbers["MemAvailable"]) << 10, space.f_bavail * space.f_frsize, system.machine, system.release,
        user, read_flags(proc),
        tuple(path for path in needs.directories[:MAX_FILES] if os.path.isdir(path)),
        tuple(files.values()), criu, boot=boot_id(), probes=tuple(find_probes(needs.probes, rights)),
        gids=gids,
        limits=tuple(sorted(_most_allowed().items())),
        not_free=tuple(not_free(needs.ports[:MAX_PORTS], needs.uid)),
        huge=int(numbers.get("HugePages_Free", 0)) * (int(numbers.get("Hugepagesize", 0)) << 10),
    )  # fmt: skip


def read_flags(proc: str = "/proc") -> tuple[str, ...]:
    """Return those flags of the processor that programs use, sorted."""
    with open(f"{proc}/cpuinfo", encoding="utf-8", errors="replace") as file:
        return parse_flags(file.read(1 << 20))


def boot_id() -> str:
    """Return a name of this run of this kernel, the same in its containers; empty when there is none."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read(64).strip()
    except OSError:
        return ""


def _groups_of(user: str) -> tuple[int, ...] | None:
    """Return the groups of a user of this node, the main one first; None when there is no such user."""
    try:
        known = pwd.getpwnam(user)
        return tuple(dict.fromkeys((known.pw_gid, *os.getgrouplist(user, known.pw_gid))))
    except (KeyError, OSError, ValueError):
        return None


def _most_allowed() -> dict[str, int]:
    """Return the hard limits beyond which this process cannot give another one more."""
    with open("/proc/self/status", encoding="ascii", errors="replace") as file:
        capabilities = re.search(r"^CapEff:\s*([0-9a-f]+)", file.read(), re.MULTILINE)
    found = {}
    if capabilities is None or not int(capabilities[1], 16) >> _SYS_RESOURCE & 1:
        for name, number in LIMITS.items():
            hard = resource.getrlimit(number)[1]
            found[name] = UNLIMITED if hard == resource.RLIM_INFINITY else hard
    with suppress(OSError, ValueError), open("/proc/sys/fs/nr_open", encoding="ascii") as file:
        most = int(file.read())
        found["open files"] = min(found.get("open files", most), most)
    return found
