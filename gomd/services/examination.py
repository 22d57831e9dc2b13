"""
Looks for what is wrong on this node, for the verb `doctor`. Everything here blocks; call it on a thread.

It only reads, and it starts nothing: what criu says is known to the migrator.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from gomd.jobs.supervisor.cgroups import parse_mounts, parse_own
from libgomd.errors import ConfigError
from libgomd.installation import installation
from libgomd.model import Finding, FindingState

GOOD, WARN, BAD = FindingState
#: Free bytes of a disk below which jobs fail soon, and those below which nothing more is kept.
LOW_DISK: Final = 1 << 30
EMPTY_DISK: Final = 64 << 20
#: The share of the memory that has to be available.
LOW_MEMORY: Final = 0.05
#: Open files below which a busy daemon runs out of them.
FEW_FILES: Final = 4096
#: Namespaces that jobs and criu need.
NAMESPACES: Final = ("mnt", "pid", "net", "ipc", "uts", "time")
#: File systems that are in memory: images of a job would be there twice.
_IN_MEMORY: Final = ("tmpfs", "ramfs")


def examine(
    checks: Mapping[str, Callable[[], object]],
    directories: Mapping[str, str],
    *,
    shows_paths: bool,
    proc: str = "/proc",
) -> Sequence[Finding]:
    """
    Return everything that was found, what is right included. Blocks.

    :param checks: by subject, what raises ConfigError with sentences that say what is wrong and what to do.
    :param directories: by subject, directories that need room; the first is that of images of jobs.
    :param shows_paths: whether the caller may know where the daemon keeps its files.
    """
    found: list[Finding] = []
    for subject, check in checks.items():
        found += _checked(subject, check, shows_paths)
    found += open_to_others(directories.get("state", ""), shows_paths)
    for subject, path in directories.items():
        found.append(disk(subject, path, shows_paths))
    found += spool_in_memory(_read(f"{proc}/self/mountinfo"), directories.get("spool", ""), shows_paths)
    found += memory(_read(f"{proc}/meminfo"))
    found.append(namespaces(proc))
    found.append(memory_controller(proc))
    found.append(open_files(resource.getrlimit(resource.RLIMIT_NOFILE)[0]))
    return found


def _checked(subject: str, check: Callable[[], object], shows_paths: bool) -> Iterator[Finding]:
    try:
        check()
    except ConfigError as error:
        for mistake in error.mistakes:
            text = mistake if shows_paths else "it cannot be used as it is; admins are told why"
            yield Finding(subject, BAD, text, f"correct that, then: {installation().restart}")
    else:
        yield Finding(subject, GOOD, "its owner and mode are right")


def open_to_others(state: str, shows_paths: bool) -> Iterator[Finding]:
    """Yield a finding if others may look into STATE, which gomd makes with mode 0700."""
    try:
        mode = os.stat(state).st_mode & 0o777
    except OSError:
        return  # the check of STATE says why
    if mode & 0o077:
        name = f"STATE {state}" if shows_paths else "STATE"
        mend = f"chmod 700 {state}" if shows_paths else "make its mode 0700"
        yield Finding("state", WARN, f"others may look into {name}: its mode is {mode:04o}", mend)


def disk(subject: str, path: str, shows_paths: bool, low: int = LOW_DISK, empty: int = EMPTY_DISK) -> Finding:
    """Return the finding about the disk of a directory: whether it has room."""
    name = path if shows_paths else f"the disk of {subject}"
    try:
        found = os.statvfs(_existing(path))
    except OSError as error:
        return Finding(subject, BAD, f"{name} cannot be looked at: {error.strerror}", f"ls -ld {name}")
    free = found.f_bavail * found.f_frsize
    text = f"{_size(free)} are free for {name}"
    mend = f"free some room: df -h {path}" if shows_paths else "free some room on that disk"
    if found.f_files and not found.f_favail:
        return Finding(subject, BAD, f"no more files can be made for {name}", mend, free)
    if free < low:
        return Finding(subject, BAD if free < empty else WARN, f"only {text}", mend, free)
    return Finding(subject, GOOD, text, "", free)


def _existing(path: str) -> str:
    while not os.path.exists(path) and path != os.path.dirname(path):
        path = os.path.dirname(path)
    return path


def spool_in_memory(mountinfo: str, spool: str, shows_paths: bool) -> Iterator[Finding]:
    """Yield a finding if the images of jobs would be in memory."""
    best, kind = "", ""
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        words = before.split()
        if len(words) < 5 or not after:
            continue
        place = words[4]
        if (spool == place or spool.startswith(place.rstrip("/") + "/")) and len(place) >= len(best):
            best, kind = place, after.split()[0]
    if kind in _IN_MEMORY:
        name = spool if shows_paths else "the spool"
        yield Finding(
            "spool", WARN, f"{name} is in memory ({kind}): a job that comes here is there twice for a moment",
            "set [jobs] spool to a directory on a disk",
        )  # fmt: skip


def memory(meminfo: str) -> Iterator[Finding]:
    """Yield the finding about memory for a guest; nothing when /proc does not tell."""
    values = {}
    for line in meminfo.splitlines():
        name, _, rest = line.partition(":")
        number = rest.split()[:1]
        if number and number[0].isdigit():
            values[name] = int(number[0]) * 1024
    available, total = values.get("MemAvailable"), values.get("MemTotal")
    if available is None or not total:
        return
    text = f"{_size(available)} of {_size(total)} are available"
    if available < total * LOW_MEMORY:
        yield Finding("memory", WARN, f"only {text}", "gom ps --sort rss --top 10", available)
    else:
        yield Finding("memory", GOOD, text, "", available)


def namespaces(proc: str) -> Finding:
    """Return the finding about the namespaces of jobs: whether the kernel has them."""
    missing = [name for name in NAMESPACES if not os.path.lexists(f"{proc}/self/ns/{name}")]
    forbidden = [
        name for name in NAMESPACES if _read(f"{proc}/sys/user/max_{name}_namespaces").strip() == "0"
    ]
    if missing:
        return Finding(
            "namespaces", BAD, f"the kernel has no namespaces of the kinds {', '.join(missing)}",
            "use a kernel of 5.6 or newer with CONFIG_NAMESPACES",
        )  # fmt: skip
    if forbidden:
        return Finding(
            "namespaces", BAD, f"no {', '.join(forbidden)} namespaces may be made",
            f"sysctl -w user.max_{forbidden[0]}_namespaces=10000",
        )  # fmt: skip
    return Finding("namespaces", GOOD, "the kernel has all kinds that jobs need")


def memory_controller(proc: str) -> Finding:
    """Return the finding about memory limits of jobs (`gom run --mem-max`): whether the kernel has them."""
    unified, older = parse_mounts(_read(f"{proc}/self/mountinfo"))
    own = parse_own(_read(f"{proc}/self/cgroup"))
    at = unified.directory(own[""]) if unified is not None and "" in own else None
    places = () if at is None else (at, os.path.dirname(at))
    if any("memory" in _read(f"{place}/cgroup.controllers").split() for place in places):
        return Finding("cgroups", GOOD, "the memory controller is there (version 2)")
    if older is not None and "memory" in own and older.directory(own["memory"]) is not None:
        return Finding("cgroups", GOOD, "the memory controller is there (version 1)")
    return Finding(
        "cgroups", WARN, "the memory controller is not there: `gom run --mem-max` is refused",
        f"let systemd run gomd: {installation().service('restart')}; or boot with cgroup_enable=memory",
    )  # fmt: skip


def open_files(limit: int) -> Finding:
    """Return the finding about open files: whether the daemon may have as many as it needs."""
    if limit == resource.RLIM_INFINITY or limit >= FEW_FILES:
        return Finding("limits", GOOD, "the daemon may open enough files")
    return Finding(
        "limits", WARN, f"the daemon may open {limit} files only",
        "set LimitNOFILE=16384 in the unit, or `ulimit -n 16384` before the start",
    )  # fmt: skip


def _size(number: float) -> str:
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if number < 1024:
            return f"{number:.4g} {unit}"
        number /= 1024
    return f"{number:.4g} TiB"


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(1 << 20)
    except OSError:
        return ""
