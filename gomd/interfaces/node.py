"""Interfaces to the machine: the source of its values, and the control of its processes."""

from __future__ import annotations

from collections.abc import Sequence

from zope.interface import Attribute, Interface

from libgomd.model import Caller, Holdings, Measure, Node, Part, Process, ProcessTable
from libgomd.wire.tree import TreePath


class INodeSource(Interface):
    """
    Where this node's values come from: the stock kernel's /proc, openMosix's tree, or a script.

    Every method blocks for as long as the files that it reads; call it on a thread. No two calls for the
    same part may run at once. Every method may raise `SourceUnavailable`: this read failed, the next one
    may succeed.
    """

    kind = Attribute("str: the name of the source in gomd.ini")
    hides_others = Attribute("bool: people see no processes of other users, because /proc has ``hidepid``")
    parts = Attribute("tuple of Part: what it can sample, in the order in which it should be read")

    def sample(part: Part, now: float) -> object:
        """
        Read one part of the node's sample. Blocks.

        :param now: seconds of a monotonic clock, for rates, averages and ages, not for time stamps.
        :returns: the value of that field of `Sample` (`Load` for `Part.LOAD`, a tuple of `Disk` for
            `Part.DISKS`, ...). A number that the kernel does not have is None.
        """

    def measures() -> Sequence[Measure]:
        """
        Read the values that change slowly or are many: file systems, processor time by mode, sockets. Blocks.

        One that cannot be read is left out, and a file system that hangs costs its own values only.
        """

    def nodes(now: float) -> Sequence[Node]:
        """
        Return the nodes whose values this source itself knows, this one included. Blocks.

        A stock kernel knows only its own node; openMosix's knows every configured node. Ordered by id.
        """

    def processes(now: float) -> ProcessTable:
        """
        Scan every process. Blocks, for milliseconds per hundred processes.

        A process that ends during the scan is left out. One whose files block is shown as it was last known
        (``stuck``). ``cpu_percent`` and the rates cover the time since the last scan; they are None for a
        process that is seen for the first time.

        :param now: as in `sample`. It becomes ``taken_at`` of the table, which the collector replaces by
            the time of day.
        """

    def process(pid: int, now: float) -> Process:
        """
        Read one process now. One whose files block is returned as it was last known. Blocks.

        :raises NotFound: there is no such process.
        :raises TimedOut: its files block, and nothing is known of it.
        """

    def holdings(processes: Sequence[tuple[int, int]]) -> Sequence[Holdings]:
        """
        Read what processes hold, each named by its id and the user id of its owner, in their order. Blocks.

        Of one that has ended, that belongs to another user by now, or whose files block, nothing is known.
        """

    def list_directory(path: TreePath, caller: Caller) -> Sequence[str]:
        """
        Return the names in a directory of the tree, sorted, numbers by value. Blocks.

        :raises NotFound: there is no such directory now.
        """

    def read_file(path: TreePath, caller: Caller) -> bytes:
        """
        Return the content of one file of the tree. Blocks.

        :raises NotFound: there is no such file now; perhaps the process has ended.
        :raises TimedOut: the file is known to block.
        :raises NotAllowed: the kernel would not show it to ``caller``.
        :raises NotPossible: it can only be written, or is larger than this daemon reads.
        """

    def write_file(path: TreePath, value: str) -> None:
        """
        Write one value of the tree, as an admin. Blocks; for `bring` and `expel`, until they are done.

        :raises MalformedRequest: the value is out of range; the text gives the range.
        :raises NotFound: there is no such file now.
        :raises NotPossible: this file cannot be written here; the text says why.
        :raises Conflict: it conflicts with a present setting, such as a new node id while openMosix runs.
        """

    def set_speed(speed: int) -> None:
        """
        Set the speed of a processor. Unlike the tree, it is not limited to 16 bits. Blocks.

        :param speed: 1 to `MAX_SPEED`, where a standard processor has 15000.
        :raises MalformedRequest: it is not in that range, or more than this kernel accepts.
        :raises NotPossible: this source cannot store it; the text says why.
        """


class IProcessControl(Interface):
    """Acts on processes of this node, with no more rights than the caller has on the machine."""

    def signal(pid: int, number: int, caller: Caller, started: int | None = None) -> None:
        """
        Send a signal. Blocks briefly.

        :param started: when the process started, in clock ticks after the boot: no other one of that id is
            meant. None for any.
        :raises Conflict: the process of that id is another one.
        :raises NotFound: there is no such process.
        :raises NotAllowed: the kernel would refuse it to the caller.
        :raises NotPossible: the processes of this source are not processes of this kernel.
        """

    def renice(pid: int, nice: int, caller: Caller, started: int | None = None) -> None:
        """
        Set the niceness, -20 (favoured) to 19. Blocks briefly. Errors as in `signal`.
        """
