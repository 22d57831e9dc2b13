"""The source that a contract test runs for, and what its tree holds."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, ClassVar, Final

from twisted.trial.unittest import SynchronousTestCase

from gomd.interfaces import INodeSource
from libgomd.model import (
    Caller,
    Cpu,
    Disk,
    Interface,
    Load,
    Memory,
    Node,
    Paging,
    Part,
    Pressure,
    Process,
    ProcessTable,
    Role,
    Status,
)  # fmt: skip
from libgomd.wire.tree import TreePath

if TYPE_CHECKING:
    _Base = SynchronousTestCase
else:
    _Base = object

#: The moment of the first read in these tests.
NOW: Final = 1_800_000_000.0
ADMIN: Final = Caller(Role.ADMIN, "root", 0, "unix")
READER: Final = Caller(Role.READ, "", None, "tcp 127.0.0.1:40000")
#: What may be written in the tree but never read.
WRITE_ONLY: Final = frozenset({"bring", "expel", "goto", "migrate"})
SWITCHES: Final = {
    "stay": Status.STAY, "lstay": Status.LSTAY, "block": Status.BLOCK, "quiet": Status.QUIET,
}  # fmt: skip
#: Not a number as anybody means it; openMosix takes "1 2" for 1 and drops the rest without a word.
NO_NUMBERS: Final = ("", "x", "1 2", "1.5", "0x1", "\u0661", "1e0", "-", "9" * 40)
BAD_VALUES: Final = {
    **dict.fromkeys(SWITCHES, ("2", "-1", "65536", *NO_NUMBERS)),
    **dict.fromkeys(("speed", "sspeed"), ("0", "-1", "65536", "1000000", *NO_NUMBERS)),
    **dict.fromkeys(("bring", "expel"), ("0", "2", "-1", *NO_NUMBERS)),
}
LIST_PARTS: Final = {Part.DISKS: Disk, Part.NETWORK: Interface}
PARTS: Final = {
    Part.LOAD: Load, Part.CPU: Cpu, Part.MEMORY: Memory, Part.PAGING: Paging, Part.PRESSURE: Pressure,
}  # fmt: skip


class SourceUnderTest(_Base):
    """A subclass says which source and what its tree holds."""

    #: The name of the source in gomd.ini.
    kind: ClassVar[str]
    #: The id of the node in the tree, a process it has, and one it has not.
    own_id: ClassVar[int]
    known_pid: ClassVar[int]
    absent_pid: ClassVar[int] = 4_000_000
    #: Directories that must be in the tree besides those of openMosix's own, e.g. ``/proc/net``.
    directories: ClassVar[tuple[str, ...]] = ()
    #: Files of the kernel's own that must be there, ``{pid}`` for the known one.
    kernel_files: ClassVar[tuple[str, ...]] = ("/proc/loadavg", "/proc/{pid}/stat")

    def make_source(self) -> INodeSource:
        """Return a fresh source over a tree of this test's own, which it may write to."""
        raise NotImplementedError

    def make_lost_source(self) -> INodeSource:
        """Return a source whose tree is not there any more: nothing can be read."""
        raise NotImplementedError

    def kernel_runs(self) -> None:
        """
        Let the kernel behind the tree do what it does after a write; nothing for most.

        A copied openMosix tree has no kernel: its test does here what openMosix's kernel
        does (status follows the switches, `bring` leaves lstay), from what the source really wrote.
        """

    def write(self, source: INodeSource, path: str, value: str) -> None:
        source.write_file(TreePath.parse(path), value)
        self.kernel_runs()

    def read(self, source: INodeSource, path: str, caller: Caller = ADMIN) -> bytes:
        return source.read_file(TreePath.parse(path), caller)

    def own_node(self, source: INodeSource) -> Node:
        [own] = [node for node in source.nodes(NOW) if node.id == self.own_id]
        return own


def find_process(table: ProcessTable, pid: int) -> Process:
    [process] = [process for process in table.processes if process.pid == pid]
    return process


def without_rates(process: Process) -> Process:
    return dataclasses.replace(process, cpu_percent=None, read_rate=None, write_rate=None)
