"""
The files that jobs carry along: taken at home when a job begins, sent where it runs, brought home when it
has ended.

The daemon itself reads and writes none of them. It starts a process for each step that has become the
job's user (`gomd.jobs.supervisor.carrier`), passes bytes between two of these, here or on another node,
and keeps what they need in the spool: the directory ``HOME-JOB.carry``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Collection, Coroutine
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Final, TypeVar

from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from gomd.interfaces import IMembership, IPeers, IThreads
from gomd.jobs.lifecycle.carried_transfer import CannotCarry, Transfer, pass_through, step_outcome
from gomd.jobs.lifecycle.frame_stream import FrameStream
from gomd.jobs.lifecycle.remote_jobs import owner_of
from gomd.jobs.lifecycle.request import Account, JobRequest, account_of
from gomd.jobs.lifecycle.supervisors import Supervisors
from gomd.jobs.supervisor.carried_names import BASE, FILES
from libgomd.durable import replace_durably
from libgomd.errors import (
    CannotMove,
    ConnectionLost,
    GomdError,
    MalformedJobName,
    MalformedRequest,
    NotAllowed,
    NotFound,
    NotPossible,
    PeerUnreachable,
    TimedOut,
)
from libgomd.model import Caller, Job, Node, Role
from libgomd.wire import job_messages
from libgomd.wire.job_messages import GIVE, MERGE, PUT, REMOVE, TAKE, CarryOutcome, CarrySpec
from libgomd.wire.job_name import JobName
from libgomd.wire.lines import Request

R = TypeVar("R")

#: The request that carries files between two daemons.
VERB: Final = "carry"
#: Ends the names of the directories.
SUFFIX: Final = ".carry"
#: Seconds that one transfer may take.
TRANSFER_TIMEOUT: Final = 800.0
#: Seconds for which a node that does not answer is asked for the files of a job that has ended.
FETCH_TIMEOUT: Final = 120.0
_RETRY_INTERVAL: Final = 2.0
_DISK_TIMEOUT: Final = 60.0
_DROP: Final = "drop"
#: What daemons ask each other for.
PEER_STEPS: Final = (PUT, GIVE, _DROP)
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
        self._peers = peers
        self._threads = threads
        self._supervisors = supervisors
        self._limits = limits
        self._own_uid = own_uid
        self._namespaces = supervisors.namespaces
        self._at_home: set[str] = set()
        self._turns: dict[str, DeferredLock] = {}

    def load(self) -> None:
        """Find the jobs of this home that carry files. Blocks briefly."""
        own = int(self._members.own_id)
        for name in self._directories():
            if name.home == own and os.path.exists(os.path.join(self.directory(str(name)), BASE)):
                self._at_home.add(str(name))

    def directory(self, name: str) -> str:
        """Return the directory of the files that the job ``name`` carries along."""
        return self._supervisors.directory(name) + SUFFIX

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
            await self._on_disk(self._write_paths, name, request)
        except OSError as error:
            raise CannotCarry(f"the spool takes no carried files: {error.strerror}") from error
        self._at_home.add(name)
        sink = await (self._step(PUT, name, account) if here else self._open(node, name, PUT, caller))
        source = await self._step(TAKE, name, account, paths=request.carry, umask=request.umask)
        await self._transfer(source, sink)
        return request

    def _write_paths(self, name: str, request: JobRequest) -> None:
        directory = self.directory(name)
        os.makedirs(directory, 0o700, exist_ok=True)
        values = {"paths": list(request.carry)}
        replace_durably(os.path.join(directory, _PATHS), json.dumps(values).encode("ascii"))

    def discard(self, name: str, node: int, caller: Caller) -> None:
        """Remove what was sent for a job that did not begin; nobody waits for it."""
        self._at_home.discard(name)

        async def work() -> None:
            await self._remove(name)
            if node != self._members.own_id:
                await self._drop_there(name, node, caller)

        self._in_background(work())

    # -- a job of this home has ended

    async def bring_home(self, job: Job, node: int) -> str:
        """
        Merge what a job that has ended leaves into the files at home. Never raises.

        :param node: where it ended. :returns: what a person should know of it, clauses; empty as a rule.
        """
        fetched = os.path.join(self.directory(job.name), _FETCHED)
        try:
            if node != self._members.own_id and not await self._on_disk(os.path.exists, fetched):
                await self._fetch(job, node)
                await self._on_disk(replace_durably, fetched, b"")
                self._in_background(self._drop_there(job.name, node, owner_of(job)))
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
            await self._remove(job.name)
        return "; ".join(told)

    async def _fetch(self, job: Job, node: int) -> None:
        """Get the files from the node on which the job ended. :raises GomdError: they cannot be had."""
        deadline = self._clock.seconds() + FETCH_TIMEOUT
        account = await self._account(owner_of(job))
        while True:
            try:
                source = await self._open(self._members.find(str(node)), job.name, GIVE, owner_of(job))
                sink = await self._step(PUT, job.name, account)
                await self._transfer(source, sink)
                break
            except (PeerUnreachable, ConnectionLost, TimedOut):
                if self._clock.seconds() >= deadline:
                    raise
            await deferLater(self._clock, _RETRY_INTERVAL)

    async def _merge(self, job: Job) -> CarryOutcome:
        account = await self._account(owner_of(job))
        paths = await self._on_disk(self._read_paths, job.name)
        stream = await self._step(MERGE, job.name, account, paths=paths, suffix=f".gomd-{job.name}")
        return await step_outcome(self._clock, stream, TRANSFER_TIMEOUT)

    def _read_paths(self, name: str) -> tuple[str, ...]:
        told = self._supervisors.read(name + SUFFIX, _PATHS)
        paths = None if told is None else told.get("paths")
        if not isinstance(paths, list) or not all(isinstance(path, str) for path in paths):
            raise NotFound("what it carries along is not written down any more")
        return tuple(paths)

    def lost(self, name: str) -> str:
        """A job of this home is lost: return what that means for its files, a clause; empty without any."""
        if not self.has(name):
            return ""
        self._at_home.discard(name)
        self._in_background(self._remove(name))
        return _UNCHANGED

    # -- a job that moves

    async def obstacles(self, paths: tuple[str, ...], uid: int, user: str) -> list[str]:
        """Return why the carried files of a job cannot appear on this node, a clause for each path."""
        try:
            account = await self._account(_owner(user, uid))
        except GomdError as error:
            return [str(error)]
        gids = {account.gid, *account.groups}
        where = self._supervisors.where

        def look() -> list[str]:
            from gomd.jobs.supervisor.carried_mounts import obstacle  # imported on the thread, when needed

            return [obstacle(path, uid, gids, where) for path in paths]

        found = await self._on_disk(look)
        return [why for why in found if why]

    async def pull(self, name: str, source: Node, uid: int, user: str) -> None:
        """
        Get the files of a job that moves here from the node where it is frozen.

        :raises CannotMove: they cannot be had.
        """
        owner = _owner(user, uid)
        turn = await self._turn(name)
        try:
            account = await self._account(owner)
            there = await self._open(source, name, GIVE, owner)
            await self._transfer(there, await self._step(PUT, name, account))
        except CannotMove:
            raise
        except GomdError as error:
            raise CannotMove(f"its carried files do not come: {error}") from error
        finally:
            self._release(name, turn)

    async def left(self, name: str) -> None:
        """A job is not here, or not any more: remove its files, but not what its home has to remember."""
        only_files = JobName.parse(name).home == self._members.own_id
        turn = await self._turn(name)
        try:
            if await self._on_disk(os.path.isdir, os.path.join(self.directory(name), FILES)):
                await self._remove(name, (FILES,) if only_files else ())
        finally:
            self._release(name, turn)

    async def _turn(self, name: str) -> DeferredLock:
        """Wait until no earlier step of a move is under way here for a job, which may come back at once."""
        turn = self._turns.setdefault(name, DeferredLock())
        await turn.acquire()
        return turn

    def _release(self, name: str, turn: DeferredLock) -> None:
        turn.release()
        if not turn.locked:
            self._turns.pop(name, None)

    # -- what other daemons ask for

    def serve(self, name: str, step: str, caller: Caller, stream: FrameStream) -> None:
        """
        Do a step for the daemon at ``stream``: ``put``, ``give`` or ``drop`` the files of a job.

        It has been checked that this daemon may ask for that.
        """

        async def work() -> None:
            account = await self._account(caller)
            if step == PUT and not self._namespaces:
                raise NotPossible(
                    f"jobs cannot have files of their own on {self._supervisors.where}: gomd is not root's"
                )
            if step != PUT:
                await self._on_disk(self._check_owner, name, account.uid)
            pass_through(stream, await self._step(REMOVE if step == _DROP else step, name, account))

        def failed(failure: Failure) -> None:
            if failure.check(GomdError) is None:
                self._log.failure("carrying files failed", failure=failure)
            stream.send(job_messages.encode(CarryOutcome(str(failure.value) or "it failed")))
            stream.close()

        Deferred.fromCoroutine(work()).addErrback(failed)

    def _check_owner(self, name: str, uid: int) -> None:
        try:
            found = os.stat(os.path.join(self.directory(name), FILES), follow_symlinks=False)
        except OSError:
            raise NotFound(f"there are no carried files of job {name} here") from None
        if uid not in (0, found.st_uid):
            raise NotAllowed(f"the carried files of job {name} are not yours")

    # -- what is left over

    async def sweep(self, is_over: Callable[[JobName], bool], now: float) -> None:
        """
        Remove what nobody has fetched for too long.

        :param is_over: whether a job is none that runs or is known to. :param now: seconds since the epoch.
        """
        for name in await self._on_disk(self._directories):
            if is_over(name) and await self._on_disk(self._is_old, str(name), now):
                self._log.warn("carried files of job {job} are removed: nobody fetched them", job=str(name))
                self._at_home.discard(str(name))
                await self._remove(str(name))

    def _is_old(self, name: str, now: float) -> bool:
        try:
            return now - os.stat(self.directory(name)).st_mtime > self._limits.keep
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

    # -- steps

    async def _step(
        self,
        step: str,
        name: str,
        account: Account,
        *,
        paths: tuple[str, ...] = (),
        umask: int = 0o22,
        suffix: str = "",
    ) -> FrameStream:
        await self._ready()
        limits = self._limits
        return self._supervisors.carry(
            CarrySpec(
                step, self.directory(name), account.uid, account.gid, account.groups, paths, umask,
                limits.files, limits.size, suffix,
            )
        )  # fmt: skip

    async def _remove(self, name: str, paths: tuple[str, ...] = ()) -> None:
        """Remove the directory of a job, whoever's it is."""
        await self._ready()
        spec = CarrySpec(REMOVE, self.directory(name), -1, -1, paths=paths)
        await step_outcome(self._clock, self._supervisors.carry(spec), TRANSFER_TIMEOUT)

    async def _transfer(self, source: FrameStream, sink: FrameStream) -> None:
        await Transfer(self._clock, source, sink, TRANSFER_TIMEOUT).done

    async def _open(self, node: Node, name: str, step: str, caller: Caller) -> FrameStream:
        try:
            stream = await self._peers.open(node, Request(VERB, (name, step)), caller)
        except MalformedRequest as error:
            raise NotPossible(
                f"gomd on node {node.id} {node.name} is older and cannot carry files: update it there"
            ) from error
        assert isinstance(stream, FrameStream)
        stream.pause_reading(False)
        return stream

    async def _drop_there(self, name: str, node: int, caller: Caller) -> None:
        stream = await self._open(self._members.find(str(node)), name, _DROP, caller)
        await step_outcome(self._clock, stream, TRANSFER_TIMEOUT)

    async def _account(self, caller: Caller) -> Account:
        found: Account = await self._threads.run_apart(
            _DISK_TIMEOUT, ("account", caller.uid), "accounts", account_of, caller, self._own_uid
        )
        return found

    async def _on_disk(self, work: Callable[..., R], *arguments: object) -> R:
        found: R = await self._threads.run(_DISK_TIMEOUT, work, *arguments)
        return found

    async def _ready(self) -> None:
        """Have the spool and the fork server ready; a disk that hangs is waited for on a thread."""
        if not self._supervisors.is_ready:
            await self._threads.run_apart(_DISK_TIMEOUT, "spool", "spool", self._supervisors.prepare)

    def _name_of(self, node: int) -> str:
        try:
            return f"node {node} {self._members.find(str(node)).name}"
        except NotFound:
            return f"node {node}"

    def _in_background(self, work: Coroutine[Deferred[Any], Any, None]) -> None:
        Deferred.fromCoroutine(work).addErrback(
            lambda failure: self._log.info("carried files were not removed now: {error}", error=failure.value)
        )


def _owner(user: str, uid: int) -> Caller:
    """Return the user of a job that moves, as a caller."""
    return Caller(Role.ADMIN if uid == 0 else Role.USER, user, uid, "migration")
