"""
Decides whether a file of the target node is the one that a process has open or mapped here. No I/O.

A file that is written has to be *the same*: both nodes see one file of one file system. An equal inode number
is no proof, as small file systems count from the same number and cloned machines agree in all numbers. A
proof is a probe file that both nodes see (`gomd.jobs.checkpoint.probes`); one kernel below both nodes; or,
where no probe can be made, a network file system whose server both name alike. A file that is only read has
to be *equal*.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from gomd.jobs.checkpoint.probes import DirectoryProbe

#: Directories of the system's own programs: what is in them comes from packages.
SYSTEM: Final = (
    "/usr/", "/bin/", "/sbin/", "/lib/", "/lib32/", "/lib64/", "/libx32/", "/etc/", "/opt/", "/nix/",
    "/gnu/", "/snap/", "/boot/",
)  # fmt: skip
_LOCAL_TMP: Final = ("/tmp/", "/var/tmp/", "/dev/shm/")  # noqa: S108 - names that are compared, not opened


@dataclass(frozen=True, slots=True)
class FileRequirement:
    """
    A file or directory that a process has open or mapped, and how it is recognised on another node.

    :ivar build_id: in hexadecimal digits, empty when it has none.
    :ivar inode: its number. :ivar device: st_dev of its file system, at the node that describes it.
    :ivar written: the process may change it, so that it has to be the same, not an equal one.
    :ivar mtime: nanoseconds since the epoch when it was changed.
    :ivar digest: of its content (`gomd.jobs.checkpoint.content`), empty when it was not read.
    :ivar whole: the digest is of all of it. :ivar near: the position in it at which the process reads.
    :ivar directory: it is one. :ivar there: it is enough that there is one of this name.
    :ivar volume: names its network file system (`gomd.jobs.checkpoint.mounts.shared_identity`), if any.
    :ivar watched: the process is told of its changes (inotify).
    :ivar denied: of a file of the target node: the job's user may not have it there.
    """

    path: str
    size: int
    build_id: str = ""
    inode: int = 0
    written: bool = False
    mtime: int = 0
    digest: str = ""
    whole: bool = True
    near: int = 0
    device: int = 0
    directory: bool = False
    there: bool = False
    volume: str = ""
    denied: bool = False
    watched: bool = False


@dataclass(frozen=True, slots=True)
class Views:
    """
    What is known of the two nodes that see a file.

    :ivar source: what a message calls the source node; ``target`` the target node.
    :ivar user: the name of the job's user.
    :ivar source_boot: boot id of the kernel. :ivar made: the probes as they are at the source node.
    :ivar seen: those that are seen at the target node, as they are there.
    """

    source: str
    target: str
    source_boot: str = ""
    target_boot: str = ""
    made: Sequence[DirectoryProbe] = field(default=())
    seen: Sequence[DirectoryProbe] = field(default=())
    user: str = ""


def difference(file: FileRequirement, other: FileRequirement | None, views: Views) -> str:
    """
    Return why ``other``, of the same path on the target node, is not the file that the process needs.

    :param other: None when there is none. :returns: a clause with the way out; empty when it will do.
    """
    kind = "directory " if file.directory else ""
    if other is None or other.directory != file.directory:
        return f"{views.target} has no {kind}{file.path}{_way_out(file, views)}"
    denied = f"{views.user or 'its user'} may not have {file.path} on {views.target}" if other.denied else ""
    if denied and not (file.written and other.inode):  # nothing is known of it by which it could be compared
        return denied
    return _another(file, other, views) or denied


def _another(file: FileRequirement, other: FileRequirement, views: Views) -> str:
    """Return why a file of the target node will not do, empty when it will."""
    if file.watched and not _is_of_one_kernel(file, other, views):
        return f"it watches {file.path} for changes (inotify), which {views.target} reaches in another way"
    if file.there or is_the_same(file, other, views):
        return ""
    if file.written:
        return f"{file.path} is another one on {views.target} than on {views.source}{_way_out(file, views)}"
    if unlike := _unlike(file, other):
        return (
            f"{file.path} is another one on {views.target} than on {views.source} ({unlike})"
            f"{_way_out(file, views)}"
        )
    return ""


def is_the_same(file: FileRequirement, other: FileRequirement, views: Views) -> bool:
    """Whether both nodes see one and the same file, as far as that can be proved."""
    equal = file.inode == other.inode != 0
    parent = os.path.dirname(file.path)
    seen = {probe.name: probe for probe in views.seen}
    tried = False
    for probe in views.made:
        if probe.device != file.device:
            continue
        beside = probe.directory == (file.path if file.directory else parent)
        there = seen.get(probe.name)
        if there is None:
            tried = tried or beside
        elif there.device == other.device and (beside or equal):
            return True
    if tried or not equal:
        return False
    if _is_of_one_kernel(file, other, views):
        return True
    return bool(file.volume) and file.volume == other.volume


def _is_of_one_kernel(file: FileRequirement, other: FileRequirement, views: Views) -> bool:
    """Whether both nodes are on one kernel, for which device and inode name one file."""
    numbers = (file.device, file.inode) == (other.device, other.inode) and file.inode != 0
    return numbers and bool(views.source_boot) and views.source_boot == views.target_boot


def _unlike(file: FileRequirement, other: FileRequirement) -> str:
    """Return in what a file that is only read differs from ``other``, empty when it is equal."""
    if file.build_id or other.build_id:
        return "" if file.build_id == other.build_id else "another build"
    if file.directory:
        return "" if file.digest and file.digest == other.digest else "another content"
    if file.size != other.size:
        return "another size"
    if not file.digest:
        return "it could not be read"
    if file.digest != other.digest:
        return "another content"
    return "" if file.whole or file.mtime == other.mtime else "another time of change"


def _way_out(file: FileRequirement, views: Views) -> str:
    if file.build_id or f"{file.path}/".startswith(SYSTEM):
        return f": install the same version of its package on {views.target}"
    shared = f"share it between {views.source} and {views.target}"
    if file.path.startswith(_LOCAL_TMP):
        return f": {shared}, or start the job with --carry {file.path}, or without --shared-tmp"
    return f": {shared}, or start the job with --carry {file.path}"
