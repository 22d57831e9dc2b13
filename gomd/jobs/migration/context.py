"""The services of this node that both the source and the target of a migration use."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from gomd.interfaces import IMembership, IThreads
from gomd.jobs.checkpoint.criu import TlsFiles
from gomd.jobs.lifecycle.carried_files import CarriedFiles
from gomd.jobs.migration.channels import Channels
from gomd.jobs.migration.images import FILES_TIMEOUT, ImageDirectories
from gomd.jobs.migration.journal import MigrationJournal, Record
from gomd.jobs.migration.local_jobs import LocalJobs
from gomd.jobs.migration.node_checks import NodeChecks
from gomd.jobs.migration.page_server import PageServers
from gomd.jobs.migration.protocol import State
from libgomd.errors import NotFound
from libgomd.model import Node
from libgomd.wallclock import Wall

if TYPE_CHECKING:
    from gomd.jobs.migration.tree_server import TreeServer

#: Seconds that the disk may take for a record. It is waited for whatever happens, so this is a day.
DISK_TIMEOUT: Final = 86400.0


@dataclass(frozen=True, slots=True)
class Policy:
    """
    Whose jobs may come to this node from others.

    :ivar is_root: whether this daemon runs as root.
    :ivar allow_system_users: tells whether jobs of root and of system users may come.
    :ivar full_for: tells why there is no room for one more guest of a user, a clause; empty when there is.
    """

    is_root: bool
    allow_system_users: Callable[[], bool] = lambda: True
    full_for: Callable[[int], str] = lambda _uid: ""


@dataclass(frozen=True, slots=True)
class MigrationContext:
    """
    The services of this node that both the source and the target of a migration use.

    :ivar wall: gives the time of day, for the records of the journal.
    :ivar threads: for migrations alone: page servers occupy them for minutes.
    :ivar precopy_from: bytes of memory from which on a job's is sent before it is stopped; 0: none is.
    :ivar carried: brings the files that jobs carry along; None: no job here has any.
    :ivar criu: the program that supervisors run. :ivar write_certificates: writes those for criu. Blocks.
    """

    _log: ClassVar[Logger] = Logger()

    clock: IReactorTime
    wall: Wall
    members: IMembership
    threads: IThreads
    criu: str
    write_certificates: Callable[[], TlsFiles]
    page_servers: PageServers
    images: ImageDirectories
    checks: NodeChecks
    policy: Policy
    jobs: LocalJobs
    journal: MigrationJournal
    channels: Channels
    carried: CarriedFiles | None = None
    precopy_from: int = 0

    def tree_server(self, node: Node, size: int) -> TreeServer:
        """
        Return what takes the temporary files of one job.

        :param node: from which it comes. :param size: bytes that are expected.
        :raises CannotMove: nothing can listen.
        """
        from gomd.jobs.migration.tree_server import TreeServer

        servers = self.page_servers
        return TreeServer(self.threads, servers.addresses, servers.sources(node), size)

    # -- nodes

    @property
    def own_id(self) -> int:
        """The id of this node."""
        return int(self.members.own_id)

    def node(self, node_id: int) -> Node:
        """Return what is known of a node. :raises NotFound: there is no such node."""
        return self.members.find(str(node_id))

    def name_of(self, node_id: int) -> str:
        """Return a node as messages name it: ``node 2 beta``."""
        try:
            return f"node {node_id} {self.node(node_id).name}"
        except NotFound:
            return f"node {node_id}"

    # -- what each side does

    async def certificates(self) -> TlsFiles:
        """Return the names of the certificates for criu, written if need be. :raises CannotMove: none are."""
        files: TlsFiles = await self.threads.run(FILES_TIMEOUT, self.write_certificates)
        return files

    async def write(self, migration: str, state: State, job: str, other: int, reason: str) -> None:
        """Write a record to the journal. :raises OSError: the disk did not take it."""
        record = Record(migration, state, job, other, reason, self.wall())
        await self.threads.run(DISK_TIMEOUT, self.journal.write, record)

    async def forget(self, migration: str, state: State, job: str, other: int, reason: str) -> None:
        """Remove a migration that both sides have settled from the journal. :raises OSError: see `write`."""
        record = Record(migration, state, job, other, reason, self.wall())
        await self.threads.run(DISK_TIMEOUT, self.journal.forget, record)

    def in_background(self, work: Awaitable[Any]) -> None:
        """Let something be done that nobody waits for. A failure is logged."""

        async def wait() -> None:
            await work

        Deferred.fromCoroutine(wait()).addErrback(
            lambda failure: self._log.failure("a step of a migration failed", failure=failure)
        )
