"""
The jobs of a daemon that may never have one: the code behind them is loaded when the first one comes.

That code and what moves processes take five megabytes of memory. They are loaded as soon as somebody runs a
job here or sends one, and when somebody asks about moves; at the start, when an earlier daemon has left
anything about jobs. All of it is loaded at once, on a thread: nothing is left to be imported while a process
stands still for a move.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, ClassVar, Final, Protocol

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from zope.interface import implementer

from gomd.interfaces import IJobs, IMigrator, IThreads, JobHere
from gomd.jobs.counts import job_counters
from gomd.jobs.lifecycle.carry_permission import check_step
from gomd.jobs.lifecycle.frame_stream import FrameStream
from gomd.jobs.lifecycle.long_specs import LongSpecs
from gomd.jobs.migration.on_demand import MigrationsOnDemand
from libgomd.errors import GomdError, NotFound, NotPossible
from libgomd.model import Caller, Counter, Job
from libgomd.wire import frames

#: Seconds that reading the code from the disk may take.
LOAD_TIMEOUT: Final = 60.0


class MadeJobs(Protocol):
    """What is made when it is needed: `gomd.jobs.service.Jobs`."""

    migrator: IMigrator

    def startService(self) -> None:
        """Begin. :raises OSError: the journal or the spool cannot be used."""

    def stopService(self) -> Deferred[None]:
        """Let go of every job."""


@implementer(IJobs)
class JobsOnDemand(Service):
    """
    :param threads: on which the code is loaded while the daemon runs.
    :param load_code: imports it. Blocks; raises `GomdError` when it must not be loaded.
    :param make: returns the jobs, once the code is loaded.
    :param has_leftovers: tells whether an earlier daemon has left anything about jobs. Blocks briefly.
    :param own_id: this node's id.
    :param migrator: what moves processes here, where that is not criu.
    """

    _log: ClassVar[Logger] = Logger()

    def __init__(
        self,
        threads: IThreads,
        load_code: Callable[[], None],
        make: Callable[[], MadeJobs],
        has_leftovers: Callable[[], bool],
        own_id: int,
        migrator: IMigrator | None = None,
    ) -> None:
        self._threads = threads
        self._load_code = load_code
        self._make = make
        self._has_leftovers = has_leftovers
        self._own_id = own_id
        self._made: Any = None
        self._specs = LongSpecs()
        self.migrator: IMigrator = migrator or MigrationsOnDemand(
            self._ready_migrator, lambda: None if self._made is None else self._made.migrator
        )

    # -- the daemon's start and end

    def startService(self) -> None:
        """
        Take up what an earlier daemon has left. Blocks briefly.

        :raises OSError: the journal or the spool cannot be used at all.
        """
        super().startService()
        if self._made is None and self._has_leftovers():
            self._load_code()
            self._made = self._make()
        if self._made is not None:
            self._made.startService()

    def stopService(self) -> Deferred[None] | None:
        """Let go of every job; they go on. Nothing is loaded any more."""
        super().stopService()
        return None if self._made is None else self._made.stopService()

    # -- when it is needed

    async def _ready(self) -> Any:
        """Return the jobs, made if need be. :raises NotPossible: they cannot be; the next one tries again."""
        if self._made is None:
            await self._threads.run(LOAD_TIMEOUT, self._prepare)
        if self._made is None:  # else another caller has made them meanwhile
            if not self.running:
                raise NotPossible("this daemon is stopping")
            made = self._make()
            try:
                made.startService()
            except OSError as error:
                raise NotPossible(f"the journal or the spool of jobs cannot be used: {error}") from error
            self._made = made
        return self._made

    def _prepare(self) -> None:
        """Load the code, and see whether the disk answers that is read next. Blocks."""
        load(self._load_code)
        self._has_leftovers()

    async def _ready_migrator(self) -> IMigrator:
        migrator: IMigrator = (await self._ready()).migrator
        return migrator

    def _when_ready(
        self, stream: FrameStream, go_on: Callable[[Any], None], failed: Callable[[GomdError], bytes]
    ) -> None:
        """Serve a stream once the jobs are made. Until then, no more is read than has come already."""

        async def wait() -> None:
            with self._specs.ticket() as ticket:
                stream.admit_long_spec(ticket.admits)
                stream.pause_reading(True)
                try:
                    made = await self._ready()
                except GomdError as error:
                    self._log.warn("no job can be run now: {error}", error=error)
                    stream.pause_reading(False)
                    stream.send(failed(error))
                    stream.close()
                    return
                except BaseException:
                    stream.close()  # else its caller would wait for ever
                    raise
                finally:
                    stream.admit_long_spec(None)
            if not stream.gone:
                stream.pause_reading(False)
                go_on(made)

        Deferred.fromCoroutine(wait()).addErrback(
            lambda failure: self._log.failure("making the jobs failed", failure=failure)
        )

    def run(self, caller: Caller, stream: Any, guest: str = "") -> None:
        """See `IJobs.run`."""
        if self._made is not None:
            self._made.run(caller, stream, guest)
        else:
            self._when_ready(stream, lambda jobs: jobs.run(caller, stream, guest), frames.failure)

    def check_carry(self, caller: Caller, name: str, step: str, node: int) -> None:
        """See `IJobs.check_carry`."""
        if self._made is not None:
            self._made.check_carry(caller, name, step, node)
        else:
            check_step(self._own_id, name, step, node)

    def carry(self, caller: Caller, name: str, step: str, stream: Any) -> None:
        """See `IJobs.carry`."""
        if self._made is not None:
            self._made.carry(caller, name, step, stream)
        else:
            self._when_ready(stream, lambda jobs: jobs.carry(caller, name, step, stream), _carry_failed)

    # -- what is asked. There is no job before the first one was run, or sent here.

    async def bring_home(self, job: Job) -> str:
        """See `IJobs.bring_home`."""
        found: Awaitable[str] = self._has(f"job {job.job}").bring_home(job)
        return await found

    def rows(self, caller: Caller) -> Sequence[Job]:
        """See `IJobs.rows`."""
        return () if self._made is None else self._made.rows(caller)

    def find(self, number: int, caller: Caller) -> Job:
        """See `IJobs.find`."""
        job: Job = self._has(f"job {number}", " here: `jobs` lists them").find(number, caller)
        return job

    def of_pid(self, pid: int) -> Job | None:
        """See `IJobs.of_pid`."""
        return None if self._made is None else self._made.of_pid(pid)

    async def until(self, job: Job, condition: Callable[[], bool], timeout: float) -> bool:
        """See `IJobs.until`."""
        return condition() if self._made is None else bool(await self._made.until(job, condition, timeout))

    def here(self) -> Sequence[JobHere]:
        """See `IJobs.here`."""
        return () if self._made is None else self._made.here()

    def elsewhere(self) -> Sequence[Job]:
        """See `IJobs.elsewhere`."""
        return () if self._made is None else self._made.elsewhere()

    def pid_here(self, pid: int) -> int:
        """See `IJobs.pid_here`."""
        return pid if self._made is None else int(self._made.pid_here(pid))

    def set_lock(self, name: str, lock: bool) -> None:
        """See `IJobs.set_lock`."""
        self._has(f"job {name}").set_lock(name, lock)

    def moved(self, name: str, node: int, nmigs: int) -> None:
        """See `IJobs.moved`."""
        self._has(f"job {name}", " any more").moved(name, node, nmigs)

    async def written(self) -> None:
        """See `IJobs.written`."""
        if self._made is not None:
            await self._made.written()

    def check_attach(self, job: Job) -> None:
        """See `IJobs.check_attach`."""
        self._has(f"job {job.job}").check_attach(job)

    def attach(self, job: Job, stream: Any) -> None:
        """See `IJobs.attach`."""
        self._has(f"job {job.job}").attach(job, stream)

    def check_guest(self, caller: Caller, name: str) -> None:
        """See `IJobs.check_guest`."""
        self._has(f"job {name}", " of yours here").check_guest(caller, name)

    def attach_guest(self, caller: Caller, name: str, stream: Any) -> None:
        """See `IJobs.attach_guest`."""
        self._has(f"job {name}").attach_guest(caller, name, stream)

    def signal(self, job: Job, number: int, group: bool) -> None:
        """See `IJobs.signal`."""
        self._has(f"job {job.job}").signal(job, number, group)

    def counters(self) -> Iterable[Counter]:
        """See `IJobs.counters`."""
        made = self._made
        return job_counters(self.migrator.counters()) if made is None else made.counters()

    def _has(self, what: str, where: str = " here") -> Any:
        """Return the jobs. :raises NotFound: there has been none yet."""
        if self._made is None:
            raise NotFound(f"there is no {what}{where}")
        return self._made


def load(load_code: Callable[[], None]) -> None:
    """Import code. Blocks. :raises NotPossible: that fails. :raises GomdError: it must not be loaded."""
    try:
        load_code()
    except GomdError:
        raise
    except Exception as error:  # not ImportError alone: a file may be half of one, or of another version
        raise NotPossible(f"this installation of gomd is broken, install it again: {error}") from error


def _carry_failed(error: GomdError) -> bytes:
    from libgomd.wire import job_messages
    from libgomd.wire.carry_messages import CarryOutcome

    return job_messages.encode(CarryOutcome(str(error)))
