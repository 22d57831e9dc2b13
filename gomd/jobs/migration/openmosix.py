"""Moves processes by openMosix's kernel, which is told so through its files under /proc."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from zope.interface import implementer

from gomd.interfaces import IMigrator, INodeSource, IThreads, MigrationSubject, MoveCost
from gomd.jobs.migration.stateless import StatelessMigrator
from libgomd.errors import CannotMove
from libgomd.model import Caller, Counter, Role
from libgomd.wire.tree import TreePath

#: Seconds openMosix's kernel may take to move one process.
MOVE_TIMEOUT: Final = 600.0
#: Seconds a read of one of the kernel's files may take.
READ_TIMEOUT: Final = 10.0


@implementer(IMigrator)
class OpenMosixMigrator(StatelessMigrator):
    """
    Writes and reads the files that openMosix's kernel shows for each process.

    :param source: reads and writes the kernel's tree. :param own_id: the id of this node.
    """

    kind = "openmosix"

    def __init__(self, source: INodeSource, threads: IThreads, own_id: int) -> None:
        self._source = source
        self._threads = threads
        self._own_id = own_id
        self._caller = Caller(Role.ADMIN, "root", 0, "gomd")

    def cannot(self) -> str:
        """See `IMigrator.cannot`."""
        return ""

    async def check(self) -> str:
        """See `IMigrator.check`."""
        return ""

    async def reasons(self, subject: MigrationSubject, node: int) -> Sequence[str]:
        """See `IMigrator.reasons`. The kernel gives its reasons in the file ``cantmove``."""
        reason = await self._read(subject.pid, "cantmove")
        return [reason] if reason else []

    async def migrate(self, subject: MigrationSubject, node: int) -> MoveCost | None:
        """
        See `IMigrator.migrate`.

        The kernel accepts any target and may still leave the process where it is, so ``where`` is read
        afterwards.
        """
        pid = subject.pid
        if reasons := await self.reasons(subject, node):
            raise CannotMove(f"process {pid} cannot be moved: {reasons[0]}")
        target = 0 if node == self._own_id else node
        path = TreePath.parse(f"/proc/{pid}/goto")
        await self._threads.run(MOVE_TIMEOUT, self._source.write_file, path, str(target))
        where = await self._read(pid, "where")
        if where != str(target):
            raise CannotMove(f"process {pid} stays on node {where}: the kernel did not move it")
        return None

    def join(self, node: int, stream: Any) -> None:
        """See `IMigrator.join`. The stream is closed: the kernels talk to each other by themselves."""
        stream.close()

    def counters(self) -> Iterable[Counter]:
        """See `IMigrator.counters`."""
        return ()

    async def _read(self, pid: int, name: str) -> str:
        path = TreePath.parse(f"/proc/{pid}/{name}")
        found: bytes = await self._threads.run(READ_TIMEOUT, self._source.read_file, path, self._caller)
        return found.decode("utf-8", "replace").strip()
