"""Sends processes where somebody wants them: what `migrate`, `lock`, `bring`, `expel` and the tree do."""

from __future__ import annotations

from collections.abc import Callable, Container, Coroutine, Iterable, Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple, TypeVar

from twisted.internet.defer import Deferred, DeferredSemaphore, gatherResults
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
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
    Moved,
    Need,
    RelocationOutcome,
)
from gomd.jobs.shielded import Shielded
from libgomd.errors import (
    CannotMove,
    Conflict,
    GomdError,
    MalformedReply,
    NotAllowed,
    NotPossible,
    PeerUnreachable,
    error_for,
)
from libgomd.model import STANDARD_SPEED, Caller, Job, Node, Process, Role, Status
from libgomd.wire.lines import OK, Request
from libgomd.wire.tree import TreePath
from libgomd.wire.values import loads

T = TypeVar("T")

#: Words for a target beside the ids and names of nodes, and the one that asks without moving.
HOME: Final = "home"
BEST: Final = "best"
DRY_RUN: Final = "dry-run"
#: Seconds one move may take before whoever waits is told that it goes on; one write into the tree.
MOVE_LIMIT: Final = 600.0
WRITE_LIMIT: Final = 600.0
#: Processes moved at once by `bring` and `expel`, times they look for those that came meanwhile, and
#: reasons they give.
AT_ONCE: Final = 8
_LOOKS: Final = 3
_REASONS: Final = 3
_LONGEST_REASON: Final = 200
#: Nodes tried by `best` before the process stays.
_TRIES: Final = 5
#: A job that has just moved is waited for so many seconds until its new process id is known.
_PID_LIMIT: Final = 5.0
_PID_AGAIN: Final = 0.25
#: A home is told by the new node, not by the old one that answers: seconds that it may take longer.
_HEARD_LIMIT: Final = 5.0
_HEARD_AGAIN: Final = 0.02
#: As whom the daemon itself asks.
DAEMON: Final = Caller(Role.ADMIN, "root", 0, "gomd")


class _Subject(NamedTuple):
    """
    What is to be moved.

    :ivar asked: the process id it was asked for by; ``pid`` the one that the migrator is to take.
    :ivar home: the id of its home; ``node`` of the one it runs on. :ivar job: None for openMosix's own.
    """

    asked: int
    pid: int
    home: int
    node: int
    job: JobHere | None


@implementer(IRelocation)
class Relocation:
    """:param kin: tells which process belongs to which job. :param placement: knows the best node."""

    def __init__(
        self,
        clock: IReactorTime,
        members: IMembership,
        peers: IPeers,
        threads: IThreads,
        source: INodeSource,
        collector: ICollector,
        jobs: IJobs,
        kin: IJobOwnership,
        migrator: IMigrator,
        placement: IPlacement,
    ) -> None:
        self._clock = clock
        self._members = members
        self._peers = peers
        self._threads = threads
        self._source = source
        self._collector = collector
        self._jobs = jobs
        self._kin = kin
        self._migrator = migrator
        self._placement = placement
        self._undisturbed = Shielded(clock)

    @property
    def by_kernel(self) -> bool:
        """See `IRelocation.by_kernel`."""
        return bool(self._migrator.kind == "openmosix")

    # -- one process

    async def migrate(self, pid: int, target: str, caller: Caller, dry_run: bool = False) -> Moved:
        """See `IRelocation.migrate`."""
        if (job := self._elsewhere(pid, caller)) is not None:
            return await self._migrate_elsewhere(job, target, caller, dry_run)
        subject = await self._subject(pid, caller)
        if target == BEST:
            return await self._to_best(subject, dry_run)
        node = self._members.find(str(subject.home) if target == HOME else target)
        if node.id == subject.node:
            return Moved(node, RelocationOutcome.THERE)
        _check_up(node)
        return await self._to(subject, node, dry_run)

    async def lock(self, pid: int, lock: bool, caller: Caller) -> None:
        """See `IRelocation.lock`."""
        if (job := self._elsewhere(pid, caller)) is not None:
            await self._ask_there(job, "lock" if lock else "unlock", (), caller)
            self._jobs.set_lock(job.name, lock)
            return
        pid = self._jobs.pid_here(pid)
        here = None if self.by_kernel else await self._kin.job_of(pid)
        if here is not None:
            _check_owner(caller, here.uid, pid)
            self._jobs.set_lock(here.name, lock)
        else:
            _check_owner(caller, (await self._collector.process(pid)).uid, pid)
            await self._write(f"/proc/{pid}/lock", str(int(lock)))

    def _elsewhere(self, pid: int, caller: Caller) -> Job | None:
        """Return the job of this home with this number that runs elsewhere. :raises NotAllowed: not his."""
        job = self._jobs.of_pid(pid)
        if job is None or job.node == self._members.own_id:
            return None
        _check_owner(caller, job.uid, pid)
        return job

    async def _subject(self, asked: int, caller: Caller) -> _Subject:
        pid = self._jobs.pid_here(asked)
        if self.by_kernel:
            process = await self._collector.process(pid)
            _check_owner(caller, process.uid, asked)
            return _Subject(asked, pid, process.home, process.node, None)
        job = await self._kin.job_of(pid)
        if job is None:
            _check_owner(caller, (await self._collector.process(pid)).uid, asked)
            raise CannotMove(
                f"process {asked} was not started by gomd and stays here; what `run` starts can be moved"
            )
        _check_owner(caller, job.uid, asked)
        return _Subject(asked, job.pid, job.home, self._members.own_id, job)

    async def _to(self, subject: _Subject, node: Node, dry_run: bool) -> Moved:
        if dry_run:
            if reasons := await self._migrator.reasons(subject.pid, node.id):
                refusal = NotAllowed if any(UNTRUSTED in each for each in reasons) else CannotMove
                raise refusal(
                    f"process {subject.asked} cannot move to node {node.id} {node.name}: {'; '.join(reasons)}"
                )
            return Moved(node, RelocationOutcome.COULD)
        await self._undisturbed.do(
            _of(self._migrator.migrate(subject.pid, node.id)), MOVE_LIMIT,
            f"process {subject.asked} is still on its way to node {node.id} {node.name} after "
            f"{MOVE_LIMIT:g} s: `where {subject.asked}` tells when it is there",
        )  # fmt: skip
        if subject.job is not None and subject.home == self._members.own_id:
            await self._heard(subject.asked, subject.job.nmigs)
        return Moved(node, RelocationOutcome.MOVED)

    async def _to_best(self, subject: _Subject, dry_run: bool) -> Moved:
        """Move it to the best node that can take it, or let it stay when that is where it runs."""
        if subject.job is not None:
            processes = await self._kin.processes_of(subject.job)
        else:
            processes = [await self._collector.process(subject.pid)]
        unwilling: set[int] = set()
        for _try in range(_TRIES):
            node = self._choose(subject, processes, unwilling)
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
                    self._placement.withdraw(node.id)
            unwilling.add(node.id)
        return Moved(self._members.find(str(subject.node)), RelocationOutcome.BEST)

    def _choose(
        self, subject: _Subject, processes: Sequence[Process], unwilling: Container[int]
    ) -> Node | None:
        """Return the node that is better than where it runs, None when there is none."""
        memory = sum(process.rss or 0 for process in processes)
        nodes = [
            _as_without(node, processes, memory) if node.id == subject.node else _as_for(node, subject)
            for node in self._members.nodes()
            if node.id not in unwilling
        ]
        try:
            chosen = self._placement.choose(nodes, Need(memory=memory or None))
        except NotPossible:
            return None
        if chosen.id == subject.node:
            self._placement.withdraw(chosen.id)
            return None
        return chosen

    async def _is_willing(self, subject: _Subject, node: Node) -> bool:
        try:
            return not await self._migrator.reasons(subject.pid, node.id)
        except PeerUnreachable:
            return False

    # -- jobs on other nodes

    async def _migrate_elsewhere(self, job: Job, target: str, caller: Caller, dry_run: bool) -> Moved:
        """Have the node that it runs on move it: that one knows what it needs, for `best` too."""
        word = target
        if target != BEST:
            node = self._members.find(str(self._members.own_id) if target == HOME else target)
            if node.id == job.node:
                return Moved(node, RelocationOutcome.THERE)
            _check_up(node)
            word = str(node.id)
        answer = await self._ask_there(job, "migrate", (word, *([DRY_RUN] if dry_run else [])), caller)
        if not isinstance(answer, dict) or not isinstance(answer.get("node"), int):
            raise MalformedReply(f"node {job.node} answered a `migrate` with {answer!r:.80}")
        node = self._members.find(str(answer["node"]))
        if answer.get("moved"):
            await self._heard(job.pid, job.nmigs)
            return Moved(node, RelocationOutcome.MOVED)
        if node.id == job.node:
            return Moved(node, RelocationOutcome.BEST if target == BEST else RelocationOutcome.THERE)
        return Moved(node, RelocationOutcome.COULD)

    async def _ask_there(self, job: Job, verb: str, words: Sequence[str], caller: Caller) -> Any:
        """Ask the node that ``job`` runs on; give the value it answers."""
        job = await self._with_pid(job)
        node = self._members.find(str(job.node))
        request = Request(verb, (str(job.pid_there), *words))
        asker = _for_owner(job, caller)
        # its own limits are those of the peers: what is never answered is TimedOut
        reply = await self._undisturbed.share(
            object(), lambda: _of(self._peers.ask(node, request, asker, True))
        )
        if reply.code == OK:
            return loads(reply.text)
        told = f"node {node.id} {node.name}, where it is process {job.pid_there}: {reply.text}"
        raise CannotMove(told) if reply.code == CannotMove.code else error_for(reply.code, told)

    async def _heard(self, pid: int | None, nmigs: int) -> None:
        """
        Wait, not for long, until this home knows that its job moved and can reach it: who asks next finds it.

        :param nmigs: how often it had moved before.
        """
        end = self._clock.seconds() + _HEARD_LIMIT
        while self._clock.seconds() < end:
            job = None if pid is None else self._jobs.of_pid(pid)
            if job is None or job.state.over or (job.nmigs > nmigs and job.pid_there is not None):
                break
            await deferLater(self._clock, _HEARD_AGAIN)

    async def _with_pid(self, job: Job) -> Job:
        """Return the job as it is now, when it is known which process it is over there."""
        end = self._clock.seconds() + _PID_LIMIT
        while job.pid_there is None:
            if self._clock.seconds() >= end:
                raise PeerUnreachable(
                    f"which process of node {job.node} job {job.job} is, is not known yet: try again"
                )
            await deferLater(self._clock, _PID_AGAIN)
            found = None if job.pid is None else self._jobs.of_pid(job.pid)
            if found is None or found.node != job.node:
                raise Conflict(
                    f"job {job.job} has just left node {job.node}: look where it is, and try again"
                )
            job = found
        return job

    # -- all of them

    async def bring(self) -> int:
        """See `IRelocation.bring`."""
        await self._write("/proc/hpc/admin/bring", "1")
        if self.by_kernel:
            return 0
        return await self._undisturbed.share("bring", self._bring)

    async def expel(self) -> int:
        """See `IRelocation.expel`."""
        await self._write("/proc/hpc/admin/expel", "1")
        if self.by_kernel:
            return 0
        return await self._undisturbed.share("expel", self._expel)

    async def _bring(self) -> int:
        async def one(job: Job) -> str:
            try:
                await self._migrate_elsewhere(job, HOME, DAEMON, False)
            except GomdError as error:
                now = next((each for each in self._jobs.elsewhere() if each.job == job.job), None)
                return "" if now is None else f"job {job.job} stays on node {now.node}: {error}"
            return ""

        return await _everybody(
            self._jobs.elsewhere, lambda job: job.name, one, "are home", "lstay stays set"
        )

    async def _expel(self) -> int:
        async def one(guest: JobHere) -> str:
            try:
                await self._undisturbed.do(
                    _of(self._migrator.migrate(guest.pid, guest.home)), MOVE_LIMIT,
                    f"it is still on its way to node {guest.home} after {MOVE_LIMIT:g} s",
                )  # fmt: skip
            except GomdError as error:
                if any(_name(each) == _name(guest) for each in self._guests()):
                    return f"job {_name(guest)} stays: {error}"
            return ""

        return await _everybody(self._guests, _name, one, "are gone", "block stays set")

    def _guests(self) -> list[JobHere]:
        return [job for job in self._jobs.here() if job.home != self._members.own_id]

    async def _write(self, path: str, value: str) -> None:
        await self._threads.run(WRITE_LIMIT, self._source.write_file, TreePath.parse(path), value)


def _for_owner(job: Job, caller: Caller) -> Caller:
    """
    Return as whom the node is asked that a job of this home runs on.

    That ``caller`` may act on it was decided here. There its owner's word is enough, and an admin of this
    node need not be one there.
    """
    if not job.user or job.user == str(job.uid):  # nobody has that name there
        return caller
    return Caller(Role.ADMIN if job.uid == 0 else Role.USER, job.user, job.uid, caller.via)


async def _of(waited: Any) -> Any:
    """Return what ``waited`` comes to, as a coroutine."""
    return await waited


async def _everybody(
    find: Callable[[], Iterable[T]],
    name: Callable[[T], str],
    one: Callable[[T], Coroutine[Any, Any, str]],
    done: str,
    switch: str,
) -> int:
    """
    Do ``one`` for all that ``find`` finds, some at a time, and for those that come meanwhile.

    :param one: gives why it could not be done, or nothing.
    :returns: how many there were. :raises Conflict: it could not be done for all.
    """
    tried: set[str] = set()
    reasons: list[str] = []
    places = DeferredSemaphore(AT_ONCE)
    for _look in range(_LOOKS):
        found = [each for each in find() if name(each) not in tried]
        if not found:
            break
        tried.update(name(each) for each in found)
        work = [places.run(lambda each: Deferred.fromCoroutine(one(each)), each) for each in found]
        reasons += [reason for reason in await gatherResults(work, consumeErrors=True) if reason]
    if reasons:
        told = "; ".join(reason[:_LONGEST_REASON] for reason in reasons[:_REASONS])
        more = f"; and {len(reasons) - _REASONS} more" if len(reasons) > _REASONS else ""
        raise Conflict(f"{len(tried) - len(reasons)} of {len(tried)} {done}; {told}{more}; {switch}")
    return len(tried)


def _name(job: JobHere) -> str:
    return job.name


def _check_owner(caller: Caller, uid: int, pid: int) -> None:
    if not caller.owns(uid):
        raise NotAllowed(f"process {pid} is not yours: you can move and lock only your own processes")


def _check_up(node: Node) -> None:
    if not node.up:
        raise PeerUnreachable(f"node {node.id} {node.name} is down: `events` may say why")


def _as_for(node: Node, subject: _Subject) -> Node:
    """Return ``node`` as placement is to see it: a home takes its own back even while it blocks guests."""
    return node if node.id != subject.home else replace(node, status=node.status & ~Status.BLOCK)


def _as_without(node: Node, processes: Sequence[Process], memory: int) -> Node:
    """
    Return ``node`` as it would be without these processes.

    Else it would look worse than any other one just as good, and the processes would go to and fro. What can
    run counts in the load, also while others have the processors.
    """
    used = sum(max((one.cpu_percent or 0.0) / 100.0, float(one.state == "R")) for one in processes)
    unit = 100.0 * STANDARD_SPEED / (max(1, node.speed or STANDARD_SPEED) * max(1, node.cpus or 1))
    return replace(
        node,
        load=None if node.load is None else max(0, round(node.load - used * unit)),
        mem=None if node.mem is None else node.mem + memory,
        rmem=None if node.rmem is None else node.rmem + memory,
    )
