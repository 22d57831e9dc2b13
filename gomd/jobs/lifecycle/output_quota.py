"""
Limits how much output of detached jobs this home keeps, of each user and of all.

The files belong to root, so no quota of the file system counts them for their user. Instead there are limits
for one user and for all, and a reserve of free space on the disk. The files are measured periodically, as
they grow. Beyond a limit the oldest outputs of jobs that are over are removed; if that is not enough, the
supervisors of running jobs are told to keep less. Below the reserve, and when a limit is used up, no detached
job is started.
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
from gomd.jobs.supervisor.file_store import free_of
from libgomd.errors import GomdError, InternalError, TimedOut, TooMany
from libgomd.model import Caller, Job
from libgomd.wire import job_messages
from libgomd.wire.job_orders import KeepOrder

#: Seconds between two measurements.
MEASURE_INTERVAL = 5.0
#: Seconds for which a measurement holds when a job is to be started.
MEASUREMENT_MAX_AGE = 2.0
#: Measurements after which cgroups that supervisors have left are removed once more.
MEASUREMENTS_A_SWEEP = 12
#: Seconds that a measurement, and a removal, may take.
MEASURE_TIMEOUT, REMOVE_TIMEOUT = 20.0, 60.0
#: Bytes that a job keeps of each of its two outputs in any case.
MIN_OUTPUT_BYTES = 131072


class OutputLimits(NamedTuple):
    """
    How many bytes are kept.

    :ivar stream: of each of the two outputs of a job. :ivar per_user: of all jobs of one user.
    :ivar total: of all jobs. :ivar reserve: of the disk that stay free, see
        `gomd.jobs.supervisor.file_store.free_of`.
    """

    stream: int
    per_user: int
    total: int
    reserve: int


class Measurement(NamedTuple):
    """
    What a measurement found.

    :ivar sizes: bytes of output by the names of jobs. :ivar free: bytes free on the disk.
    :ivar reserve: bytes that are to stay free.
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
        self._measured: Measurement | None = None
        self._measured_at = 0.0
        self._waiting: list[Deferred[None]] | None = None  # for the measurement that is under way
        self._disk_hangs = False
        self._measurements = 0
        self._over: frozenset[int] = frozenset()  # the jobs that were over before it
        self._removed: set[int] = set()
        self._told: dict[str, int] = {}
        self._loop = LoopingCall(self._measure_periodically)
        self._loop.clock = clock

    def start(self) -> None:
        """Measure now and periodically."""
        self._loop.start(MEASURE_INTERVAL)

    def stop(self) -> None:
        """Stop measuring."""
        if self._loop.running:
            self._loop.stop()

    async def check(self, caller: Caller) -> None:
        """
        See whether the output of one more job of ``caller`` can be kept.

        :raises TooMany: a limit is used up, or the disk is nearly full. :raises TimedOut: the disk hangs.
        """
        fresh = self._measured is not None and self._clock.seconds() - self._measured_at < MEASUREMENT_MAX_AGE
        await self._measure(count=not fresh)
        measured, limits, spool = self._measured, self._limits, self._supervisors.spool
        assert measured is not None
        if measured.free < measured.reserve:
            raise TooMany(
                f"the disk of {spool} on {self._supervisors.where} has {_size(measured.free)} free, and "
                f"{_size(measured.reserve)} of it stay free: make room there, or run it without --detach"
            )
        # Output of jobs that are over is in nobody's way: the oldest is removed when there is too much.
        lasting = [job for job in self._jobs() if not self._is_removable(job)]
        used = sum(measured.sizes[job.name] for job in lasting)
        of_user = sum(measured.sizes[job.name] for job in lasting if job.uid == caller.uid)
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

    def _is_removable(self, job: Job) -> bool:
        return job.state.over and job.name not in self._tracked

    def why_gone(self, job: Job) -> str:
        """Return why the output of a job that is over is kept no more, a clause; empty when it may be."""
        if job.job in self._removed:
            return "its output was removed, being the oldest, to make room for others"
        if self._measured is not None and job.job in self._over and job.name not in self._measured.sizes:
            return "nothing of its output is there any more"
        return ""

    def counts(self) -> tuple[int, int]:
        """Return the bytes that are kept, and how many outputs were removed to make room."""
        kept = 0 if self._measured is None else sum(self._measured.sizes.values())
        return kept, len(self._removed)

    def _jobs(self) -> list[Job]:
        """Return the jobs whose output was measured: the one that ended first, first; those that run last."""
        sizes = {} if self._measured is None else self._measured.sizes
        found = [job for job in self._table if job.name in sizes]
        return sorted(found, key=lambda job: (job.ended is None, job.ended or 0.0, job.job))

    async def _measure_periodically(self) -> None:
        """Measure, and enforce the limits. Never raises."""
        try:
            if any(job.detached for job in self._table):
                await self._measure()
                self._limit_running()
            self._measurements += 1
            if self._measurements % MEASUREMENTS_A_SWEEP == 0:
                await self._threads.run(MEASURE_TIMEOUT, self._supervisors.sweep)
        except GomdError as error:
            self._log.warn("the output of detached jobs cannot be counted: {error}", error=error)
        except Exception:  # noqa: BLE001 - a bug: say so loudly, and go on
            self._log.failure("counting the output of detached jobs failed")

    async def _measure(self, count: bool = True) -> None:
        """Measure the disk and what is kept on it; concurrent callers share one measurement."""
        if self._disk_hangs:
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
            await self._measure_now(count)
            await self._make_room()
        except Exception as error:
            failure = error
            raise
        finally:
            waiting, self._waiting = self._waiting, None
            for each in waiting:
                each.callback(None) if failure is None else each.errback(failure)

    async def _measure_now(self, count: bool) -> None:
        known = None if count or self._measured is None else self._measured.sizes
        back: list[bool] = []

        def measure_disk() -> Measurement:
            try:
                return measure(self._supervisors, self._own_id, self._limits.reserve, known)
            finally:
                back.append(True)
                self._disk_hangs = False

        now, over = self._clock.seconds(), frozenset(job.job for job in self._table if job.state.over)
        try:
            self._measured = await self._threads.run(MEASURE_TIMEOUT, measure_disk)
        except TimedOut:
            self._disk_hangs = not back
            raise
        except OSError as error:
            raise InternalError(f"{self._supervisors.spool} cannot be read: {error.strerror}") from error
        if known is None:
            self._measured_at, self._over = now, over

    async def _make_room(self) -> None:
        """Remove the oldest outputs of jobs that are over, first those of users over their limit."""
        assert self._measured is not None
        sizes = dict(self._measured.sizes)
        jobs = self._jobs()
        for uid in {job.uid for job in jobs}:
            await self._remove([job for job in jobs if job.uid == uid], sizes, self._limits.per_user)
        await self._remove(jobs, sizes, self._limits.total)
        self._measured = self._measured._replace(sizes=sizes)

    async def _remove(self, jobs: list[Job], sizes: dict[str, int], limit: int) -> None:
        used = sum(sizes.get(job.name, 0) for job in jobs)
        for job in jobs:
            if used <= limit:
                return
            if not self._is_removable(job) or not sizes.get(job.name):
                continue
            await self._threads.run(REMOVE_TIMEOUT, self._supervisors.remove, job.name)
            self._removed.add(job.job)
            used -= sizes.pop(job.name)
            self._log.info(
                "removed the output of job {job} of {user}, the oldest: more than {limit} bytes are kept",
                job=job.job, user=job.user, limit=limit,
            )  # fmt: skip

    def _limit_running(self) -> None:
        """Let running jobs keep less when removing others was not enough."""
        assert self._measured is not None
        sizes = self._measured.sizes
        running = [job for job in self._jobs() if not job.state.over]
        self._told = {name: limit for name, limit in self._told.items() if name in self._tracked}
        users = {job.uid for job in running}
        groups = [[job for job in running if job.uid == uid] for uid in users]
        limited = [(group, self._limits.per_user) for group in groups] + [(running, self._limits.total)]
        for jobs, limit in limited:
            if sum(sizes[job.name] for job in jobs) <= limit:
                continue
            for job in jobs:
                self._tell(job, max(MIN_OUTPUT_BYTES, min(self._limits.stream, limit // (2 * len(jobs)))))

    def _tell(self, job: Job, limit: int) -> None:
        tracked = self._tracked.get(job.name)
        if tracked is None or self._told.get(job.name, self._limits.stream) <= limit:
            return
        self._told[job.name] = limit
        if tracked.writer is not None:
            tracked.writer.keep(limit)
        elif tracked.node == self._own_id:
            tracked.relay.to_job(job_messages.encode(KeepOrder(limit)))


def measure(
    here: Supervisors, own_id: int, reserve: int, known: Mapping[str, int] | None = None
) -> Measurement:
    """
    Measure what is kept, unless that is ``known``, and the free space of the disk. Blocks.

    :raises OSError: the spool cannot be read.
    """
    os.makedirs(here.spool, mode=0o700, exist_ok=True)
    names = (str(name) for name in here.names() if name.home == own_id) if known is None else ()
    sizes = {name: sum(_sizes(here.directory(name))) for name in names} if known is None else known
    return Measurement(sizes, *free_of(os.statvfs(here.spool), reserve))


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
