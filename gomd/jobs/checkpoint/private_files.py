"""Reads, from outside while a job runs, which files it has in temporary directories of its own."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from gomd.jobs.checkpoint.file_tree import Owners, measure
from gomd.jobs.checkpoint.file_tree_codec import TreeRefused, TreeTooLarge
from gomd.jobs.checkpoint.private_mounts import PrivateView, private_view
from gomd.jobs.checkpoint.tree_stream import limits
from libgomd.errors import CannotMove

_DELETED: Final = " (deleted)"
#: Memory that criu carries by itself, though it looks like a deleted file.
_NO_FILES: Final = ("/memfd:", "/dev/zero", "/SYSV", "/[")
_SYSV: Final = "/SYSV"
#: Bytes of more files than may move anywhere: the limits are compared by whoever knows them.
_ANY_SIZE: Final = 1 << 60
_MAX_MOUNTINFO_BYTES: Final = 4 << 20


class PrivateFiles(NamedTuple):
    """
    What comes along with a job beside its memory.

    :ivar size: bytes; None when it has neither directories nor an IPC namespace of its own.
    :ivar in_memory: how much of that is in memory, not on a disk. :ivar stays: why it cannot move, clauses.
    """

    size: int | None
    in_memory: int = 0
    stays: tuple[str, ...] = ()


def read_view(supervisor: int, proc: str = "/proc") -> PrivateView:
    """Return which temporary directories a job has of its own. :raises OSError: its supervisor has ended."""
    return private_view(_mountinfo(f"{proc}/{supervisor}"), _mountinfo(f"{proc}/self"))


def measure_files(
    pids: Iterable[int], supervisor: int, uid: int, view: PrivateView, proc: str = "/proc"
) -> PrivateFiles:
    """
    Return how much would come along with a job. Blocks as disks do.

    :param pids: its processes. :param uid: its user. :raises OSError: its supervisor has ended.
    """
    pids, size, in_memory = list(pids), 0, 0
    stays: list[str] = []
    for place in view.places:
        top = os.open(f"{proc}/{supervisor}/root{place}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            owners = Owners.REFUSE if uid else Owners.KEEP
            found = measure(top, uid, limits(_ANY_SIZE), owners=owners)
        except TreeTooLarge as error:
            stays.append(f"its own {place} cannot come along: {error}")
            continue
        except TreeRefused as error:
            stays.append(f"its file {place}/{error}")
            continue
        finally:
            os.close(top)
        size += found.size
        in_memory += found.size if place.startswith("/dev/") else 0
    nameless = dict(_nameless(pids, proc)) if view.places else {}
    segments = dict(_segments(pids, proc))
    size += sum(nameless.values()) + sum(segments.values())
    own_ipc = os.readlink(f"{proc}/{pids[0]}/ns/ipc") != os.readlink(f"{proc}/self/ns/ipc")
    return PrivateFiles(size if view.places or own_ipc else None, in_memory, tuple(stays))


def is_locked(fdinfo: str) -> bool:
    """Whether the job holds a lock on a file that it has open, by its /proc/PID/fdinfo/N. Blocks briefly."""
    with open(fdinfo, encoding="ascii", errors="replace") as file:
        return any(line.startswith("lock:") for line in file.read(65536).split("\n"))


def check_locks(pids: Iterable[int], view: PrivateView, proc: str = "/proc") -> None:
    """
    Check that frozen processes have locks on files of their own only: others may be somebody else's too.

    :raises CannotMove: they have others, or it cannot be seen.
    """
    for pid in pids:
        for link, target in _links(f"{proc}/{pid}/fd"):
            path = target.removesuffix(_DELETED)
            if target.startswith("/") and not view.has(path) and is_locked(link.replace("/fd/", "/fdinfo/")):
                raise CannotMove("it holds a lock on a file")


def _nameless(pids: Iterable[int], proc: str) -> Iterator[tuple[tuple[int, int], int]]:
    """Yield the identity and the bytes of the files without a name that processes have open or mapped."""
    for pid in pids:
        for kind in ("fd", "map_files"):
            for link, target in _links(f"{proc}/{pid}/{kind}"):
                if target.endswith(_DELETED) and target.startswith("/") and not target.startswith(_NO_FILES):
                    try:
                        found = os.stat(link)
                    except OSError:
                        continue
                    if found.st_nlink == 0:
                        yield (found.st_dev, found.st_ino), found.st_blocks * 512


def _segments(pids: Iterable[int], proc: str) -> Iterator[tuple[int, int]]:
    """Yield the identity and the bytes of the System V shared memory that processes have attached."""
    for pid in pids:
        for link, target in _links(f"{proc}/{pid}/map_files"):
            if target.startswith(_SYSV):
                try:
                    found = os.stat(link)
                except OSError:
                    continue
                yield found.st_ino, found.st_size


def _links(directory: str) -> Iterator[tuple[str, str]]:
    try:
        names = os.listdir(directory)
    except OSError:
        return  # the process has just ended
    for name in names:
        try:
            yield f"{directory}/{name}", os.readlink(f"{directory}/{name}")
        except OSError:
            continue


def _mountinfo(here: str) -> str:
    with open(f"{here}/mountinfo", encoding="utf-8", errors="surrogateescape", newline="\n") as file:
        return file.read(_MAX_MOUNTINFO_BYTES)
