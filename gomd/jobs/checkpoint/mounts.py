"""The mounts of a process as mountinfo shows them, and which nodes share. Only `read_mounts` does I/O."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

#: Bytes that are read of a mountinfo file; containers have some hundred mounts.
MAX_MOUNTINFO: Final = 4 << 20
#: File systems that show the kernel's own state: their files only have to be there.
KERNEL_STATE: Final = frozenset((
    "proc", "sysfs", "cgroup", "cgroup2", "devpts", "debugfs", "tracefs", "securityfs", "bpf", "configfs",
    "mqueue", "efivarfs", "pstore", "selinuxfs", "binfmt_misc", "nsfs", "autofs",
))  # fmt: skip
#: File systems whose f_fsid names the same volume on every node of the cluster.
_CLUSTER: Final = frozenset(("ceph", "gfs2", "ocfs2", "lustre", "gpfs"))
_NETWORK: Final = frozenset(("nfs", "nfs4", "cifs", "smb3"))
_ESCAPED = re.compile(r"\\([0-7]{3})")


class Mount(NamedTuple):
    """
    One mount. :ivar device: the st_dev of its files, which some file systems divide further.

    :ivar root: the directory of the file system that is mounted. :ivar point: where.
    :ivar kind: of the file system. :ivar source: what is mounted, as the file system says.
    :ivar options: of a file system of the network, with their values; none of another one.
    """

    device: tuple[int, int]
    root: str
    point: str
    kind: str
    source: str
    options: Mapping[str, str]

    @property
    def place(self) -> tuple[tuple[int, int], str, str]:
        """The device, root and mount point: equal for the same mount in two namespaces."""
        return self.device, self.root, self.point


def parse_mountinfo(text: str) -> list[Mount]:
    """Return the mounts in ``text``, in the order of the file; lines that are torn are left out."""
    found = []
    for line in text.split("\n"):
        before, _, after = line.partition(" - ")
        words, more = before.split(" "), after.split(" ")
        major, colon, minor = words[2].partition(":") if len(words) > 5 else ("", "", "")
        if not colon or len(more) < 3 or not (major.isdigit() and minor.isdigit()):
            continue
        options = _options(more[2]) if more[0] in _NETWORK else {}
        found.append(
            Mount(
                (int(major), int(minor)),
                _plain(words[3]),
                _plain(words[4]),
                more[0],
                _plain(more[1]),
                options,
            )
        )
    return found


def read_mounts(here: str) -> list[Mount]:
    """Return the mounts of a process, empty when they cannot be read."""
    try:
        with open(f"{here}/mountinfo", encoding="utf-8", errors="surrogateescape", newline="\n") as file:
            return parse_mountinfo(file.read(MAX_MOUNTINFO))
    except OSError:
        return []


def mount_of(mounts: Sequence[Mount], path: str) -> Mount | None:
    """Return the mount on which an absolute path is, the uppermost one; None when there is none."""
    found, longest = None, 0
    for mount in mounts:
        point = mount.point
        if len(point) >= longest and path.startswith(point) and is_below(path, point):
            found, longest = mount, len(point)
    return found


def is_below(path: str, directory: str) -> bool:
    """Whether an absolute path is ``directory`` or in it, by its name."""
    return path == directory or path.startswith(directory if directory.endswith("/") else directory + "/")


def shared_identity(mount: Mount, fsid: int) -> str:
    """
    Return what names the same volume on every node that has it mounted, empty when nothing does.

    It tells less than a probe file: a server may be replaced behind its address. Only files whose inode
    numbers are equal too may be taken for the same.

    :param fsid: f_fsid of the file system.
    """
    if mount.kind in _CLUSTER:
        return f"{mount.kind} {fsid:x}" if fsid else ""
    if mount.kind == "fuse.glusterfs":
        server, colon, volume = mount.source.rpartition(":")
        return f"glusterfs {server}:{volume}" if colon and not _is_local(server) else ""
    if mount.kind in _NETWORK:
        address = mount.options.get("addr", "")
        if not address or _is_local(address):
            return ""
        kind = mount.kind.rstrip("4") if mount.kind.startswith("nfs") else "smb"
        share = (
            mount.source.rpartition(":")[2] if kind == "nfs" else mount.source.lstrip("/").partition("/")[2]
        )
        return f"{kind} {address} {share}"
    return ""


def own_mounts(mounts: Iterable[Mount], daemons: Iterable[Mount]) -> list[Mount]:
    """Return those of a job's ``mounts`` that the daemon does not have: gomd has made them for the job."""
    known = {mount.place for mount in daemons}
    return [mount for mount in mounts if mount.place not in known]


def _is_local(address: str) -> bool:
    """Whether an address means another machine on each node: loopback, or none at all."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address in ("", "localhost") or address.startswith("localhost.")
    return found.is_loopback or found.is_unspecified


def _options(told: str) -> dict[str, str]:
    return {name: value for name, _, value in (word.partition("=") for word in told.split(","))}


def _plain(word: str) -> str:
    """Return a word of the file without the kernel's octal escapes of spaces and the like."""
    return word if "\\" not in word else _ESCAPED.sub(lambda found: chr(int(found[1], 8)), word)
