"""The tree on a stock kernel: the kernel's own files, and openMosix's files with values from gomd."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence
from typing import ClassVar, Final

from twisted.logger import Logger

from gomd.sources.admin import AdminStore
from gomd.sources.files import ProcRoot, error_of
from gomd.sources.linux.pidstat import PidStat, mask_pid_stat, parse_pid_stat
from gomd.sources.linux.process_reader import why_unmovable
from gomd.sources.locks import ProcessLocks
from gomd.sources.settings import refuse_reading, written_number
from libgomd.errors import NotFound, NotPossible, SourceUnavailable
from libgomd.model import Caller, Node
from libgomd.version import VERSION
from libgomd.wire.tree import (
    ADMIN_FILES,
    CLUSTER_FILES,
    KERNEL_FILES,
    MAX_TREE_SPEED,
    NODE_VALUES,
    PROCESS_FILES,
    Kind,
    TreePath,
    tree_value,
)  # fmt: skip

_HPC: Final = ("admin", "nodes", "remote")
#: Writing 1 to bring or expel also sets this switch, as in openMosix.
_LEFT_BY_ORDER: Final = {"bring": "lstay", "expel": "block"}


class LinuxTree:
    """
    Lists, reads and writes the tree. Its methods implement those of `INodeSource`, and block.

    :param own: gives this node as it is now. :param speed: gives its speed. :param yardstick: gives the
        speed of a standard machine.
    """

    _log: ClassVar[Logger] = Logger()

    def __init__(
        self,
        root: ProcRoot,
        node_id: int,
        admin: AdminStore,
        locks: ProcessLocks,
        own: Callable[[], Node],
        speed: Callable[[], int],
        yardstick: Callable[[], int],
    ) -> None:
        self._root, self._id, self._admin, self._locks = root, node_id, admin, locks
        self._own, self._speed, self._yardstick = own, speed, yardstick
        #: The processes of other users are hidden until it is known that the kernel shows them.
        self.hides_others = True
        self._trouble = ""
        self.look_for_hiding()

    def look_for_hiding(self) -> None:
        """
        Check again whether /proc hides the processes of other users, since it can be remounted.

        Never raises.
        """
        try:
            self.hides_others = self._root.hides_others()
            self._trouble = ""
        except SourceUnavailable as error:
            if str(error) != self._trouble:
                self._trouble = str(error)
                self._log.warn(
                    "whether /proc hides processes (hidepid) cannot be told: they {are} as before: {error}",
                    are="are hidden" if self.hides_others else "are shown", error=error,
                )  # fmt: skip

    # -- listing

    def list_directory(self, path: TreePath, caller: Caller) -> Sequence[str]:
        """See `INodeSource`. :raises NotPossible: ``path`` is a file."""
        if path.kind is not Kind.DIRECTORY:
            raise NotPossible(f"{path} is a file; `get` shows what is in it")
        parts = path.parts
        if not parts:
            return self._list_root(caller)
        if path.number is not None and parts[0] != "hpc":
            return self._list_process(path.number, caller)
        if parts == ("hpc",):
            return _HPC
        if parts[0] == "hpc":
            return self._list_hpc(path)
        names = set(self._root.names(parts[0]))
        return sorted(
            name.split("/")[1]
            for name in KERNEL_FILES
            if name.startswith(f"{parts[0]}/") and name.split("/")[1] in names
        )

    def _list_root(self, caller: Caller) -> list[str]:
        names = set(self._root.names())
        pids = sorted(int(name) for name in names if name.isascii() and name.isdigit() and name[0] != "0")
        if self.hides_others:
            pids = [pid for pid in pids if self._owns(caller, pid)]
        words = {"hpc"} | {name.split("/")[0] for name in KERNEL_FILES}.intersection(names)
        return [*map(str, pids), *sorted(words)]

    def _list_process(self, pid: int, caller: Caller) -> list[str]:
        self._check_shown(pid, caller)
        return sorted({*CLUSTER_FILES, *set(PROCESS_FILES).intersection(self._root.names(str(pid)))})

    def _list_hpc(self, path: TreePath) -> Sequence[str]:
        if path.number is None:
            return {"admin": ADMIN_FILES, "nodes": [str(self._id)]}.get(path.name, ())
        if path.parts[1] == "nodes":
            self._check_own(path)
            return NODE_VALUES
        raise _no_guest(path)

    # -- reading

    def read_file(self, path: TreePath, caller: Caller) -> bytes:
        """See `INodeSource`."""
        refuse_reading(path)
        if path.kind is Kind.KERNEL:
            return self._root.read("/".join(path.parts), caller)
        if path.kind is Kind.ADMIN:
            return self._read_admin(path.name)
        if path.kind is Kind.NODE_VALUE:
            self._check_own(path)
            value = tree_value(path.name, getattr(self._own(), path.name))
            if value is None:
                raise SourceUnavailable(f"the {path.name} of this node is not known now; `stats` says why")
            return _line(value)
        if path.kind is Kind.REMOTE:
            raise _no_guest(path)
        assert path.number is not None
        self._check_shown(path.number, caller)
        if path.kind is Kind.CLUSTER:
            return self._read_cluster(path.number, path.name)
        data, owner = self._root.read_owned("/".join(path.parts), caller)
        return mask_pid_stat(data) if path.name == "stat" and not caller.owns(owner) else data

    def _read_admin(self, name: str) -> bytes:
        if name == "version":
            return f"gomd {VERSION} on Linux {os.uname().release}\n".encode()
        if name == "mospe":
            return _line(self._id)
        if name == "speed":
            return _line(min(self._speed(), MAX_TREE_SPEED))
        if name == "sspeed":
            return _line(min(self._yardstick(), MAX_TREE_SPEED))
        return _line(getattr(self._admin.state, name))

    def _read_cluster(self, pid: int, name: str) -> bytes:
        stat = self._stat_of(pid)
        if name == "cantmove":
            return why_unmovable(stat).encode() + b"\n"
        return _line(name == "lock" and (pid, stat.started) in self._locks.locked())

    # -- writing

    def write_file(self, path: TreePath, value: str) -> None:
        """See `INodeSource`."""
        if path.kind is Kind.DIRECTORY:
            raise NotPossible(f"{path} is a directory, not a value")
        if path.kind is Kind.CLUSTER:
            assert path.number is not None
            stat = self._stat_of(path.number)
            number = written_number(path, value)
            if path.name != "lock":
                raise NotPossible(
                    f"process {path.number} was not started by gomd and stays here; "
                    "what `run` starts can be moved"
                )
            self._locks.set((path.number, stat.started), bool(number))
            return
        number = written_number(path, value)
        if path.name == "mospe":
            raise NotPossible("the node's id is set before it starts: id in [node] of gomd.ini")
        self._admin.change(_LEFT_BY_ORDER.get(path.name, path.name), number)

    # -- checks

    def _stat_of(self, pid: int) -> PidStat:
        self._check_process(pid)
        return parse_pid_stat(self._root.read(f"{pid}/stat"))

    def _check_own(self, path: TreePath) -> None:
        if path.number != self._id:
            raise NotFound(f"there is no node {path.number} here; this is node {self._id}")

    def _check_shown(self, pid: int, caller: Caller) -> None:
        owner = self._root.owner(pid)
        if self.hides_others and not caller.owns(owner):
            raise error_of(FileNotFoundError(errno.ENOENT, ""), str(pid))  # as of one that does not exist
        self._check_process(pid)

    def _check_process(self, pid: int) -> None:
        try:
            self._root.check_process(pid)
        except OSError as error:
            raise error_of(error, str(pid)) from error

    def _owns(self, caller: Caller, pid: int) -> bool:
        try:
            return caller.owns(self._root.owner(pid))
        except NotFound:
            return False


def _line(number: int) -> bytes:
    return b"%d\n" % number


def _no_guest(path: TreePath) -> NotFound:
    return NotFound(f"there is no guest {path.number} on this node")
