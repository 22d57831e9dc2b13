"""What both sides of a migration stand on: the parts of this node that they use."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable
from dataclasses import dataclass

from twisted.internet.interfaces import IReactorTime

from gomd.interfaces import IMembership, IThreads
from gomd.jobs.checkpoint import inspection
from gomd.jobs.checkpoint.criu import Criu, TlsFiles
from gomd.jobs.checkpoint.page_connection import accept, listen
from gomd.jobs.checkpoint.requirements import Capabilities, Requirements
from gomd.jobs.home.table import HomeTable
from gomd.jobs.lifecycle.supervisors import Supervisors
from gomd.jobs.lifecycle.tracker import JobTracker
from gomd.jobs.migration.bounded_inspection import BoundedInspection
from gomd.jobs.migration.channels import Channels
from gomd.jobs.migration.journal import MigrationJournal, Record
from gomd.jobs.migration.location import JobLocations
from gomd.jobs.migration.protocol import State
from libgomd.errors import CannotMove, NotFound
from libgomd.private import make_private_directory
from libgomd.wallclock import Wall

#: Seconds the disk may take for a record: it is waited for, whatever it takes.
DISK_LIMIT = 86400.0
#: Seconds for reading or writing images, and for looking at a process or at what a node has of its needs.
FILES_LIMIT = 120.0
LOOK_LIMIT = 30.0
#: Seconds that what `Criu.check` said holds.
CHECK_AGAIN = 600.0


@dataclass(frozen=True, slots=True)
class NodeServices:
    """
    What this machine does for moving processes.

    :ivar address: IPv4 address that the other nodes reach it at. :ivar own_uid: the daemon's user.
    :ivar tls: writes the certificates for criu to files and tells their names. Blocks.
    :ivar directory: for images, each migration in a directory of its own.
    :ivar listen: waits for memory, as `gomd.jobs.checkpoint.page_connection` does, and ``accept`` takes it.
    :ivar look: reads what a job needs, given its pid, its supervisor's, and its user. Blocks.
    :ivar stays: reads why a job can leave for nowhere, given both pids. Blocks.
    :ivar offer: reads what this machine has of needs, as `gomd.jobs.checkpoint.inspection.read_offer` does.
        Blocks.
    :ivar system_users: tells whether processes of root and of system users may come from other nodes.
    """

    criu: Criu
    address: str
    own_uid: int
    directory: str
    tls: Callable[[], TlsFiles]
    listen: Callable[[str], socket.socket] = listen
    accept: Callable[..., socket.socket] = accept
    look: Callable[[int, int, str], Requirements] = inspection.look
    stays: Callable[[int, int], list[str]] = inspection.look_for_stays
    offer: Callable[[Requirements, str, str, str], Capabilities] = inspection.read_offer
    system_users: Callable[[], bool] = lambda: True


class CriuCheck:
    """Whether criu works here: looked at when it is first asked, and again after a while."""

    def __init__(self, criu: Criu, threads: IThreads, clock: IReactorTime) -> None:
        self._criu = criu
        self._threads = threads
        self._clock = clock
        self._looked = -CHECK_AGAIN
        self.known = ""

    async def why_not(self) -> str:
        """Return what keeps criu from working, empty when nothing does."""
        now = self._clock.seconds()
        if now - self._looked >= (CHECK_AGAIN if not self.known else CHECK_AGAIN / 20):
            self.known = await self._threads.run(LOOK_LIMIT, self._criu.check)
            self._looked = now
        return self.known


@dataclass(frozen=True, slots=True)
class MigrationContext:
    """
    :ivar threads: of their own: they are taken by page servers for as long as these serve.
    :ivar room: tells why there is no room for one more guest of a user, a clause; empty when there is.
    :ivar wall: gives the time of stamps.
    """

    clock: IReactorTime
    members: IMembership
    threads: IThreads
    machine: NodeServices
    ability: CriuCheck
    keeper: JobTracker
    table: HomeTable
    here: Supervisors
    whereabouts: JobLocations
    log: MigrationJournal
    post: Channels
    looks: BoundedInspection
    wall: Wall
    room: Callable[[int], str] = lambda _uid: ""

    @property
    def own_id(self) -> int:
        """The id of this node."""
        return int(self.members.own_id)

    def name_of(self, node_id: int) -> str:
        """Return how a sentence calls a node: ``node 2 beta``."""
        try:
            return f"node {node_id} {self.members.find(str(node_id)).name}"
        except NotFound:
            return f"node {node_id}"

    def address_of(self, node_id: int) -> str:
        """Return the address of a node. :raises NotFound: there is no such node."""
        return self.members.find(str(node_id)).address

    async def write(self, migration: str, state: State, job: str, other: int, reason: str) -> None:
        """Write a record. :raises OSError: the disk did not take it."""
        record = Record(migration, state, job, other, reason, self.wall())
        await self.threads.run(DISK_LIMIT, self.log.write, record)

    def directory(self, migration: str, side: str) -> str:
        """Return the directory for the images of one side of a migration."""
        return os.path.join(self.machine.directory, f"{migration}.{side}")

    async def make_directory(self, migration: str, side: str) -> str:
        """Make it, empty, and return it. :raises CannotMove: there is no room."""
        path = self.directory(migration, side)
        try:
            await self.threads.run(FILES_LIMIT, _make, path)
        except OSError as error:
            raise CannotMove(f"{self.name_of(self.own_id)}: {path}: {error.strerror}") from error
        return path

    async def remove_directory(self, migration: str, side: str) -> None:
        """Remove it and what is in it."""
        await self.threads.run(FILES_LIMIT, shutil.rmtree, self.directory(migration, side), True)


def _make(path: str) -> None:
    make_private_directory(os.path.dirname(path))
    shutil.rmtree(path, ignore_errors=True)
    os.mkdir(path, 0o700)
