"""Reads the processes of a job from /proc: what they have open, and what keeps them from moving. Blocks."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from contextlib import suppress
from typing import Final

from gomd.jobs.checkpoint import (
    inet_sockets,
    ipc_objects,
    process_tree,
    socket_kinds,
    unix_peers,
    whole_process,
)
from gomd.jobs.checkpoint.file_identity import is_at, leads_to
from gomd.jobs.checkpoint.files_in_use import DELETED, FilesInUse
from gomd.jobs.checkpoint.kernel_objects import DEVICES, form_that_stays, stays
from gomd.jobs.checkpoint.mapped_files import Mapping, read_mappings
from gomd.jobs.checkpoint.mounts import read_mounts
from gomd.jobs.checkpoint.namespaces import read_namespaces
from gomd.jobs.checkpoint.process_status import DescriptorInfo, parse_fdinfo
from gomd.jobs.checkpoint.requirements import MAX_FILES
from gomd.jobs.checkpoint.sockets import NAMED_SOCKET, named_sockets

_SHARED: Final = ("/dev/shm/", "/dev/pts/")  # noqa: S108 - names that are compared, not opened
#: Processes and descriptors of a job that are read: criu's images of more would be too large, and a user who
#: opens a million files must not keep a thread busy for good.
MAX_PROCESSES: Final = 4000
MAX_OPEN: Final = 20_000
_TOO_MANY: Final = "it has too many processes or open files"
_TOO_MANY_FILES: Final = "it has too many files open for another node to check"
#: Bytes that the kernel gives as the size of every POSIX message queue.
_QUEUE_SIZE: Final = 80
_IN_TRANSIT: Final = "it has sent open files over a socket that nobody has received yet"


class JobReader:
    """
    Reads the processes of a job one after the other.

    :param pids: the first one's user and namespaces count for all.
    :param own: what the supervisor carries over itself: its pipes and terminal, as named in /proc/PID/fd.
    :param most: descriptors that are read. :param named: say the names of files, for their owner.
    :param criu: the version of criu, empty when it is not known.
    :ivar ports: that its network sockets have bound.
    :raises OSError: the first one has ended.
    """

    def __init__(
        self, pids: Iterable[int], own: frozenset[str], proc: str, most: int, named: bool,
        supervisor: int = 0, criu: str = "",
    ) -> None:  # fmt: skip
        self.pids = list(pids)
        self.proc = proc
        self.stays: dict[str, None] = {}
        self.directories: dict[str, None] = {}
        self.gids: set[int] = set()
        self._own = own
        self._left = most
        self._named = named
        self.ports: tuple[inet_sockets.Port, ...] = ()
        self._criu = criu
        self._sockets_used: dict[str, str] = {}
        self._watched: list[tuple[str, tuple[int, int]]] = []
        first = self.first = f"{proc}/{self.pids[0]}"
        self.uid = os.stat(first).st_uid
        self._named_sockets = named_sockets(f"{first}/net") if self.uid else set()
        self._root = f"{first}/root"
        self._namespaces = read_namespaces(first)
        self._reference = read_namespaces(f"{proc}/{supervisor}") if supervisor else {}
        with suppress(OSError):
            status = whole_process.read_status(first)
            self.gids = set(status.gids | status.groups)
        self.files = FilesInUse(
            f"{first}/root", self.uid, self.gids, read_mounts(first), read_mounts(f"{proc}/self"), MAX_FILES
        )

    def read(self) -> None:
        """Read them all."""
        for pid in self.pids[:MAX_PROCESSES]:
            try:
                self._read_process(f"{self.proc}/{pid}")
            except (FileNotFoundError, ProcessLookupError):
                continue  # it has just ended
        if self._left < 0 or len(self.pids) > MAX_PROCESSES:
            self.stays[_TOO_MANY] = None
        if self.files.too_many:
            self.stays[_TOO_MANY_FILES] = None
        own, too_old = self._sockets_used, inet_sockets.cannot_carry(self._criu, os.uname().release)
        # the kernel goes through all of its hash tables to show these, which takes tens of milliseconds
        uses_network = inet_sockets.uses_network(own)
        tables = inet_sockets.read(f"{self.first}/net") if uses_network else inet_sockets.NONE
        self.ports = inet_sockets.bound(own, tables)
        for why in inet_sockets.reasons_to_stay(own, tables, too_old):
            self.stays[why] = None
        if own and self.proc == "/proc":
            try:
                self._stay(unix_peers.outside({int(inode) for inode in own}, unix_peers.read_sockets()))
            except OSError as error:
                self.stays[f"its sockets cannot be seen: {error.strerror}"] = None
        if self.proc == "/proc" and not self._shares_ipc() and os.geteuid() == 0:
            with suppress(OSError):  # it has just ended
                self.stays.update(dict.fromkeys(ipc_objects.reasons_to_stay(self.pids[0])))
        for why in whole_process.waiting(f"{self.proc}/{pid}" for pid in self.pids[:MAX_PROCESSES]):
            self.stays[why] = None

    def add_shown(self, paths: Iterable[str]) -> None:
        """Add what the job sees of the machine's in temporary directories of its own, used now or not."""
        for path in paths:
            at = self._root + path
            with suppress(OSError):
                known = os.stat(at)
                self._stay_because_of(path, self.files.add_descriptor(at, path, known, parse_fdinfo("")))
                if stat.S_ISDIR(known.st_mode):
                    self.directories[path] = None

    def _shares_ipc(self) -> bool:
        """Whether its System V objects are not its own but its supervisor's, too."""
        own = self._namespaces.get("ipc")
        return own == self._reference.get("ipc", own)

    def _stay(self, why: str) -> None:
        if why:
            self.stays[why] = None

    def _read_process(self, here: str) -> None:
        whole = list(whole_process.reasons(here, self._namespaces, self._reference, self.uid))
        self.stays.update(dict.fromkeys(whole))
        mappings = _mappings(here)
        if self._shares_ipc() and any(mapping.path.startswith("/SYSV") for mapping in mappings):
            self.stays["it uses System V shared memory"] = None
        if any("namespace" in why for why in whole):
            return  # the names in its own namespaces mean nothing in this one
        with suppress(OSError):
            status = whole_process.read_status(here)
            if status.state in process_tree.ENDED:
                return  # it has nothing open, and criu makes such a copy with root's groups
            self.gids |= status.gids | status.groups
        with suppress(FileNotFoundError):
            path = os.readlink(f"{here}/cwd")
            self._stay_because_of(path, self.files.add_directory(f"{here}/cwd", path, os.stat(f"{here}/cwd")))
            if not self.files.travels(path) and not path.endswith(DELETED):
                self.directories[path] = None
        for mapping in mappings:
            if mapping.path.startswith("anon_inode:"):
                self._stay(stays(mapping.path))
            else:
                self._stay_because_of(mapping.path, self.files.add_mapping(here, mapping))
        for name in os.listdir(f"{here}/fd"):
            self._left -= 1
            if self._left < 0:
                break
            target = os.readlink(f"{here}/fd/{name}")
            if target not in self._own:
                self._read_descriptor(here, name, target)

    def _read_descriptor(self, here: str, name: str, target: str) -> None:
        info = parse_fdinfo(_read_fdinfo(f"{here}/fdinfo/{name}"))
        if target.startswith("socket:["):
            inode, protocol = target[8:-1], inet_sockets.protocol(f"{here}/fd/{name}")
            self._sockets_used[inode] = protocol
            self._stay(NAMED_SOCKET if inode in self._named_sockets else "")
            if not inet_sockets.is_known(protocol):
                self._stay(self._socket_family(here, name))
            self._stay(_IN_TRANSIT if info.in_transit else "")
        elif why := stays(target) or form_that_stays(target, info.semaphore, info.direct):
            self.stays[why] = None
        elif info.watched:
            self._watched += [(target, each) for each in info.watched]
        elif target.startswith("/"):
            self._read_file(f"{here}/fd/{name}", target, info)

    def _socket_family(self, here: str, name: str) -> str:
        if self.proc != "/proc":
            return ""
        try:
            return socket_kinds.reason_to_stay(int(here.rpartition("/")[2]), int(name))
        except OSError:
            return ""  # it has ended, or the kernel is older: criu tells then

    def _read_file(self, at: str, target: str, info: DescriptorInfo) -> None:
        if target.startswith("/dev/") and not target.startswith(_SHARED):
            self._stay("" if target in DEVICES else f"it has the device {target} open")
            return
        known = os.stat(at)
        if not leads_to(at, target):
            return  # it was closed, and this is another one
        if stat.S_ISFIFO(known.st_mode):
            if not self.files.travels(target):  # the process at its other end stays here
                named = f"it has the named pipe {target} open" if self._named else "it has a named pipe open"
                self.stays[named] = None
            return
        if stat.S_ISCHR(known.st_mode) or stat.S_ISBLK(known.st_mode):
            if not target.startswith("/dev/pts/"):
                self._stay_because_of(target, f"it has the device {target} open")
            return
        if _is_queue(known) and target.count("/") == 1 and not is_at(self._root + target, known):
            self._stay_because_of(target, f"it has the POSIX message queue {target} open")
            return
        if info.locked and not self.files.travels(target):
            self._stay_because_of(target, f"it holds a lock on {target}")
        self._stay_because_of(target, self.files.add_descriptor(at, target, known, info))

    def _stay_because_of(self, path: str, why: str) -> None:
        """Note a reason that names a file, without the name where everybody may read it."""
        if why and not self._named:
            name = path.removesuffix(DELETED)
            why = why.replace(f"its file {name}", "a file of it").replace(
                f"its directory {name}", "its directory"
            )
            why = why.replace(f"the device {name}", "a device")
            why = why.replace(f"the POSIX message queue {name}", "a POSIX message queue").replace(
                name, "a file"
            )
        self._stay(why)

    def watched(self) -> list[str]:
        """Return why what it watches keeps it; what it watches and has open has to be the same afterwards."""
        found: dict[str, None] = {}
        for target, (inode, device) in self._watched:
            if not self.files.require_the_same(inode, device):
                found[f"it watches files of this node for changes ({target.removeprefix('anon_inode:')})"] = (
                    None
                )
        return list(found)


def _is_queue(known: os.stat_result) -> bool:
    """Whether a file looks like a POSIX message queue, which the kernel shows as if it were in ``/``."""
    return stat.S_ISREG(known.st_mode) and known.st_size == _QUEUE_SIZE


def _read_fdinfo(path: str) -> str:
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.read(65536)
    except FileNotFoundError:
        return ""


def _mappings(here: str) -> list[Mapping]:
    try:
        return read_mappings(here)
    except (FileNotFoundError, PermissionError):
        return []
