"""Parses /proc/PID/status, fdinfo, limits and syscall of a process. No I/O."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Final

_OCTAL: Final = re.compile("[0-7]+")
_FILES_IN_TRANSIT: Final = re.compile(r"^scm_fds:\s*0*[1-9]", re.MULTILINE)
_WATCHED: Final = re.compile(r"^(inotify|fanotify) .*\bino:([0-9a-f]+) sdev:([0-9a-f]+)", re.MULTILINE)
#: Bits of `flags` in fdinfo, as the kernel has them on every architecture.
_ACCESS_MODE: Final = 3
_PATH_ONLY: Final = 0o10000000


@dataclass(frozen=True, slots=True)
class ProcessStatus:
    """
    What /proc/PID/status tells. :ivar state: a letter. :ivar tracer: its tracer's id, 0 when it has none.

    :ivar uids: all four user ids; ``gids`` all four group ids; ``groups`` its further ones.
    :ivar capabilities: those it may use. :ivar no_new_privileges: whether it can gain none by an exec.
    :ivar seccomp: 0 when no system call is filtered, 1 in strict mode, 2 with filters.
    :ivar threads: how many it has.
    """

    state: str
    tracer: int
    uids: frozenset[int]
    gids: frozenset[int]
    groups: frozenset[int]
    capabilities: int
    no_new_privileges: bool
    seccomp: int
    threads: int


def parse_status(text: str) -> ProcessStatus:
    """Return the values in ``text``. :raises ValueError: it is incomplete: the process has just ended."""
    values = dict(line.split(":", 1) for line in text.split("\n") if ":" in line)

    def numbers(name: str, base: int = 10) -> list[int]:
        return [int(word, base) for word in values.get(name, "").split()]

    state = values.get("State", "").strip()[:1]
    if not state or not numbers("Uid"):
        raise ValueError("no status of a process")
    capabilities = 0
    for name in ("CapPrm", "CapEff", "CapAmb"):
        capabilities |= (numbers(name, 16) or [0])[0]
    return ProcessStatus(
        state, (numbers("TracerPid") or [0])[0], frozenset(numbers("Uid")), frozenset(numbers("Gid")),
        frozenset(numbers("Groups")), capabilities, bool((numbers("NoNewPrivs") or [0])[0]),
        (numbers("Seccomp") or [0])[0], (numbers("Threads") or [1])[0],
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class DescriptorInfo:
    """
    What /proc/PID/fdinfo/N tells of an open file.

    :ivar position: in bytes. :ivar written: it is open for writing. :ivar path_only: opened with O_PATH.
    :ivar locked: there is a lock or a lease on it. :ivar in_transit: it is a socket with files underway.
    :ivar watched: inode and device of each file that it watches.
    :ivar semaphore: it is an event counter of which each read takes one (EFD_SEMAPHORE).
    :ivar direct: opened with O_DIRECT, which for a pipe means that it passes packets.
    """

    position: int
    written: bool
    path_only: bool
    locked: bool
    in_transit: bool
    watched: tuple[tuple[int, int], ...]
    semaphore: bool = False
    direct: bool = False


def parse_fdinfo(text: str) -> DescriptorInfo:
    """Return the values in ``text``; those that are missing have their defaults."""
    values = dict(line.split(":", 1) for line in text.split("\n") if ":" in line)
    flags, position = values.get("flags", "").strip(), values.get("pos", "").strip()
    bits = int(flags, 8) if _OCTAL.fullmatch(flags) else 0
    return DescriptorInfo(
        int(position) if position.isdigit() else 0,
        bits & _ACCESS_MODE != 0 and not bits & _PATH_ONLY,
        bool(bits & _PATH_ONLY),
        text.startswith("lock:") or "\nlock:" in text,
        bool(_FILES_IN_TRANSIT.search(text)),
        tuple((int(found[2], 16), int(found[3], 16)) for found in _WATCHED.finditer(text)),
        values.get("eventfd-semaphore", "0").strip() not in ("0", ""),
        bool(bits & os.O_DIRECT),
    )


def parse_limits(text: str) -> dict[str, int]:
    """Return the hard limits in ``text``, which is of /proc/PID/limits, by their names there."""
    found = {}
    for line in text.split("\n")[1:]:
        words = re.split(r"  +", line.strip())
        if len(words) >= 3:
            hard = words[2]
            if hard == "unlimited" or hard.isdigit():
                found[words[0].removeprefix("Max ")] = (1 << 62) - 1 if hard == "unlimited" else int(hard)
    return found
