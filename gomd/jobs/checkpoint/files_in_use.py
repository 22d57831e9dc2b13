"""Collects the files and directories that a job has open, mapped or as its directory. Blocks."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from typing import Final

from gomd.jobs.checkpoint.copied_files import is_sqlite, why_no_copy
from gomd.jobs.checkpoint.file_facts import FileReader
from gomd.jobs.checkpoint.file_identity import differs, inode_of, is_at, is_seen, leads_to, size_of, volume_of
from gomd.jobs.checkpoint.kernel_objects import NAMELESS, stays
from gomd.jobs.checkpoint.mapped_files import Mapping
from gomd.jobs.checkpoint.mounts import (
    KERNEL_STATE,
    Mount,
    mount_of,
    own_mounts,
)
from gomd.jobs.checkpoint.private_mounts import TEMPORARY
from gomd.jobs.checkpoint.process_status import DescriptorInfo
from gomd.jobs.checkpoint.same_file import SYSTEM, FileRequirement

#: Bytes of a deleted file, still open or mapped, which criu carries along.
MAX_GHOST_BYTES: Final = 1 << 20
DELETED: Final = " (deleted)"
_OF_PROCESS: Final = re.compile(r"/proc/\d+/")


class FilesInUse:
    """
    Gathers the files of all processes of a job.

    :param root: the root directory as the job sees it, such as ``/proc/300/root``.
    :param uid: of the job's user. :param gids: all of that user's groups.
    :param mounts: of the job. :param daemons: the mounts that this process has.
    :param limit: files and directories, at most.
    :ivar too_many: whether there were more.
    """

    def __init__(
        self, root: str, uid: int, gids: Collection[int], mounts: Sequence[Mount], daemons: Sequence[Mount],
        limit: int,
    ) -> None:  # fmt: skip
        self._root = root
        self._uid = uid
        self._gids = frozenset(gids)
        self._mounts = mounts
        self._travelling = {
            mount.place for mount in own_mounts(mounts, daemons) if differs(root, mount.point)
        }
        self._limit = limit
        self._with_sqlite = False
        self._found: dict[str, tuple[str, FileRequirement]] = {}
        self.too_many = False

    def travels(self, path: str) -> bool:
        """Whether a path is in a directory that gomd has made for the job, and that moves with it."""
        mount = mount_of(self._mounts, path)
        return mount is not None and mount.place in self._travelling

    def add_descriptor(self, at: str, path: str, known: os.stat_result, info: DescriptorInfo) -> str:
        """
        Add an opened file or directory.

        :param at: where it can be opened. :returns: why it keeps the job here, empty when it does not.
        """
        if stat.S_ISDIR(known.st_mode):
            return self.add_directory(at, path, known, info.position)
        if not stat.S_ISREG(known.st_mode) or info.path_only:
            return ""
        return self._add_file(at, path, known, info.written, info.position)

    def add_mapping(self, here: str, mapping: Mapping) -> str:
        """Add a mapped file. :returns: why it keeps the job here, empty when it does not."""
        path = mapping.path
        self._with_sqlite = self._with_sqlite or is_sqlite(path)
        if path.startswith(NAMELESS):
            return ""
        if why := stays(path):
            return why
        at = f"{here}/map_files/{mapping.addresses}"
        try:
            known = os.stat(at)
        except OSError:
            at = f"{here}/root{path}"
            try:
                known = os.stat(at)
            except OSError:
                return ""
        if not stat.S_ISREG(known.st_mode):
            return "" if path == "/dev/zero" else f"it has the device {path} mapped"
        return self._add_file(at, path, known, mapping.written, 0)

    def add_directory(self, at: str, path: str, known: os.stat_result, position: int = 0) -> str:
        """
        Add a directory. One of the system's only has to be there; one that the job may write to has to be
        the same; any other one equal.

        :param position: how far its entries have been read.
        :returns: why it keeps the job here, empty when it does not.
        """
        if why := self._private_proc(path, known, False):
            return why
        if known.st_nlink == 0 or path.endswith(DELETED):
            return "" if self.travels(path) else f"its directory {path.removesuffix(DELETED)} was removed"
        if self.travels(path):
            return ""
        there = path == "/" or f"{path}/".startswith(SYSTEM)
        written = (position > 0 or _may_write(known, self._uid, self._gids)) and not there
        return self._add(at, path, known, written or (position > 0 and path != "/"), there and not position)

    def _add_file(self, at: str, path: str, known: os.stat_result, written: bool, position: int) -> str:
        if why := self._private_proc(path, known, written):
            return why
        if known.st_nlink == 0:
            name = path.removesuffix(DELETED)
            if self._uid not in (0, known.st_uid):
                return f"its file {name} was deleted and belongs to another user"
            if self._uid and not self.travels(TEMPORARY[0]) and not path.startswith(NAMELESS):
                # root would make it anew by its name, which the user can lead elsewhere: `remapped_files`
                return f"its file {name} was deleted, and it has no temporary directories of its own"
            large = known.st_size > MAX_GHOST_BYTES and not self._travelling
            return f"its file {name} was deleted and is large" if large else ""
        if path.endswith(DELETED) and not os.path.lexists(self._root + path):
            name = path.removesuffix(DELETED)
            return "" if self.travels(path) else f"its file {name} was deleted and has another name"
        if self.travels(path):
            return why_no_copy(at, path, known.st_size, self._with_sqlite) if written else ""
        return self._add(at, path, known, written, False, position)

    def _private_proc(self, path: str, known: os.stat_result, written: bool) -> str:
        """Return why a file of its own in /proc keeps a user's job: nobody else may open it, nor may criu."""
        if not self._uid or (not written and known.st_mode & stat.S_IROTH) or not _OF_PROCESS.match(path):
            return ""
        mount = mount_of(self._mounts, path)
        if mount is None or mount.kind != "proc":
            return ""
        return f"it has {path} open, which cannot be opened for it elsewhere: try again when it is closed"

    def _add(
        self, at: str, path: str, known: os.stat_result, written: bool, there: bool, position: int = 0
    ) -> str:
        mount = mount_of(self._mounts, path)
        if mount is not None and mount.kind in KERNEL_STATE:
            written, there = False, True
        if written and not is_at(self._root + path, known):
            return f"its file {path} was replaced by another one of that name"
        before = self._found.get(path)
        if before is not None and (before[1].written or not written):
            return ""
        if before is None and len(self._found) >= self._limit:
            self.too_many = True
            return ""
        volume = ""
        if mount is not None and (written or not there):
            volume = volume_of(mount, at)
        self._found[path] = at, FileRequirement(
            path, 0, written=written, near=0 if stat.S_ISDIR(known.st_mode) else min(position, known.st_size),
            device=known.st_dev, directory=stat.S_ISDIR(known.st_mode), there=there, volume=volume,
        )  # fmt: skip
        return ""

    def require_the_same(self, inode: int, device: int) -> bool:
        """
        Require the same file of the target node, as it is watched for changes.

        :param device: as fdinfo shows it. :returns: whether it is among the files that the job has open.
        """
        for path, (at, file) in self._found.items():
            known = os.major(file.device) << 20 | os.minor(file.device)
            if known == device and inode_of(at) == inode:
                self._found[path] = at, replace(file, written=True, there=False, watched=True)
                return True
        return False

    def probe_places(self) -> Iterator[Sequence[tuple[str, int]]]:
        """
        Yield where probes would prove something: for each the directories to try, and their device.

        One in a file system proves all of it, where both nodes number its files alike. It is made above the
        directories that the job uses, if its user may make it there: the job would see it in its own. The
        file systems are seen by this process as by the job: a file may be shown to the job alone in a
        directory of its own, which says nothing about that file.
        """
        used = {_directory_of(file) for _, file in self._found.values()}
        proved: set[tuple[int, str]] = set()
        for at, file in self._found.values():
            here = _directory_of(file)
            mount = mount_of(self._mounts, here)
            if file.path.startswith(SYSTEM) or mount is None or not is_seen(file.path, at):
                continue
            if mount.kind.startswith("fuse"):  # each node numbers the files as it likes
                if file.written:
                    yield [(here, file.device)]
            elif file.written and (file.device, mount.point) not in proved:
                proved.add((file.device, mount.point))
                above = [place for place in _ancestors(here, mount.point) if place not in used]
                yield [(place, file.device) for place in (*above, f"{here}/.cache", here)]

    def describe(self, reader: FileReader) -> tuple[FileRequirement, ...]:
        """Read what tells them apart from others: the small ones first. What is closed by now is left out."""
        found = {}
        for path, (at, file) in sorted(self._found.items(), key=lambda item: size_of(item[1][0])):
            described = reader.read(at, file)
            if described is not None and ("/map_files/" in at or leads_to(at, path)):
                found[path] = described
        return tuple(found[path] for path in self._found if path in found)


def _directory_of(file: FileRequirement) -> str:
    return file.path if file.directory else os.path.dirname(file.path)


def _ancestors(path: str, top: str) -> Iterator[str]:
    """Yield the directories above ``path``, the nearest first, up to ``top``."""
    while path not in (top, "/"):
        path = os.path.dirname(path)
        yield path


def _may_write(known: os.stat_result, uid: int, gids: Collection[int]) -> bool:
    """Whether a user may make files in a directory, or may give it that right."""
    return (
        uid in (0, known.st_uid)
        or bool(known.st_mode & stat.S_IWOTH)
        or (bool(known.st_mode & stat.S_IWGRP) and known.st_gid in gids)
    )
