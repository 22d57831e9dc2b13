"""
The files that jobs carry along: taken at home when a job begins, sent where it runs, brought home when it
has ended.

What they need is in the directory ``HOME-JOB.carry`` of the spool. `carry_steps` has the steps in which they
travel.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Collection, Coroutine
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Final

from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from gomd.interfaces import IMembership, IPeers, IThreads
from gomd.jobs.lifecycle.carried_moves import CarriedMoves
from gomd.jobs.lifecycle.carried_transfer import CannotCarry, step_outcome
from gomd.jobs.lifecycle.carry_steps import SUFFIX, TRANSFER_TIMEOUT, CarrySteps
from gomd.jobs.lifecycle.remote_jobs import owner_of
from gomd.jobs.lifecycle.request import Account, JobRequest
from gomd.jobs.lifecycle.supervisors import Supervisors
from gomd.jobs.supervisor.carried_names import BASE
from libgomd.durable import replace_durably
from libgomd.errors import (
    ConnectionLost,
    GomdError,
    MalformedJobName,
    NotFound,
    PeerUnreachable,
    TimedOut,
)
from libgomd.model import Caller, Job, Node
from libgomd.wire.carry_messages import GIVE, MERGE, PUT, TAKE, CarryOutcome
from libgomd.wire.job_name import JobName

#: Seconds for which a node that does not answer is asked for the files of a job that has ended.
FETCH_TIMEOUT: Final = 120.0
_RETRY_INTERVAL: Final = 2.0
_PATHS: Final = "paths"
#: Is there once the files of a job that ended on another node are in the directory at home.
_FETCHED: Final = "fetched"
#: Seconds between two searches for directories that nobody needs any more.
SWEEP_INTERVAL: Final = 3600.0
_UNCHANGED: Final = "the carried files at home are as they were when it began"


@dataclass(frozen=True, slots=True)
class CarryLimits:
    """
    How much one job may carry along.

    :ivar files: files, directories and links. :ivar size: bytes of their contents.
    :ivar keep: seconds for which files are kept that could not come home.
    """

    files: int = 10_000
    size: int = 1 << 30
    keep: float = 7 * 86400.0


class CarriedFiles:
    """
    Carries files for the jobs of this home and for guests.

    :param threads: for the spool. :param own_uid: the user this daemon runs as.
    :ivar steps: by which files travel. :ivar moves: what there is to do for a job that moves.
    """

    _log: ClassVar[Logger] = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        members: IMembership,
        peers: IPeers,
        threads: IThreads,
        supervisors: Supervisors,
        limits: CarryLimits,
        own_uid: int,
    ) -> None:
        self._clock = clock
        self._members = members
        self._supervisors = supervisors
        self._limits = limits
        self._namespaces = supervisors.namespaces
        self._at_home: set[str] = set()
        self._turns: dict[str, DeferredLock] = {}
        self.steps = CarrySteps(
            clock, members, peers, threads, supervisors, own_uid,
            max_files=limits.files, max_bytes=limits.size,
        )  # fmt: skip
        self.moves = CarriedMoves(self.steps, int(members.own_id), supervisors.where)

    def load(self) -> None:
        """Find the jobs of this home that carry files. Blocks briefly."""
        own = int(self._members.own_id)
        for name in self._directories():
            if name.home == own and os.path.exists(os.path.join(self.steps.directory(str(name)), BASE)):
                self._at_home.add(str(name))

    def has(self, name: str) -> bool:
        """Whether a job of this home carries files that have not come home yet."""
        return name in self._at_home

    # -- a job of this home begins

    async def take(
        self, name: str, request: JobRequest, account: Account, node: Node, caller: Caller
    ) -> JobRequest:
        """
        Send what a new job carries along to ``node``; return the request as it is to be started there.

        :raises CannotCarry: the files cannot be read. :raises GomdError: they cannot be put there.
        """
        here = node.id == self._members.own_id
        if not self._namespaces:
            if not here:
                raise CannotCarry(
                    "files are carried to other nodes by a daemon that runs as root, and this one does not: "
                    "leave --carry out, or run it here"
                )
            return replace(request, carry=())  # it cannot leave: it works on the files themselves
        try:
            await self.steps.on_disk(self._write_paths, name, request)
        except OSError as error:
            raise CannotCarry(
                f"its carried files cannot be written to the spool: {error.strerror}"
            ) from error
        self._at_home.add(name)
        steps = self.steps
        sink = await (
            steps.start_here(PUT, name, account) if here else steps.start_there(node, name, PUT, caller)
        )
        source = await steps.start_here(TAKE, name, account, paths=request.carry, umask=request.umask)
        await steps.transfer(source, sink)
        return request

    def _write_paths(self, name: str, request: JobRequest) -> None:
        directory = self.steps.directory(name)
        os.makedirs(directory, 0o700, exist_ok=True)
        values = {"paths": list(request.carry)}
        replace_durably(os.path.join(directory, _PATHS), json.dumps(values).encode("ascii"))

    def discard(self, name: str, node: int, caller: Caller) -> None:
        """Remove what was sent for a job that did not begin; nobody waits for it."""
        self._at_home.discard(name)

        async def work() -> None:
            await self.steps.remove(name)
            if node != self._members.own_id:
                await self.steps.drop_there(name, node, caller)

        self._in_background(work())

    # -- a job of this home has ended

    async def bring_home(self, job: Job, node: int) -> str:
        """
        Merge what a job that has ended leaves into the files at home. Never raises.

        :param node: where it ended. :returns: what a person should know of it, clauses; empty as a rule.
        """
        turn = self._turns.setdefault(job.name, DeferredLock())
        await turn.acquire()  # two at once would take what the other one has removed for the job's doing
        try:
            return await self._bring_home(job, node) if self.has(job.name) else ""
        finally:
            turn.release()
            if not turn.locked:
                self._turns.pop(job.name, None)

    async def _bring_home(self, job: Job, node: int) -> str:
        fetched = os.path.join(self.steps.directory(job.name), _FETCHED)
        try:
            if node != self._members.own_id and not await self.steps.on_disk(os.path.exists, fetched):
                await self._fetch(job, node)
                await self.steps.on_disk(replace_durably, fetched, b"")
                self._in_background(self.steps.drop_there(job.name, node, owner_of(job)))
            node = int(self._members.own_id)
            outcome = await self._merge(job)
        except (GomdError, OSError) as error:
            where = "here" if node == self._members.own_id else f"on {self._name_of(node)}"
            return (
                f"the carried files could not come home: {error}; they are kept {where} for "
                f"{self._limits.keep / 86400:g} days: try `gom carry {job.job}`"
            )
        told = list(outcome.notes)
        if outcome.failed:
            told.append(
                f"not all carried files could come home: {outcome.failed}; they are kept here for "
                f"{self._limits.keep / 86400:g} days: try `gom carry {job.job}`"
            )
        else:
            self._at_home.discard(job.name)
            await self.steps.remove(job.name)
        return "; ".join(told)

    async def _fetch(self, job: Job, node: int) -> None:
        """Get the files from the node on which the job ended. :raises GomdError: they cannot be had."""
        deadline = self._clock.seconds() + FETCH_TIMEOUT
        account = await self.steps.account(owner_of(job))
        while True:
            try:
                source = await self.steps.start_there(
                    self._members.find(str(node)), job.name, GIVE, owner_of(job)
                )
                sink = await self.steps.start_here(PUT, job.name, account)
                await self.steps.transfer(source, sink)
                break
            except (PeerUnreachable, ConnectionLost, TimedOut):
                if self._clock.seconds() >= deadline:
                    raise
            await deferLater(self._clock, _RETRY_INTERVAL)

    async def _merge(self, job: Job) -> CarryOutcome:
        account = await self.steps.account(owner_of(job))
        paths = await self.steps.on_disk(self._read_paths, job.name)
        stream = await self.steps.start_here(
            MERGE, job.name, account, paths=paths, suffix=f".gomd-{job.name}"
        )
        return await step_outcome(self._clock, stream, TRANSFER_TIMEOUT)

    def _read_paths(self, name: str) -> tuple[str, ...]:
        told = self._supervisors.read(name + SUFFIX, _PATHS)
        paths = None if told is None else told.get("paths")
        if not isinstance(paths, list) or not all(isinstance(path, str) for path in paths):
            raise NotFound("the list of its carried files is missing")
        return tuple(paths)

    def lost(self, name: str) -> str:
        """A job of this home is lost: return what that means for its files, a clause; empty without any."""
        if not self.has(name):
            return ""
        self._at_home.discard(name)
        self._in_background(self.steps.remove(name))
        return _UNCHANGED

    # -- what is left over

    async def sweep(self, is_over: Callable[[JobName], bool], now: float) -> None:
        """
        Remove what nobody has fetched for too long.

        :param is_over: whether a job is none that runs or is known to. :param now: seconds since the epoch.
        """
        for name in await self.steps.on_disk(self._directories):
            if str(name) in self._turns:
                continue  # somebody brings them home at this moment
            if is_over(name) and await self.steps.on_disk(self._is_old, str(name), now):
                self._log.warn("carried files of job {job} are removed: nobody fetched them", job=str(name))
                self._at_home.discard(str(name))
                await self.steps.remove(str(name))

    def _is_old(self, name: str, now: float) -> bool:
        try:
            return now - os.stat(self.steps.directory(name)).st_mtime > self._limits.keep
        except OSError:
            return False

    def _directories(self) -> Collection[JobName]:
        found = []
        try:
            names = os.listdir(self._supervisors.spool)
        except OSError:
            return ()
        for name in names:
            if name.endswith(SUFFIX):
                try:
                    found.append(JobName.parse(name.removesuffix(SUFFIX)))
                except MalformedJobName:
                    continue
        return found

    def _name_of(self, node: int) -> str:
        try:
            return f"node {node} {self._members.find(str(node)).name}"
        except NotFound:
            return f"node {node}"

    def _in_background(self, work: Coroutine[Deferred[Any], Any, None]) -> None:
        Deferred.fromCoroutine(work).addErrback(
            lambda failure: self._log.info("carried files were not removed now: {error}", error=failure.value)
        )
