"""The tree of an openMosix kernel. Files are shown unchanged; writes are checked first."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from typing import Final

from gomd.sources.files import ProcRoot, error_of
from gomd.sources.openmosix.text import parse_number
from gomd.sources.settings import HOME, refuse_reading, written_number
from libgomd.errors import Conflict, GomdError, MalformedRequest, NotFound, NotPossible, RequestError
from libgomd.model import Caller, Status
from libgomd.wire.tree import Kind, TreePath

#: openMosix's directory of the tree, and its name in kernels up to 2.4.16.
HPC: Final = "hpc"
_MOSIX: Final = "mosix"
#: Directories of /proc/hpc that are there even while the kernel does not show them.
_ALWAYS: Final = ("admin", "nodes", "remote")
_ALWAYS_THERE: Final = tuple((HPC, name) for name in _ALWAYS)
_MOVES: Final = frozenset({"goto", "migrate"})


class OpenMosixTree:
    """The files of one openMosix kernel. Its methods block while the kernel does."""

    def __init__(self, root: ProcRoot) -> None:
        self.root = root

    def hpc(self) -> str:
        """Return the name that openMosix's directory has on this kernel."""
        old = not self._is_directory(HPC) and self._is_directory(_MOSIX)
        return _MOSIX if old else HPC

    def number(self, path: str) -> int:
        """
        Return the number in a file of openMosix's directory, e.g. ``nodes/1/load``.

        :raises RequestError: there is none, or it cannot be read.
        :raises SourceUnavailable: it holds no number.
        """
        path = f"{self.hpc()}/{path}"
        return parse_number(self.root.read(path), f"/proc/{path}")

    def numbered(self, path: str) -> list[int]:
        """Return the sorted node ids or pids in a directory of openMosix's; empty if it does not exist."""
        try:
            names = self.root.names(f"{self.hpc()}/{path}")
        except NotFound:
            return []
        return sorted(int(name) for name in names if _in_tree(f"/proc/hpc/{path}/{name}"))

    def list_directory(self, path: TreePath, caller: Caller) -> Sequence[str]:
        """See `INodeSource.list_directory`."""
        if path.kind is not Kind.DIRECTORY:
            raise NotPossible(f"{path} is a file; `get` shows what is in it")
        real = self._real(path)
        try:
            names = set(self.root.names(real))
        except NotFound:
            if path.parts not in _ALWAYS_THERE or not self._is_directory(self.hpc()):
                raise
            names = set()  # without guests or nodes there may be no such directory
        if not path.parts and _MOSIX in names:
            names.add(HPC)
        if path.parts == (HPC,):
            names.update(_ALWAYS)
        found = [name for name in names if _in_tree(f"{path}/{name}")]
        return sorted(found, key=lambda name: (0, int(name), "") if name.isdigit() else (1, 0, name))

    def read_file(self, path: TreePath, caller: Caller) -> bytes:
        """See `INodeSource.read_file`: the kernel's bytes, unchanged."""
        refuse_reading(path)
        return self.root.read(self._real(path), caller)

    def write_file(self, path: TreePath, value: str) -> None:
        """
        See `INodeSource.write_file`. `bring` and `expel` return when the kernel is done with them.

        :raises Conflict: the kernel is in the wrong state for it, e.g. for a new id while openMosix runs.
        """
        number = written_number(path, value)
        real = self._real(path)
        try:
            descriptor = self.root.open(real, os.O_WRONLY | os.O_TRUNC)
            try:
                if path.name in _MOVES and number != HOME:
                    self._check_target(number)
                os.write(descriptor, b"%d\n" % number)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise refusal_of(error, path, number) from error

    def _check_target(self, node: int) -> None:
        """
        Check that ``node`` is up: openMosix accepts a node that is down and then does nothing.

        :raises NotFound: it is not configured. :raises NotPossible: it is down.
        """
        try:
            status = Status(self.number(f"nodes/{node}/status"))
        except NotFound:
            raise NotFound(f"node {node} is not configured; `nodes` lists those that are") from None
        if not status & Status.UP:
            raise NotPossible(f"node {node} is down; `nodes` shows which are up")

    def _real(self, path: TreePath) -> str:
        """Return the path below the root at which the kernel has ``path``."""
        if path.parts and path.parts[0] == HPC:
            return "/".join((self.hpc(), *path.parts[1:]))
        return "/".join(path.parts)

    def _is_directory(self, path: str) -> bool:
        return os.path.isdir(self.root.under(path))


def refusal_of(error: OSError, path: TreePath, number: int) -> GomdError:
    """Return the gomd error that says why the kernel refused ``number`` for ``path``."""
    of_process = path.kind is Kind.CLUSTER
    if error.errno in (errno.EPERM, errno.EACCES):
        if of_process and error.errno == errno.EPERM:
            return NotPossible(f"process {path.number} is the system's own: openMosix does not do that to it")
        return NotPossible(f"gomd may not write {path}: it has to run as root for that")
    if error.errno == errno.EROFS and of_process:
        return NotPossible(f"process {path.number} is a kernel thread, which cannot be moved or locked")
    if error.errno == errno.EBUSY:
        return Conflict(f"{path} cannot become {number} while openMosix runs: write 0 to it first")
    if error.errno == errno.EINVAL:
        return MalformedRequest(f"openMosix does not take {number} for {path}")
    if error.errno == errno.ENXIO and (path.kind is Kind.ADMIN or path.name in _MOVES):
        return NotPossible("openMosix is not configured for that on this node; `setpe -r` shows its map")
    if error.errno in (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ETIMEDOUT):
        return NotPossible(f"node {number} cannot be reached; `nodes` shows which are up")
    return error_of(error, str(path).removeprefix("/proc/"))


def _in_tree(path: str) -> bool:
    try:
        TreePath.parse(path)
    except RequestError:
        return False
    return True
