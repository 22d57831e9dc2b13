"""Shows the kept output of jobs to callers, by processes that read the files and run nothing."""

from __future__ import annotations

from typing import Final

from twisted.internet.interfaces import IReactorTime

from gomd.jobs.lifecycle.job_phase import Phase
from gomd.jobs.lifecycle.supervisors import Supervisors
from gomd.jobs.lifecycle.tracked import TrackedJob
from libgomd.errors import TooMany
from libgomd.model import Job
from libgomd.wire.job_messages import StartFailure

#: Jobs whose kept output is shown at the same time.
MAX_SHOWN: Final = 200


class ShownOutput:
    """Starts those processes, as their observer, and forgets each when one of its two ends is gone."""

    def __init__(self, clock: IReactorTime, supervisors: Supervisors) -> None:
        self._clock = clock
        self._supervisors = supervisors
        self._shown: set[TrackedJob] = set()

    def show(self, job: Job) -> TrackedJob:
        """
        Return a job that only shows what is kept of ``job``; a caller is to be attached to it.

        :raises TooMany: each takes a process, and there are enough of them.
        """
        if len(self._shown) >= MAX_SHOWN:
            raise TooMany(f"the output of {MAX_SHOWN} jobs is being shown on this node already: try later")
        shown = TrackedJob(
            self._clock, self, f"{job.name} shown", job.uid, job.node, number=job.job, phase=Phase.RUNNING
        )
        shown.connect(self._supervisors.view(job.name))
        self._shown.add(shown)
        return shown

    def job_started(self, tracked: TrackedJob, first_time: bool) -> None:
        """The relay has told the caller."""

    def job_ended(self, tracked: TrackedJob) -> None:
        """The relay has told the caller."""

    def job_failed(self, tracked: TrackedJob, failure: StartFailure) -> None:
        """The process ends then, and its connection with it."""

    def job_collected(self, tracked: TrackedJob) -> None:
        """All was shown: let the process end."""
        tracked.collect()

    def job_connected(self, tracked: TrackedJob) -> None:
        """The caller learns that from the first frame."""

    def job_disconnected(self, tracked: TrackedJob) -> None:
        """The process has ended."""
        self._forget(tracked)

    def client_lost(self, tracked: TrackedJob) -> None:
        """Its last viewer is gone."""
        self._forget(tracked)

    def _forget(self, tracked: TrackedJob) -> None:
        self._shown.discard(tracked)
        tracked.relay.close()
