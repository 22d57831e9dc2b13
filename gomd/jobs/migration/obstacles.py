"""Inspects the jobs of this node now and then, so that `cantmove` says what keeps them from moving."""

from __future__ import annotations

from typing import ClassVar, Final

from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from gomd.jobs.lifecycle.tracked import TrackedJob
from gomd.jobs.migration.context import MigrationContext
from libgomd.errors import GomdError, TimedOut
from libgomd.shared_wakeups import SharedWakeups

#: Seconds from one round to the next.
ROUND_INTERVAL: Final = 3.0
#: Maximum number of jobs that are inspected in a round: a thousand jobs take some minutes.
MAX_JOBS_PER_ROUND: Final = 32


class Obstacles:
    """Keeps `TrackedJob.stays` of the jobs that run here up to date."""

    _log: ClassVar[Logger] = Logger()

    def __init__(self, context: MigrationContext) -> None:
        self._context = context
        self._loop = LoopingCall(self._start)
        self._loop.clock = SharedWakeups(context.clock)
        self._busy = False
        self._next = 0

    def start(self) -> None:
        """Inspect some jobs every `ROUND_INTERVAL` seconds. May be called twice."""
        if not self._loop.running:
            self._loop.start(ROUND_INTERVAL, now=False)

    def stop(self) -> None:
        """Begin no more rounds. May be called twice."""
        if self._loop.running:
            self._loop.stop()

    def _start(self) -> None:
        if not self._busy and self._context.jobs.any_tracked():
            Deferred.fromCoroutine(self.round())

    async def round(self) -> None:
        """Inspect the jobs whose turn it is. Never raises: an escaping error would end the loop."""
        self._busy = True
        try:
            jobs = list(self._context.jobs.movable())
            if jobs:
                await self._context.checks.criu_problem()
            begin = self._next % len(jobs) if jobs else 0
            self._next = begin + MAX_JOBS_PER_ROUND
            for job in (jobs[begin:] + jobs[:begin])[:MAX_JOBS_PER_ROUND]:
                await self._inspect(job)
        except GomdError as error:
            self._log.debug("jobs cannot be inspected now: {error}", error=error)
        except Exception:  # noqa: BLE001 - a bug: say so loudly, and stay up
            self._log.failure("inspecting jobs failed")
        finally:
            self._busy = False

    async def _inspect(self, job: TrackedJob) -> None:
        try:
            job.note_obstacle("; ".join(await self._context.checks.obstacles(job)))
        except OSError:
            pass  # it has ended
        except TimedOut as error:
            job.note_obstacle(str(error))
