"""
Writes out what a job has written to files of the network, before its copy reads them on another node.

A file system of the network keeps what a program writes in the memory of its node, and gives it to the server
when the file is closed (NFS) or synchronised. The job closes nothing for a move, so its copy could find an
older content on the other node, and the kernel here would write the newer one over what the copy has written
since. And when the server takes no more, somebody has to hear of it. Standard library only: supervisors use
it. Calls block, as long as the server does.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from typing import Final

from gomd.jobs.checkpoint.acting_as import acting_as
from gomd.jobs.checkpoint.borrowed_descriptor import duplicate_of
from gomd.jobs.checkpoint.mapped_files import read_mappings
from gomd.jobs.checkpoint.mounts import KERNEL_STATE, mount_of, read_mounts
from gomd.jobs.checkpoint.process_status import parse_fdinfo
from libgomd.errors import CannotMove

#: File systems that need no disk, and that no other node sees either.
_OF_THIS_NODE: Final = frozenset((
    "tmpfs", "ramfs", "devtmpfs", "hugetlbfs", "overlay", "zfs", "squashfs", *KERNEL_STATE,
))  # fmt: skip
#: Errors of a file system that has nothing to write out.
_NOTHING_TO_DO: Final = (errno.EINVAL, errno.EROFS, errno.ENOSYS, errno.EOPNOTSUPP)
_MAX_FILE_BYTES: Final = 65536


def open_anew(at: str, pid: int, number: int) -> int:
    """Open a file anew, so that an error is told to the job, too; if that is refused, take the job's own."""
    try:
        return os.open(at, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except PermissionError:
        if number < 0:
            raise
        return duplicate_of(pid, number)


def write_out(
    pids: Collection[int],
    uid: int,
    gid: int,
    groups: Sequence[int],
    proc: str = "/proc",
    open_file: Callable[[str, int, int], int] = open_anew,
) -> int:
    """
    Write out the files of the network that the processes ``pids`` have open or mapped for writing.

    :param uid: of the user whose files they are, with the groups: a server may let root do nothing.
    :returns: how many files there were.
    :raises CannotMove: one cannot be written out.
    """
    written = {pid: found for pid in pids if (found := list(_written(pid, proc)))}
    local, done = _local_kinds(proc) if written else frozenset[str](), set[tuple[int, int]]()
    for pid, files in written.items():
        mounts = read_mounts(f"{proc}/{pid}")
        for at, path, number in files:
            mount = mount_of(mounts, path)
            if mount is None or mount.kind in local:
                continue
            with suppress(FileNotFoundError):  # it has just been closed, which writes it out
                known = os.stat(at)
                if not stat.S_ISREG(known.st_mode) or (known.st_dev, known.st_ino) in done:
                    continue
                done.add((known.st_dev, known.st_ino))
                try:
                    with acting_as(uid, gid, groups):
                        file = open_file(at, pid, number)
                    try:
                        os.fsync(file)
                    finally:
                        os.close(file)
                except OSError as error:
                    if error.errno not in _NOTHING_TO_DO:
                        raise CannotMove(
                            f"its file {path} cannot be written out: {error.strerror}"
                        ) from error
    return len(done)


def _written(pid: int, proc: str) -> Iterator[tuple[str, str, int]]:
    """Yield what is written to: where in /proc, the path, the descriptor; -1 for what is only mapped."""
    here = f"{proc}/{pid}"
    with suppress(FileNotFoundError, ProcessLookupError):
        for name in os.listdir(f"{here}/fd"):
            with suppress(FileNotFoundError):
                target = os.readlink(f"{here}/fd/{name}")
                if target.startswith("/"):
                    with open(f"{here}/fdinfo/{name}", encoding="ascii", errors="replace") as file:
                        if parse_fdinfo(file.read(_MAX_FILE_BYTES)).written:
                            yield f"{here}/fd/{name}", target, int(name)
        for mapping in read_mappings(here):
            if mapping.written and mapping.path.startswith("/"):
                yield f"{here}/map_files/{mapping.addresses}", mapping.path, -1


def _local_kinds(proc: str) -> frozenset[str]:
    """Return the kinds of file systems that no other node sees, or that keep nothing from it."""
    with open(f"{proc}/filesystems", encoding="ascii", errors="replace") as file:
        lines = file.read(_MAX_FILE_BYTES).splitlines()
    return _OF_THIS_NODE | {line.strip() for line in lines if not line.startswith("nodev")}
