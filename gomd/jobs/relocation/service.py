"""`IRelocation`: moves processes of this node, and of this home, to the nodes on which callers want them."""

from __future__ import annotations

from typing import Final

from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from gomd.interfaces import (
    UNTRUSTED,
    ICollector,
    IJobOwnership,
    IJobs,
    IMembership,
    IMigrator,
    INodeSource,
    IPeers,
    IPlacement,
    IRelocation,
    IThreads,
    JobHere,
    MigrationSubject,
    MoveCost,
    Moved,
    RelocationOutcome,
)
from gomd.jobs.relocation.best_node import BestNode
from gomd.jobs.relocation.move_all import move_all
from gomd.jobs.relocation.remote import BEST, HOME, RemoteRelocation, check_up
from gomd.jobs.relocation.subject import Subject, Subjects, reference_to
from gomd.jobs.shielded import Shielded
from libgomd.errors import CannotMove, GomdError, NotAllowed, PeerUnreachable
from libgomd.model import Caller, Job, Node, Role
from libgomd.wire.tree import TreePath

#: Seconds that a caller waits for one move before it is told that the move goes on.
MOVE_TIMEOUT: Final = 600.0
#: Seconds that one write into the node's tree may take.
WRITE_TIMEOUT: Final = 600.0
#: How many nodes `best` tries before the process stays where it is.
MAX_NODES_TRIED: Final = 5
#: On whose behalf the daemon itself asks other nodes.
DAEMON: Final = Caller(Role.ADMIN, "root", 0, "gomd")


@implementer(IRelocation)
class Relocation:
    """:param ownership: tells which process belongs to which job. :param placement: knows the best node."""

    def __init__(
        self,
        clock: IReactorTime,
        members: IMembership,
        peers: IPeers,
        threads: IThreads,
        source: INodeSource,
        collector: ICollector,
        jobs: IJobs,
        ownership: IJobOwnership,
        migrator: IMigrator,
        placement: IPlacement,
    ) -> None:
        self._members = members
        self._threads = threads
        self._source = source
        self._jobs = jobs
        self._migrator = migrator
        self._shielded = Shielded(clock)
        self._subjects = Subjects(int(members.own_id), jobs, ownership, collector, self.by_kernel)
        self._best_node = BestNode(members, placement, ownership, collector)
        self._remote = RemoteRelocation(members, peers, jobs, self._shielded)

    @property
    def by_kernel(self) -> bool:
        """See `IRelocation.by_kernel`."""
        return bool(self._migrator.kind == "openmosix")

    # -- one process

    async def migrate(
        self, pid: int, target: str, caller: Caller, dry_run: bool = False, started: int | None = None
    ) -> Moved:
        """See `IRelocation.migrate`."""
        if started is None and (job := self._subjects.elsewhere(pid, caller)) is not None:
            return await self._remote.migrate(job, target, caller, dry_run)
        subject = await self._subjects.here(pid, caller, started)
        if target == BEST:
            return await self._to_best(subject, dry_run)
        node = self._members.find(str(subject.home) if target == HOME else target)
        if node.id == subject.node:
            return Moved(node, RelocationOutcome.THERE)
        check_up(node)
        return await self._to(subject, node, dry_run)

    async def lock(self, pid: int, lock: bool, caller: Caller, started: int | None = None) -> None:
        """See `IRelocation.lock`."""
        if started is None and (job := self._subjects.elsewhere(pid, caller)) is not None:
            await self._remote.lock(job, lock, caller)
            self._jobs.set_lock(job.name, lock)
            return
        subject = await self._subjects.to_lock(pid, caller, started)
        if subject.job:
            self._jobs.set_lock(subject.job, lock)
        else:
            await self._write(f"/proc/{subject.pid}/lock", str(int(lock)))

    async def _to(self, subject: Subject, node: Node, dry_run: bool) -> Moved:
        """Move it to ``node``, or only see whether it could move there."""
        asked = subject.asked
        if dry_run:
            if reasons := await self._migrator.reasons(subject.reference, node.id):
                refusal = NotAllowed if any(UNTRUSTED in each for each in reasons) else CannotMove
                raise refusal(
                    f"process {asked} cannot move to node {node.id} {node.name}: {'; '.join(reasons)}"
                )
            return Moved(node, RelocationOutcome.COULD)
        cost = await self._shielded.do(
            self._migrate(subject.reference, node.id), MOVE_TIMEOUT,
            f"process {asked} is still on its way to node {node.id} {node.name} after "
            f"{MOVE_TIMEOUT:g} s: `where {asked}` tells when it is there",
        )  # fmt: skip
        if subject.job is not None and subject.home == self._members.own_id:
            await self._remote.wait_until_noticed(subject.job.pid_at_home, subject.job.nmigs)
        return Moved(node, RelocationOutcome.MOVED, cost)

    async def _to_best(self, subject: Subject, dry_run: bool) -> Moved:
        """Move it to the best node that can take it, or let it stay when that is where it runs."""
        processes = await self._best_node.processes_of(subject)
        unwilling: set[int] = set()
        for _try in range(MAX_NODES_TRIED):
            node = self._best_node.choose(subject, processes, unwilling)
            if node is None:
                break
            moved = None
            try:
                if await self._is_willing(subject, node):
                    if dry_run:
                        return Moved(node, RelocationOutcome.COULD)
                    moved = await self._to(subject, node, dry_run)
                    return moved
            finally:
                if moved is None:
                    self._best_node.withdraw(node)
            unwilling.add(node.id)
        return Moved(self._members.find(str(subject.node)), RelocationOutcome.BEST)

    async def _is_willing(self, subject: Subject, node: Node) -> bool:
        try:
            return not await self._migrator.reasons(subject.reference, node.id)
        except PeerUnreachable:
            return False

    async def _migrate(self, reference: MigrationSubject, node_id: int) -> MoveCost | None:
        """As `IMigrator.migrate`, as a coroutine."""
        cost: MoveCost | None = await self._migrator.migrate(reference, node_id)
        return cost

    # -- all of them

    async def bring(self) -> int:
        """See `IRelocation.bring`."""
        await self._write("/proc/hpc/admin/bring", "1")
        if self.by_kernel:
            return 0
        return await self._shielded.share("bring", self._bring)

    async def expel(self) -> int:
        """See `IRelocation.expel`."""
        await self._write("/proc/hpc/admin/expel", "1")
        if self.by_kernel:
            return 0
        return await self._shielded.share("expel", self._expel)

    async def _bring(self) -> int:
        async def move(job: Job) -> str:
            try:
                await self._remote.migrate(job, HOME, DAEMON, False)
            except GomdError as error:
                now = next((each for each in self._jobs.elsewhere() if each.job == job.job), None)
                return "" if now is None else f"job {job.job} stays on node {now.node}: {error}"
            return ""

        return await move_all(self._jobs.elsewhere, lambda job: job.name, move, "are home", "lstay stays set")

    async def _expel(self) -> int:
        async def move(guest: JobHere) -> str:
            try:
                await self._shielded.do(
                    self._migrate(reference_to(guest), guest.home), MOVE_TIMEOUT,
                    f"it is still on its way to node {guest.home} after {MOVE_TIMEOUT:g} s",
                )  # fmt: skip
            except GomdError as error:
                if any(each.name == guest.name for each in self._guests()):
                    return f"job {guest.name} stays: {error}"
            return ""

        return await move_all(self._guests, lambda guest: guest.name, move, "are gone", "block stays set")

    def _guests(self) -> list[JobHere]:
        return [job for job in self._jobs.here() if job.home != self._members.own_id]

    async def _write(self, path: str, value: str) -> None:
        await self._threads.run(WRITE_TIMEOUT, self._source.write_file, TreePath.parse(path), value)
