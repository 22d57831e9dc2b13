"""
Reads how full the file systems are. Looking must not act, and one that hangs costs only its own row.

Theory of operation. Only file systems with a disk behind them, tmpfs, and those of the network are looked at;
autofs is not, because the question itself would mount it. Each look runs on a helper thread. When the helper
does not come back from one within `HANG_TIMEOUT` seconds, that one counts as hung: its helper stays with it,
another one goes on with the rest, and nobody looks at it again until the first helper has returned.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from threading import Condition, Thread
from typing import Final, NamedTuple

from gomd.sources.files import ProcRoot
from libgomd.model import Measure
from libgomd.wire.text import printable_name

#: Seconds for one file system; number of them that are looked at, and that may hang at once.
HANG_TIMEOUT: Final = 1.0
MAX_FILE_SYSTEMS: Final = 64
MAX_HUNG: Final = 8
#: Types that have a size of their own. Others are the kernel's own trees, or mount something when asked.
TYPES: Final = frozenset({
    "ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "jfs", "reiserfs", "bcachefs", "nilfs2", "ocfs2",
    "gfs2", "vfat", "exfat", "ntfs", "ntfs3", "fuseblk", "iso9660", "udf", "hfsplus", "ufs", "minix", "tmpfs",
    "nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "lustre", "glusterfs", "fuse.glusterfs", "fuse.sshfs",
    "virtiofs", "erofs",
})  # fmt: skip
_OCTAL: Final = re.compile(r"\\([0-3][0-7]{2})")


class MountedFilesystem(NamedTuple):
    """One mounted file system. :ivar device: its number, the same for all mounts of one file system."""

    point: str
    device: str
    kind: str
    read_only: bool


def parse_mountinfo(text: str) -> list[MountedFilesystem]:
    """
    Return the file systems in ``text``, a /proc/self/mountinfo, each once, at its shortest mount point.

    A mount that a later one at the same place hides is left out.
    """
    at_points: dict[str, MountedFilesystem] = {}
    for line in text.splitlines():
        before, separator, behind = line.partition(" - ")
        words, more = before.split(" "), behind.split(" ")
        if not separator or len(words) < 6 or len(more) < 3:
            continue
        point = _OCTAL.sub(lambda found: chr(int(found[1], 8)), words[4])
        options = (*words[5].split(","), *more[2].split(","))
        # A FUSE file system of a user's answers as that user likes, or never: it is not asked.
        is_asked = more[0] in TYPES and (not more[0].startswith("fuse") or "user_id=0" in options)
        at_points[point] = MountedFilesystem(point, words[2], more[0] if is_asked else "", "ro" in options)
    found: dict[str, MountedFilesystem] = {}
    for mount in at_points.values():
        old = found.get(mount.device)
        if mount.kind and (old is None or len(mount.point) < len(old.point)):
            found[mount.device] = mount
    return sorted(found.values())[:MAX_FILE_SYSTEMS]


class FileSystems:
    """
    Looks at file systems.

    :param look: like os.statvfs; may hang. :param timeout: seconds until one counts as hung.
    """

    def __init__(
        self,
        root: ProcRoot,
        look: Callable[[str], os.statvfs_result] = os.statvfs,
        timeout: float = HANG_TIMEOUT,
    ) -> None:
        self._root = root
        self._look = look
        self._timeout = timeout
        self._hung: set[str] = set()
        self._changed = Condition()

    def read(self) -> Iterator[Measure]:
        """Yield the measures of every file system. Blocks for a second for each one that newly hangs."""
        if not self._root.is_kernel:
            return  # the mounts of a captured tree are not those of this machine
        text = self._root.read("self/mountinfo").decode("utf-8", "surrogateescape")
        mounts = parse_mountinfo(text)
        found = self.look_at([mount.point for mount in mounts])
        for mount in mounts:
            yield from measures_of(mount, found.get(mount.point), mount.point in self._hung)

    def look_at(self, points: Sequence[str]) -> dict[str, os.statvfs_result]:
        """Return the values of each mount point; those that hang or are gone are missing."""
        found: dict[str, os.statvfs_result] = {}
        rest = [point for point in points if point not in self._hung]
        for _helper in range(MAX_HUNG):
            if not rest or len(self._hung) >= MAX_HUNG:
                break
            under_way: list[str] = []
            done: set[str] = set()
            Thread(
                target=self._help, args=(list(rest), under_way, done, found), name="statvfs", daemon=True
            ).start()
            with self._changed:
                while len(done) < len(rest):
                    before = len(done)
                    if not self._changed.wait_for(lambda: len(done) > before, self._timeout):  # noqa: B023
                        self._hung.update(under_way)
                        break
            rest = [point for point in rest if point not in done and point not in self._hung]
        with self._changed:
            return dict(found)

    def _help(
        self, points: Sequence[str], under_way: list[str], done: set[str], found: dict[str, os.statvfs_result]
    ) -> None:
        """Look at ``points``, on a helper thread; end after one that counts as hung."""
        for point in points:
            with self._changed:
                under_way[:] = [point]
            try:
                result = self._look(point)
            except OSError:
                result = None
            with self._changed:
                if point in self._hung:
                    self._hung.discard(point)
                    return
                if result is not None:
                    found[point] = result
                done.add(point)
                under_way.clear()
                self._changed.notify_all()


def measures_of(mount: MountedFilesystem, size: os.statvfs_result | None, hung: bool) -> Iterator[Measure]:
    """Yield the measures of one file system. :param size: None when it does not tell."""
    labels = {
        "mountpoint": printable_name(mount.point.encode("utf-8", "surrogateescape")),
        "type": mount.kind,
    }
    where = {"mountpoint": labels["mountpoint"]}
    yield Measure("filesystem_readonly", float(mount.read_only), labels, text="1 for one mounted read-only")
    yield Measure("filesystem_hung", float(hung), labels, text="1 for one that does not answer")
    if size is None or size.f_blocks <= 0:
        return
    unit = size.f_frsize
    for name, value, text, kept in (
        ("size_bytes", size.f_blocks * unit, "size of a file system", False),
        ("free_bytes", size.f_bfree * unit, "free space, that of root included", False),
        ("avail_bytes", size.f_bavail * unit, "free space for everybody", True),
        ("files", size.f_files, "inodes of a file system", False),
        ("files_free", size.f_ffree, "free inodes", True),
    ):
        if not name.startswith("files") or size.f_files > 0:
            yield Measure(f"filesystem_{name}", float(value), where, text=text, kept=kept)
