"""
The state of a job's carried files at home when it began: recorded then, and compared at its end.

One JSON list a line: the path in the stream of names (`gomd.jobs.checkpoint.file_tree`), and what
identifies the file: kind, device, inode, size, mtime and ctime in ns, mode, and the target of a symbolic
link; or nothing behind the path for one that was not there. Standard library only: this runs in a process
that has become the job's user.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from libgomd.errors import CannotMove

#: A path in the stream: the number of the carried path, and names below it.
Path = tuple[bytes, ...]


class Identity(NamedTuple):
    """A file at one moment. :ivar kind: of `stat.S_IFMT`. Times are in ns since the epoch."""

    kind: int
    device: int
    inode: int
    size: int
    mtime: int
    ctime: int
    mode: int
    target: str = ""

    @classmethod
    def of(cls, found: os.stat_result, target: str = "") -> Identity:
        """Return the identity of a file with the status ``found``. :param target: of a symbolic link."""
        return cls(
            stat.S_IFMT(found.st_mode), found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns,
            found.st_ctime_ns, stat.S_IMODE(found.st_mode), target,
        )  # fmt: skip

    def is_same(self, other: Identity) -> bool:
        """Whether nobody has touched it between the two moments; of directories: whether it is this one."""
        if self.kind == other.kind == stat.S_IFDIR:
            return (self.device, self.inode) == (other.device, other.inode)
        return self == other

    def was_left(self, copy: Identity) -> bool:
        """Whether ``copy``, made of this file, has been left as it was made."""
        if self.kind != copy.kind:
            return False
        if self.kind == stat.S_IFDIR:
            return True
        if self.kind == stat.S_IFLNK:
            return self.target == copy.target
        kept = self.mode & 0o1777 == copy.mode & 0o1777
        return kept and (self.size, self.mtime) == (copy.size, copy.mtime)


#: None for a path that did not exist.
Base = Mapping[Path, "Identity | None"]


def _identity(values: list[object]) -> Identity:
    *numbers, target = values
    kind, device, inode, size, mtime, ctime, mode = (int(str(number)) for number in numbers)
    return Identity(kind, device, inode, size, mtime, ctime, mode, str(target))


def line(path: Path, identity: Identity | None) -> bytes:
    """Return the line of one entry."""
    names = [os.fsdecode(name) for name in path]
    return json.dumps([names, *(identity or ())]).encode("ascii") + b"\n"


def parse(lines: Iterable[bytes]) -> dict[Path, Identity | None]:
    """
    Return the identities in these lines.

    :raises CannotMove: they are damaged; nothing must be concluded from them.
    """
    found: dict[Path, Identity | None] = {}
    try:
        for text in lines:
            names, *values = json.loads(text)
            path = tuple(os.fsencode(name) for name in names)
            found[path] = _identity(values) if values else None
    except (ValueError, TypeError, IndexError) as error:
        raise CannotMove(
            "the record of the carried files from when the job began is damaged on the disk"
        ) from error
    return found
