"""What a node is read through and acted on: the source of its numbers, and control of its processes."""

from __future__ import annotations

from collections.abc import Sequence

from zope.interface import Attribute, Interface

from libgomd.model import Caller, Node, Part, Process, ProcessTable
from libgomd.wire.tree import TreePath


class INodeSource(Interface):
    """
    Where this node's numbers come from: the stock kernel's /proc, openMosix's tree, a script.

    Every method blocks for as long as the files behind it do and is called on a thread; no two calls
    for the same part run at once. Every method but the constructor may raise `SourceUnavailable`
    (this read failed, the next may work).
    """

    kind = Attribute("its name in gomd.ini, a str")
    hides_others = Attribute("bool: people see no processes of other users, because /proc has ``hidepid``")
    parts = Attribute("tuple of Part: what it can sample, in the order it is best read")

    def sample(part: Part, now: float) -> object:
        """
        Read one part of the node's sample. Blocks.

        :param now: seconds of a clock that is never set: for rates, averages and ages, not for stamps.
        :returns: the value of that field of `Sample` (`Load` for `Part.LOAD`, a tuple of `Disk` for
            `Part.DISKS`, ...); a number the kernel does not have is None in it.
        """

    def nodes(now: float) -> Sequence[Node]:
        """
        The nodes whose values this source itself knows, this one among them. Blocks.

        A stock kernel knows only itself; openMosix's knows every configured node. Ordered by id.
        """

    def processes(now: float) -> ProcessTable:
        """
        Scan every process. Blocks, for milliseconds per hundred processes.

        A process that ends during the scan is left out, one whose files block is shown as it was last
        known (``stuck``). ``cpu_percent`` and the rates are over the time since the last scan (see
        docs/sources.md), None for a process seen for the first time.

        :param now: as in `sample`; also ``taken_at`` of the table, for which the collector puts the
            time of day.
        """

    def process(pid: int, now: float) -> Process:
        """
        Read one process afresh; one whose files block is given as it was last known. Blocks.

        :raises NotFound: there is no such process. :raises TimedOut: its files block, and nothing is known.
        """

    def list_directory(path: TreePath, caller: Caller) -> Sequence[str]:
        """
        The names in a directory of the tree, sorted, numbers by value. Blocks.

        :raises NotFound: there is none of that name now.
        """

    def read_file(path: TreePath, caller: Caller) -> bytes:
        """
        The bytes of one file of the tree. Blocks.

        :raises NotFound: there is none now, the process has ended.
        :raises TimedOut: it is known to block.
        :raises NotAllowed: the kernel would not show it to ``caller``.
        :raises NotPossible: it can only be written, or is larger than this daemon reads.
        """

    def write_file(path: TreePath, value: str) -> None:
        """
        Write one value of the tree, as its admin. Blocks, `bring` and `expel` until they are done.

        :raises MalformedRequest: the value is out of range; says what the range is.
        :raises NotFound: there is no such file now.
        :raises NotPossible: this file cannot be written here; says why.
        :raises Conflict: it clashes with what is set now, as a new own id while openMosix runs.
        """

    def set_speed(speed: int) -> None:
        """
        Set the speed of a processor, which the tree has 16 bits for, to any that there can be. Blocks.

        :param speed: 1 to `MAX_SPEED`.
        :raises MalformedRequest: it is not in that range, or more than this kernel takes.
        :raises NotPossible: this source cannot keep it; the text says why.
        """


class IProcessControl(Interface):
    """Acts on a process of this node, never beyond what the caller could do himself."""

    def signal(pid: int, number: int, caller: Caller) -> None:
        """
        Send a signal. Blocks briefly.

        :raises NotFound: no such process. :raises NotAllowed: the kernel would refuse it to him.
        :raises NotPossible: the processes of this source are not processes of this kernel.
        """

    def renice(pid: int, nice: int, caller: Caller) -> None:
        """
        Set the niceness, -20 (favoured) to 19. Blocks briefly. Errors as in `signal`.
        """
