"""The /proc tree over all nodes: the files of the source, and the values of the other nodes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from zope.interface import implementer

from gomd.interfaces import IMembership, INodeSource, IThreads, ITree
from gomd.tree.guests import Guests
from gomd.tree.orders import WrittenOrders
from libgomd.errors import NotFound
from libgomd.model import DOWN_VALUE, Caller, Node, Status
from libgomd.wire.tree import NODE_VALUES, Kind, TreePath, tree_value

R = TypeVar("R")
#: Timeouts in seconds. A write may take long, because `bring` and `expel` return when they are done.
READ_TIMEOUT = 10.0
WRITE_TIMEOUT = 600.0


@implementer(ITree)
class ClusterTree:
    """
    Answers for other nodes from membership, for jobs from `Guests`, and for everything else from the source.
    """

    def __init__(
        self,
        source: INodeSource,
        members: IMembership,
        threads: IThreads,
        guests: Guests | None = None,
        ordered: WrittenOrders | None = None,
    ) -> None:
        self._source = source
        self._members = members
        self._threads = threads
        self._guests = guests
        self._ordered = ordered

    async def list_directory(self, path: TreePath, caller: Caller) -> Sequence[str]:
        """See `ITree.list_directory`."""
        if path.parts == ("hpc", "nodes"):
            return [str(node.id) for node in self._members.nodes()]
        if path.kind is Kind.DIRECTORY and path.parts[:2] == ("hpc", "nodes"):
            self._members.find(path.name)
            return NODE_VALUES
        if self._guests is not None:
            if (names := self._guests.list_directory(path)) is not None:
                return names
            path = self._guests.at_home(path)
        return await self._read(self._source.list_directory, path, caller)

    async def _read(self, read: Callable[[TreePath, Caller], R], path: TreePath, caller: Caller) -> R:
        """Read a file of a process on separate threads: a hung one occupies one thread, a caller a few."""
        if path.number is None or path.parts[0] == "hpc":
            return await self._threads.run(READ_TIMEOUT, read, path, caller)
        holder = caller.via.rpartition(":")[0] if caller.uid is None else caller.uid
        key = ("process", path.number)
        return await self._threads.run_apart(READ_TIMEOUT, key, ("reader", holder), read, path, caller)

    async def read_file(self, path: TreePath, caller: Caller) -> bytes:
        """See `ITree.read_file`."""
        if path.kind is Kind.NODE_VALUE:
            return node_value(self._members.find(str(path.number)), path.name)
        if self._guests is None:
            return await self._read(self._source.read_file, path, caller)
        if (found := await self._guests.read_file(path, caller)) is not None:
            return found
        path = self._guests.at_home(path)
        data = await self._read(self._source.read_file, path, caller)
        return await self._guests.as_job(path, data)

    async def write_file(self, path: TreePath, value: str) -> None:
        """See `ITree.write_file`."""
        if self._ordered is None or not await self._ordered.write_file(path, value):
            await self._threads.run(WRITE_TIMEOUT, self._source.write_file, path, value)

    async def set_speed(self, speed: int) -> None:
        """See `ITree.set_speed`."""
        await self._threads.run(READ_TIMEOUT, self._source.set_speed, speed)


def node_value(node: Node, name: str) -> bytes:
    """
    Return the content of file ``name`` of a node as openMosix writes it; a node that is down has -101.

    :raises NotFound: the node is up, but its value is not known.
    """
    if name == "status":
        return b"%d\n" % (node.status if node.up else node.status & Status.CONFIGURED)
    value = tree_value(name, getattr(node, name)) if node.up else DOWN_VALUE
    if value is None:
        raise NotFound(f"the {name} of node {node.id} is not known now: ask again in a second")
    return b"%d\n" % value
