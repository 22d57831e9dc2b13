"""Reads from /proc what a process needs on another node, and which of that this node has."""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Final

from gomd.jobs.checkpoint import process_tree, terminals
from gomd.jobs.checkpoint.namespaces import KINDS, read_namespaces
from gomd.jobs.checkpoint.requirements import (
    MAX_FILES,
    Capabilities,
    FileRequirement,
    Requirements,
    build_id,
    parse_flags,
)
from gomd.jobs.checkpoint.sockets import reasons_to_stay

#: Bytes of a file's beginning that are searched for its build id.
_MAX_HEAD: Final = 65536
#: Bytes of a deleted file that is still open which criu carries along.
_MAX_GHOST: Final = 1 << 20
#: Devices that are the same everywhere.
_DEVICES: Final = frozenset(f"/dev/{name}" for name in ("null", "zero", "full", "random", "urandom"))
_DELETED: Final = " (deleted)"
_SHARED: Final = ("/dev/shm/", "/dev/pts/")  # noqa: S108 - names that are compared, not opened
#: Processes and descriptors of a job that are read: criu's images of more would be too large, and a user who
#: opens a million files must not keep a thread busy for good.
MAX_PROCESSES: Final = 4000
MAX_OPEN: Final = 20_000
_TOO_MANY: Final = "it has too many processes or open files"


def read_needs(
    pids: Iterable[int], user: str, own: frozenset[str] = frozenset(), proc: str = "/proc"
) -> Requirements:
    """
    Read what the processes ``pids`` need; the first one's user and namespaces count for all. Blocks.

    :param user: the name of their user here.
    :param own: what the supervisor carries over itself: its pipes and terminal, as named in /proc/PID/fd.
    :raises OSError: the first one has ended.
    """
    pids = list(pids)
    memory = 0
    directories: dict[str, None] = {}
    files: dict[str, FileRequirement] = {}
    stays: dict[str, None] = {}
    uid = os.stat(f"{proc}/{pids[0]}").st_uid
    sockets, first = reasons_to_stay(f"{proc}/{pids[0]}/net", uid), read_namespaces(f"{proc}/{pids[0]}")
    left = MAX_OPEN
    for pid in pids[:MAX_PROCESSES]:
        here = f"{proc}/{pid}"
        try:
            memory += _resident(here)
            whole = tuple(_reasons_apart_from_files(here, first))
            stays.update(dict.fromkeys(whole))
            if whole:
                continue  # the names in its own namespaces mean nothing in this one
            directories[os.readlink(f"{here}/cwd")] = None
            for path in _mapped(here):
                _add(files, path, f"{here}/root{path}")
            for name in os.listdir(f"{here}/fd"):
                if (left := left - 1) < 0:
                    break
                target = os.readlink(f"{here}/fd/{name}")
                why = "" if target in own else _stays(here, name, target, sockets, target)
                if why:
                    stays[why] = None
                elif target.startswith("/") and not target.startswith("/dev/") and _DELETED not in target:
                    _add(files, target, f"{here}/fd/{name}", _is_written(here, name))
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has just ended
    if left < 0 or len(pids) > MAX_PROCESSES:
        stays[_TOO_MANY] = None
    system = os.uname()
    return Requirements(
        memory, system.machine, system.release, uid, user, read_flags(proc),
        tuple(directories)[:MAX_FILES], tuple(files.values())[:MAX_FILES], tuple(stays),
    )  # fmt: skip


def read_stays(
    pids: Iterable[int], own: frozenset[str] = frozenset(), proc: str = "/proc", most: int = MAX_OPEN
) -> list[str]:
    """
    Read why the processes ``pids`` cannot move to any node, in words that everybody may see. Blocks.

    That is `Requirements.stays` without the names of files: the kernel shows these to their owner only.

    :param own: as in `read_needs`. :param most: descriptors that are read.
    :raises OSError: the first one has ended.
    """
    pids = list(pids)
    stays: dict[str, None] = {}
    uid = os.stat(f"{proc}/{pids[0]}").st_uid
    sockets, first = reasons_to_stay(f"{proc}/{pids[0]}/net", uid), read_namespaces(f"{proc}/{pids[0]}")
    left = most
    for pid in pids[:MAX_PROCESSES]:
        here = f"{proc}/{pid}"
        try:
            stays.update(dict.fromkeys(_reasons_apart_from_files(here, first)))
            for name in os.listdir(f"{here}/fd"):
                if (left := left - 1) < 0:
                    break
                target = os.readlink(f"{here}/fd/{name}")
                if target not in own and (why := _stays(here, name, target, sockets)):
                    stays[why] = None
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has just ended
    return [*stays, *([_TOO_MANY] if left < 0 or len(pids) > MAX_PROCESSES else [])]


def look(pid: int, supervisor: int, user: str) -> Requirements:
    """Read what a job needs, given its first process. Blocks. :raises OSError: it has ended."""
    pids = process_tree.descendants(pid)
    needs = read_needs(pids, user, open_files(supervisor) | _own_terminals(pid))
    return replace(
        needs,
        stays=(*needs.stays, *_strays(pid, supervisor), *_terminals_that_stay(pid, pids, supervisor)),
        terminals=terminals.has_any(pids),
    )


def look_for_stays(pid: int, supervisor: int) -> list[str]:
    """Read why a job cannot move to any node. Blocks. :raises OSError: it has ended."""
    pids = process_tree.descendants(pid)
    found = read_stays(pids, open_files(supervisor) | _own_terminals(pid))
    return found + _strays(pid, supervisor) + _terminals_that_stay(pid, pids, supervisor)


def _own_terminals(pid: int) -> frozenset[str]:
    """Return what leads to terminals, and can move because the job has its own /dev/pts."""
    return terminals.MOVABLE if terminals.has_own(pid) else frozenset()


def _terminals_that_stay(pid: int, pids: Collection[int], supervisor: int) -> list[str]:
    if not terminals.has_own(pid):
        return []
    return terminals.reasons_to_stay(pids, terminals.has_any([supervisor]))


def _strays(pid: int, supervisor: int) -> list[str]:
    """Return why a job stays of which not every process descends from the first one."""
    return [process_tree.STRAYS] if any(each != pid for each in process_tree.strays(supervisor)) else []


def open_files(pid: int) -> frozenset[str]:
    """
    Return the targets of a process's descriptors, as in /proc/PID/fd. Blocks.

    :raises OSError: it has ended.
    """
    found = set()
    for name in os.listdir(f"/proc/{pid}/fd"):
        try:
            found.add(os.readlink(f"/proc/{pid}/fd/{name}"))
        except OSError:
            continue
    return frozenset(found)


def read_offer(needs: Requirements, user: str, room: str, criu: str, proc: str = "/proc") -> Capabilities:
    """
    Read which of ``needs`` this node has. Blocks.

    :param user: the name of the user with that uid here. :param room: the directory for images.
    :param criu: the result of `Criu.check`.
    """
    files: dict[str, FileRequirement] = {}
    for file in needs.files[:MAX_FILES]:
        _add(files, file.path, file.path)
    with open(f"{proc}/meminfo", encoding="ascii") as stream:
        memory = next(int(line.split()[1]) << 10 for line in stream if line.startswith("MemAvailable:"))
    space = os.statvfs(room)
    system = os.uname()
    return Capabilities(
        memory, space.f_bavail * space.f_frsize, system.machine, system.release, user, read_flags(proc),
        tuple(path for path in needs.directories[:MAX_FILES] if os.path.isdir(path)),
        tuple(files.values()), criu,
    )  # fmt: skip


def read_flags(proc: str = "/proc") -> tuple[str, ...]:
    """Return those flags of the processor that programs use, sorted."""
    with open(f"{proc}/cpuinfo", encoding="utf-8", errors="replace") as file:
        return parse_flags(file.read(1 << 20))


def _add(files: dict[str, FileRequirement], path: str, at: str, written: bool = False) -> None:
    """Add the regular file at ``at`` as ``path``, if it is one."""
    if len(files) >= MAX_FILES or (path in files and not written):
        return
    try:
        place = os.open(at, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        known = os.fstat(place)
        if stat.S_ISREG(known.st_mode):  # opening a device may do something
            with open(f"/proc/self/fd/{place}", "rb", buffering=0) as file:
                head = file.read(_MAX_HEAD)
            files[path] = FileRequirement(path, known.st_size, build_id(head), known.st_ino, written)
    except OSError:
        pass
    finally:
        os.close(place)


def _is_written(here: str, name: str) -> bool:
    with open(f"{here}/fdinfo/{name}", encoding="ascii", errors="replace") as file:
        flags = next((line.split()[1] for line in file if line.startswith("flags:")), "0")
    return int(flags, 8) & os.O_ACCMODE != os.O_RDONLY


def _mapped(here: str) -> set[str]:
    with open(f"{here}/maps", encoding="utf-8", errors="surrogateescape", newline="\n") as file:
        paths = {line.split(maxsplit=5)[5].rstrip("\n") for line in file if line.count(" /") and "/" in line}
    return {path for path in paths if path.startswith("/") and _DELETED not in path}


def _resident(here: str) -> int:
    with open(f"{here}/statm", encoding="ascii") as file:
        words = file.read().split()
    return (int(words[1]) - int(words[2])) * os.sysconf("SC_PAGE_SIZE")  # what is not of a file


def _reasons_apart_from_files(here: str, first: Mapping[str, str]) -> Iterator[str]:
    """Yield why a process cannot move, apart from its files. :param first: the first one's namespaces."""
    own = read_namespaces(here)
    for kind in sorted(own.keys() & first.keys() - {"cgroup"}):  # criu leaves cgroups to each machine
        if own[kind] != first[kind]:
            yield f"one of its processes has a {KINDS[kind]} namespace of its own"
    try:
        with open(f"{here}/maps", encoding="utf-8", errors="surrogateescape", newline="\n") as file:
            if any(" /SYSV" in line for line in file):
                yield "it uses System V shared memory"
    except FileNotFoundError:
        pass  # it has just ended


def _stays(here: str, name: str, target: str, sockets: Mapping[str, str], shown: str = "") -> str:
    """
    Return why a process that has this open cannot move, empty when it can.

    :param shown: the name of the file, for its owner; empty for everybody else.
    """
    if target.startswith("socket:["):
        return sockets.get(target[8:-1], "")
    if target.startswith("anon_inode:") and "io_uring" in target:
        return "it uses io_uring"
    if target.startswith("/dev/") and not target.startswith(_SHARED):
        return "" if target in _DEVICES else f"it has the device {target} open"
    if target.startswith("/") and target.endswith(_DELETED):
        large = os.stat(f"{here}/fd/{name}").st_size > _MAX_GHOST
        which = f"its file {shown[: -len(_DELETED)]}" if shown else "a file of it"
        return f"{which} was deleted and is large" if large else ""
    if target.startswith("/") and stat.S_ISFIFO(os.stat(f"{here}/fd/{name}").st_mode):
        # the process at its other end stays here
        return f"it has the named pipe {shown} open" if shown else "it has a named pipe open"
    with open(f"{here}/fdinfo/{name}", encoding="ascii", errors="replace") as file:
        locked = any(line.startswith("lock:") for line in file.read(65536).split("\n"))
    return f"it holds a lock on {shown or 'a file'}" if locked else ""
