"""How processes move where criu does not move them: by openMosix's kernel, or not at all."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from zope.interface import implementer

from gomd.interfaces import IMigrator, INodeSource, IThreads
from libgomd.errors import CannotMove
from libgomd.model import Caller, Counter, Role
from libgomd.wire.tree import TreePath

#: Seconds openMosix's kernel may take to move one process, and to tell of one.
MOVE_LIMIT = 600.0
READ_LIMIT = 10.0


@implementer(IMigrator)
class OpenMosixMigrator:
    """:param source: over an openMosix kernel's tree. :param own_id: of this node."""

    kind = "openmosix"

    def __init__(self, source: INodeSource, threads: IThreads, own_id: int) -> None:
        self._source = source
        self._threads = threads
        self._own_id = own_id
        self._caller = Caller(Role.ADMIN, "root", 0, "gomd")

    def cannot(self) -> str:
        """See `IMigrator.cannot`."""
        return ""

    async def reasons(self, pid: int, node: int) -> Sequence[str]:
        """See `IMigrator.reasons`: what the kernel says in ``cantmove``."""
        told = await self._read(pid, "cantmove")
        return [told] if told else []

    async def migrate(self, pid: int, node: int) -> None:
        """See `IMigrator.migrate`: the kernel takes an order it may not follow; so it is looked at."""
        if told := await self.reasons(pid, node):
            raise CannotMove(f"process {pid} cannot be moved: {told[0]}")
        target = 0 if node == self._own_id else node
        path = TreePath.parse(f"/proc/{pid}/goto")
        await self._threads.run(MOVE_LIMIT, self._source.write_file, path, str(target))
        where = await self._read(pid, "where")
        if where != str(target):
            raise CannotMove(f"process {pid} stays on node {where}: the kernel did not move it")

    def join(self, node: int, stream: Any) -> None:
        """See `IMigrator.join`: the kernels talk to each other by themselves."""
        stream.close()

    def counters(self) -> Iterable[Counter]:
        """See `IMigrator.counters`."""
        return ()

    async def _read(self, pid: int, name: str) -> str:
        path = TreePath.parse(f"/proc/{pid}/{name}")
        found: bytes = await self._threads.run(READ_LIMIT, self._source.read_file, path, self._caller)
        return found.decode("utf-8", "replace").strip()


@implementer(IMigrator)
class NoMigrator:
    """:param reason: why nothing moves here, a clause; it stands in ``cantmove`` of every process."""

    kind = "none"

    def __init__(self, reason: str) -> None:
        self._reason = reason

    def cannot(self) -> str:
        """See `IMigrator.cannot`."""
        return self._reason

    async def reasons(self, pid: int, node: int) -> Sequence[str]:
        """See `IMigrator.reasons`."""
        return [self._reason]

    async def migrate(self, pid: int, node: int) -> None:
        """See `IMigrator.migrate`: never."""
        raise CannotMove(self._reason)

    def join(self, node: int, stream: Any) -> None:
        """See `IMigrator.join`: there is nothing to talk about."""
        stream.close()

    def counters(self) -> Iterable[Counter]:
        """See `IMigrator.counters`."""
        return ()
