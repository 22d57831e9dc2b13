"""
The output of detached jobs that this home keeps: how much of the disk it takes, and of whom.

It is root's files, so no quota of a user's counts it. Instead there are limits for one user and for all, and
a reserve of free space on the disk. What jobs write is counted where it lies, again and again, as it grows.
Beyond a limit the oldest outputs of jobs that are over are removed; if that is not enough, the jobs that
still run are told to keep less. Below the reserve, and when a limit is used up, no detached job is started.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import ClassVar, NamedTuple

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from gomd.interfaces import IThreads
from gomd.jobs.home.table import HomeTable
from gomd.jobs.lifecycle.supervisors import Supervisors
from gomd.jobs.lifecycle.tracked import TrackedJob
from gomd.jobs.supervisor.backlog import free_of
from libgomd.errors import GomdError, InternalError, TimedOut, TooMany
from libgomd.model import Caller, Counter, Job
from libgomd.wire import job_messages
from libgomd.wire.job_messages import KeepOrder

#: Seconds between two looks, and seconds for which one holds when a job is to be started.
PERIOD, FRESH = 5.0, 2.0
#: Looks after which cgroups that supervisors have left are removed once more.
SWEEP = 12
#: Seconds a look, and a removal, may take.
LOOK_LIMIT, REMOVE_LIMIT = 20.0, 60.0
#: Least bytes that a job keeps of each of its two streams.
LEAST = 131072


class OutputLimits(NamedTuple):
    """
    Bytes.

    :ivar stream: of each of the two streams of a job. :ivar per_user: of all jobs of one user.
    :ivar total: of all jobs. :ivar reserve: of the disk that stay free, see
        `gomd.jobs.supervisor.backlog.free_of`.
    """

    stream: int
    per_user: int
    total: int
    reserve: int


class Seen(NamedTuple):
    """
    What there was. :ivar sizes: bytes by the names of jobs. :ivar free: bytes free on the disk.
    :ivar reserve: bytes that are to be.
    """

    sizes: Mapping[str, int]
    free: int
    reserve: int


class OutputQuota:
    """
    :param own_id: of this node, whose jobs' output is meant.
    :param tracked: the jobs under way, by their names.
    """

    _log: ClassVar[Logger] = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        threads: IThreads,
        supervisors: Supervisors,
        table: HomeTable,
        tracked: Mapping[str, TrackedJob],
        own_id: int,
        limits: OutputLimits,
    ) -> None:
        self._clock = clock
        self._threads = threads
        self._supervisors = supervisors
        self._table = table
        self._tracked = tracked
        self._own_id = own_id
        self._limits = limits
        self._seen: Seen | None = None
        self._seen_at = 0.0
        self._waiting: list[Deferred[None]] | None = None  # for the look that is under way
        self._hangs = False
        self._looks = 0
        self._over: frozenset[int] = frozenset()  # the jobs that were over before it was looked
        self._removed: set[int] = set()
        self._told: dict[str, int] = {}
        self._loop = LoopingCall(self._look_again)
        self._loop.clock = clock

    def start(self) -> None:
        """Look now and from time to time."""
        self._loop.start(PERIOD)

    def stop(self) -> None:
        """Look no more."""
        if self._loop.running:
            self._loop.stop()

    async def check(self, caller: Caller) -> None:
        """
        See whether the output of one more job of ``caller`` can be kept.

        :raises TooMany: a limit is used up, or the disk is nearly full. :raises TimedOut: the disk hangs.
        """
        fresh = self._seen is not None and self._clock.seconds() - self._seen_at < FRESH
        await self._look(count=not fresh)
        seen, limits, spool = self._seen, self._limits, self._supervisors.spool
        assert seen is not None
        if seen.free < seen.reserve:
            raise TooMany(
                f"the disk of {spool} on {self._supervisors.where} has {_size(seen.free)} free, and "
                f"{_size(seen.reserve)} of it stay free: make room there, or run it without --detach"
            )
        used = sum(seen.sizes.values())
        of_user = sum(seen.sizes[job.name] for job in self._jobs() if job.uid == caller.uid)
        if of_user >= limits.per_user:
            raise TooMany(
                f"{_size(of_user)} of output of your detached jobs are kept on {self._supervisors.where}, "
                f"{_size(limits.per_user)} are a user's: wait until one ends, or run it without --detach"
            )
        if used >= limits.total:
            raise TooMany(
                f"{_size(used)} of output of detached jobs are kept on {self._supervisors.where}, "
                f"{_size(limits.total)} is the most: wait until one ends, or run it without --detach"
            )

    def why_gone(self, job: Job) -> str:
        """Return why the output of a job that is over is kept no more, a clause; empty when it may be."""
        if job.job in self._removed:
            return "its output was removed, being the oldest, to make room for others"
        if self._seen is not None and job.job in self._over and job.name not in self._seen.sizes:
            return "nothing of its output is there any more"
        return ""

    def counters(self) -> Iterable[Counter]:
        """Bytes kept, and outputs removed to make room."""
        kept = 0 if self._seen is None else sum(self._seen.sizes.values())
        yield Counter("jobs_output_kept_bytes", kept, "output of detached jobs that is kept here")
        yield Counter("jobs_output_removed", len(self._removed), "kept outputs removed to make room")

    def _jobs(self) -> list[Job]:
        """The jobs of which output was seen, the oldest end first; those that run are last."""
        sizes = {} if self._seen is None else self._seen.sizes
        found = [job for job in self._table if job.name in sizes]
        return sorted(found, key=lambda job: (job.ended is None, job.ended or 0.0, job.job))

    async def _look_again(self) -> None:
        """Look, and keep to the limits. Never raises."""
        try:
            if any(job.detached for job in self._table):
                await self._look()
                self._tell_running()
            self._looks += 1
            if self._looks % SWEEP == 0:
                await self._threads.run(LOOK_LIMIT, self._supervisors.sweep)
        except GomdError as error:
            self._log.warn("the output of detached jobs cannot be counted: {error}", error=error)
        except Exception:  # noqa: BLE001 - a bug: say so loudly, and go on
            self._log.failure("counting the output of detached jobs failed")

    async def _look(self, count: bool = True) -> None:
        """Look at the disk, and count what is kept on it; whoever comes meanwhile waits for the same look."""
        if self._hangs:
            raise TimedOut(
                f"the disk of {self._supervisors.spool} on {self._supervisors.where} does not answer: "
                "try later"
            )
        if self._waiting is not None:
            waited: Deferred[None] = Deferred()
            self._waiting.append(waited)
            await waited
            return
        self._waiting = []
        failure: Exception | None = None
        try:
            await self._look_now(count)
            await self._make_room()
        except Exception as error:
            failure = error
            raise
        finally:
            waiting, self._waiting = self._waiting, None
            for each in waiting:
                each.callback(None) if failure is None else each.errback(failure)

    async def _look_now(self, count: bool) -> None:
        known = None if count or self._seen is None else self._seen.sizes
        back: list[bool] = []

        def look() -> Seen:
            try:
                return see(self._supervisors, self._own_id, self._limits.reserve, known)
            finally:
                back.append(True)
                self._hangs = False

        now, over = self._clock.seconds(), frozenset(job.job for job in self._table if job.state.over)
        try:
            self._seen = await self._threads.run(LOOK_LIMIT, look)
        except TimedOut:
            self._hangs = not back
            raise
        except OSError as error:
            raise InternalError(f"{self._supervisors.spool} cannot be read: {error.strerror}") from error
        if known is None:
            self._seen_at, self._over = now, over

    async def _make_room(self) -> None:
        """Remove the oldest outputs of jobs that are over, first of users who have too much."""
        assert self._seen is not None
        sizes = dict(self._seen.sizes)
        jobs = self._jobs()
        for uid in {job.uid for job in jobs}:
            await self._remove([job for job in jobs if job.uid == uid], sizes, self._limits.per_user)
        await self._remove(jobs, sizes, self._limits.total)
        self._seen = self._seen._replace(sizes=sizes)

    async def _remove(self, jobs: list[Job], sizes: dict[str, int], limit: int) -> None:
        used = sum(sizes.get(job.name, 0) for job in jobs)
        for job in jobs:
            if used <= limit:
                return
            if not job.state.over or job.name in self._tracked or not sizes.get(job.name):
                continue
            await self._threads.run(REMOVE_LIMIT, self._supervisors.remove, job.name)
            self._removed.add(job.job)
            used -= sizes.pop(job.name)
            self._log.info(
                "removed the output of job {job} of {user}, the oldest: more than {limit} bytes are kept",
                job=job.job, user=job.user, limit=limit,
            )  # fmt: skip

    def _tell_running(self) -> None:
        """Let running jobs keep less when removing others was not enough."""
        assert self._seen is not None
        sizes = self._seen.sizes
        running = [job for job in self._jobs() if not job.state.over]
        self._told = {name: limit for name, limit in self._told.items() if name in self._tracked}
        users = {job.uid for job in running}
        groups = [[job for job in running if job.uid == uid] for uid in users]
        limited = [(group, self._limits.per_user) for group in groups] + [(running, self._limits.total)]
        for jobs, limit in limited:
            if sum(sizes[job.name] for job in jobs) <= limit:
                continue
            for job in jobs:
                self._tell(job, max(LEAST, min(self._limits.stream, limit // (2 * len(jobs)))))

    def _tell(self, job: Job, limit: int) -> None:
        tracked = self._tracked.get(job.name)
        if tracked is None or self._told.get(job.name, self._limits.stream) <= limit:
            return
        self._told[job.name] = limit
        if tracked.writer is not None:
            tracked.writer.keep(limit)
        elif tracked.node == self._own_id:
            tracked.relay.to_job(job_messages.encode(KeepOrder(limit)))


def see(here: Supervisors, own_id: int, reserve: int, known: Mapping[str, int] | None = None) -> Seen:
    """
    Count what is kept, unless that is ``known``, and look at the disk. Blocks.

    :raises OSError: the spool cannot be read.
    """
    os.makedirs(here.spool, mode=0o700, exist_ok=True)
    names = (str(name) for name in here.names() if name.home == own_id) if known is None else ()
    sizes = {name: sum(_sizes(here.directory(name))) for name in names} if known is None else known
    return Seen(sizes, *free_of(os.statvfs(here.spool), reserve))


def _sizes(directory: str) -> Iterable[int]:
    try:
        with os.scandir(directory) as entries:
            for entry in entries:
                if entry.name.startswith(("stdout.", "stderr.")):
                    try:
                        yield entry.stat(follow_symlinks=False).st_size
                    except FileNotFoundError:
                        continue  # the oldest has just gone
    except FileNotFoundError:
        return


def _size(number: int) -> str:
    """Return bytes as people read them: ``12.5 MB``."""
    value = float(number)
    for unit in ("bytes", "kB", "MB", "GB"):
        if value < 1000 or unit == "GB":
            return f"{value:.0f} {unit}" if unit == "bytes" else f"{value:.1f} {unit}"
        value /= 1000
    raise AssertionError
