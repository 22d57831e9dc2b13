"""
A daemon in memory that is node 1 of three, with jobs: one here, one on node 2, a guest of node 2's here.

Node 3 is down. The parts around the verbs, membership, peers, jobs and migrator, play what a test says;
the verbs, the tree and what lies behind both are the daemon's own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from twisted.internet.defer import Deferred
from zope.interface import implementer

from gomd.cluster.names import find_node
from gomd.interfaces import (
    ForwardedReply,
    IJobs,
    IMembership,
    IMigrator,
    IPeers,
    JobHere,
    MigrationSubject,
    MoveCost,
)
from gomd.jobs.disabled import NoJobs
from gomd.jobs.home.changes import JobChanges
from gomd.jobs.migration.stateless import StatelessMigrator
from gomd.jobs.ownership import JobOwnership
from gomd.jobs.placement.choice import Placement
from gomd.jobs.relocation import Relocation
from gomd.protocols.no_peers import NoPeers
from gomd.sources.memory import MemorySource
from gomd.sources.settings import written_number
from gomd.tree.cluster_tree import ClusterTree
from gomd.tree.guests import Guests
from gomd.tree.orders import WrittenOrders
from gomd.verbs.context import Parts
from libgomd.errors import CannotMove, NotAllowed, NotFound, PeerUnreachable
from libgomd.model import Caller, Counter, Job, JobState, Node, Output, Status
from libgomd.testing import MemoryDaemon
from libgomd.wire.lines import Request
from tests.unit.protocols.talk import a_process

UP = Status.CONFIGURED | Status.UP
ALPHA = Node(1, "alpha", "10.0.0.1", UP, 200, 15000, 1, 100, 1 << 30, 1 << 29, 1 << 31, 0.1)
BETA = Node(2, "beta", "10.0.0.2", UP, 0, 15000, 1, 100, 1 << 30, 1 << 29, 1 << 31, 0.1)
GAMMA = Node(3, "gamma", "10.0.0.3", Status.CONFIGURED)

#: The job here: its supervisor, its first process, a child and an orphan of it.
OWN = JobHere(1, 7, 300, 299, 1000, 1000, "make", 300, 1, False, "")
GUEST = JobHere(2, 4, 400, 399, 1000, 1000, "xz", 5_000_004, 2, True, "it has a socket")
AWAY = Job(
    9, 1, 2, 5_000_009, "ada", JobState.RUNNING, None, "./simulate", 1000, 1.0, pid_there=811, nmigs=3
)  # fmt: skip
PROCESSES = [
    a_process(5, ppid=1, cantmove="foreign"),
    a_process(6, ppid=1, uid=0, user="root", cantmove="foreign"),
    a_process(299, ppid=1, uid=0, user="root"),
    a_process(300, ppid=299, rss=1 << 20, cpu_percent=100.0),
    a_process(301, ppid=300, rss=1 << 20),
    a_process(302, ppid=299, rss=1 << 20),
    a_process(399, ppid=1, uid=0, user="root"),
    a_process(400, ppid=399),
]


@implementer(IMembership)
class Members:
    """:ivar known: the nodes."""

    own_id = 1

    def __init__(self) -> None:
        self.known = [ALPHA, BETA, GAMMA]

    def nodes(self) -> Sequence[Node]:
        return self.known

    def find(self, key: str) -> Node:
        return find_node(self.known, key)

    def counters(self) -> Sequence[Counter]:
        return ()


@implementer(IJobs)
class Jobs(NoJobs):
    """
    :ivar running: the jobs here. :ivar away: those of this home on other nodes.
    :ivar unreached: whether they cannot be reached.
    :ivar changes: tells of those that the test makes.
    :ivar told: what it was told, in order. :ivar former: numbers that processes had, to those they have.
    """

    changes: JobChanges

    def __init__(self) -> None:
        self.running = [OWN, GUEST]
        self._away = [AWAY]
        self.told: list[tuple[Any, ...]] = []
        self.former: dict[int, int] = {}
        self._unreached = False

    @property
    def away(self) -> list[Job]:
        return self._away

    @away.setter
    def away(self, jobs: list[Job]) -> None:
        self._away = jobs
        for job in jobs:
            self.changes.notify(job.job)

    @property
    def unreached(self) -> bool:
        return self._unreached

    @unreached.setter
    def unreached(self, unreached: bool) -> None:
        self._unreached = unreached
        self.changes.notify(AWAY.job)

    def until(self, job: Job, condition: Callable[[], bool], timeout: float) -> Any:
        return self.changes.until(job.job, condition, timeout)

    def find(self, number: int, caller: Caller) -> Job:
        job = next((job for job in self.away if job.job == number), None)
        if job is None:
            raise NotFound(f"there is no job {number} here: `jobs` lists them")
        if not caller.owns(job.uid):
            raise NotAllowed(f"job {number} is not yours: it is {job.user}'s")
        return job

    def signal(self, job: Job, number: int, group: bool) -> None:
        if self.unreached:
            raise PeerUnreachable(f"job {job.job} on node {job.node} cannot be reached now: try again")
        self.told.append(("signal", job.job, number))

    def of_pid(self, pid: int) -> Job | None:
        return next((job for job in self.away if job.pid == pid), None)

    def here(self) -> Sequence[JobHere]:
        return list(self.running)

    def elsewhere(self) -> Sequence[Job]:
        return [job for job in self.away if job.node != 1]

    def pid_here(self, pid: int) -> int:
        return self.former.get(pid, pid)

    def set_lock(self, name: str, lock: bool) -> None:
        self.told.append(("lock", name, lock))

    def hear_of_a_move(self, pid: int) -> None:
        """What the new node tells this home when it runs a job: it comes before the old one's answer."""
        self.away = [replace(job, nmigs=job.nmigs + (job.pid_there == pid)) for job in self.away]

    def moved(self, name: str, node: int, nmigs: int) -> None:
        if name != "1-9":
            raise NotFound(f"there is no job {name} any more")
        self.told.append(("moved", name, node, nmigs))

    async def written(self) -> None:
        """At once."""


@implementer(IMigrator)
class Migrator(StatelessMigrator):
    """
    :ivar moves: what it was told to move. :ivar refusals: process to why it cannot move.
    :ivar unfit: nodes nothing can move to. :ivar held: moves that wait for the test, when it is a list.
    :ivar joined: the streams of letters, with the node each is from.
    """

    def __init__(self, jobs: Jobs, kind: str = "criu") -> None:
        self.kind = kind
        self.moves: list[tuple[int, int]] = []
        self.refusals: dict[int, list[str]] = {}
        self.unfit: dict[int, list[str]] = {}
        self.held: list[Deferred[MoveCost | None]] | None = None
        self.joined: list[tuple[int | None, Any]] = []
        self._jobs = jobs

    async def check(self) -> str:
        return self.cannot()

    def cannot(self) -> str:
        return ""

    async def reasons(self, subject: MigrationSubject, node: int) -> Sequence[str]:
        return [*self.refusals.get(subject.pid, ()), *self.unfit.get(node, ())]

    async def migrate(self, subject: MigrationSubject, node: int) -> MoveCost | None:
        pid, cost = subject.pid, None
        self.moves.append((pid, node))
        if self.held is not None:
            self.held.append(Deferred())
            cost = await self.held[-1]
        if found := await self.reasons(subject, node):
            raise CannotMove(found[0])
        self._jobs.running = [job for job in self._jobs.running if job.pid != pid]
        return cost

    def join(self, node: int, stream: Any) -> None:
        self.joined.append((node, stream))

    def counters(self) -> Sequence[Counter]:
        return ()


@implementer(IPeers)
class Peers(NoPeers):
    """
    :ivar asked: node, request, caller of all that was asked. :ivar answer: gives the code and the text.
    :ivar held: questions that wait for the test, when it is a list.
    """

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs
        self.asked: list[tuple[int, Request, Caller]] = []
        self.answer: Callable[[int, Request], tuple[int, str]] = lambda node, request: (200, "null")
        self.held: list[Deferred[None]] | None = None

    async def ask(self, node: Node, request: Request, caller: Caller, json: bool) -> ForwardedReply:
        if not node.up:
            raise self._why_not(node)
        self.asked.append((node.id, request, caller))
        if self.held is not None:
            self.held.append(Deferred())
            await self.held[-1]
        code, text = self.answer(node.id, request)
        if '"moved": true' in text:
            self._jobs.hear_of_a_move(int(request.arguments[0]))
        return ForwardedReply(code, text, None)


class ThreeNodes(MemoryDaemon):
    """
    The daemon of node 1.

    :ivar members: and the other parts, each as above. :ivar placement: the daemon's own.
    """

    def __init__(self, kind: str = "criu") -> None:
        self.members = Members()
        self.jobs = Jobs()
        self.peers = Peers(self.jobs)
        self.migrator = Migrator(self.jobs, kind)
        super().__init__(MemorySource([50], [PROCESSES], name="alpha"))

    def _parts(
        self, commands: Mapping[str, Sequence[Output]] | None, tokens: Mapping[str, Caller] | None
    ) -> Parts:
        plain = super()._parts(commands, tokens)
        self.jobs.changes = JobChanges(self.clock)
        collector = plain.collector
        self.placement = Placement(1, self.clock)
        ownership = JobOwnership(self.jobs, collector)
        self.relocation = Relocation(
            self.clock, self.members, self.peers, plain.threads, self.source, collector, self.jobs, ownership,
            self.migrator, self.placement,
        )  # fmt: skip
        guests = Guests(self.jobs, collector, self.members, ownership)
        ordered = WrittenOrders(self.relocation, written_number)
        return replace(
            plain,
            members=self.members,
            peers=self.peers,
            jobs=self.jobs,
            migrator=self.migrator,
            relocation=self.relocation,
            tree=ClusterTree(self.source, self.members, plain.threads, guests, ordered),
        )
