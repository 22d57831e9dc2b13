"""Finds the jobs again that ran on while no daemon was there. Runs once, when the daemon starts."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import ClassVar

from twisted.logger import Logger

from gomd.jobs.home.table import HomeTable
from gomd.jobs.lifecycle.job_phase import Phase
from gomd.jobs.lifecycle.supervisors import GONE, Supervisors
from gomd.jobs.lifecycle.tracked import TrackedJob
from gomd.jobs.lifecycle.tracker import JobTracker
from gomd.jobs.migration.location import JobLocations
from libgomd.model import Job, JobState
from libgomd.wire.job_messages import JobReport
from libgomd.wire.job_name import JobName


class JobRecovery:
    """
    A job whose files cannot be understood is logged, and keeps no other from being found.

    :param own_id: this node's id.
    """

    _log: ClassVar[Logger] = Logger()

    def __init__(
        self,
        own_id: int,
        supervisors: Supervisors,
        table: HomeTable,
        tracker: JobTracker,
        locations: JobLocations,
    ) -> None:
        self._own_id = own_id
        self._supervisors = supervisors
        self._table = table
        self._tracker = tracker
        self._locations = locations

    def recover(self, names: Collection[JobName], leaving: Collection[str], coming: Collection[str]) -> None:
        """
        Track every job of the home table and of the spool again. Blocks briefly.

        :param names: jobs that have a directory in the spool.
        :param leaving, coming: names of jobs whose migrations are still to be decided.
        """
        for job in self._table:
            if not job.state.over:
                tracked = self._tracker.new(job, Phase.ARRIVING if job.name in coming else Phase.RUNNING)
                self._recover(tracked, job.name in leaving)
        for each in names:
            name = str(each)
            if each.home != self._own_id:
                if name not in coming:
                    self._surely(name, self._find_guest, name, name in leaving)
            elif name not in self._tracker.jobs:
                self._surely(name, self._find_unknown, each.number, name)

    def _surely(self, name: str, find: Callable[..., None], *arguments: object) -> None:
        """Find one job. Whatever is wrong with it is logged, and no other job suffers from it."""
        try:
            find(*arguments)
        except Exception:  # noqa: BLE001 - a start does not fail for one job
            self._log.failure("job {job} cannot be found again: its directory is left as it is", job=name)

    def _recover(self, tracked: TrackedJob, leaving: bool) -> None:
        if leaving:  # until its migration is taken up again, which will decide
            tracked.leave(lambda: None)
        self._surely(tracked.name, self._tracker.recover, tracked)

    def _find_guest(self, name: str, leaving: bool) -> None:
        running = self._supervisors.read_running(name)
        uid, nmigs = (-1, 0) if running is None else (running.uid, running.nmigs)
        guest = self._tracker.new_guest(name, uid, Phase.RUNNING)
        self._recover(guest, leaving)
        if nmigs and not leaving and self._tracker.is_tracked(guest):
            self._locations.tell(guest, nmigs)

    def _find_unknown(self, number: int, name: str) -> None:
        """Examine the directory of a job of this home that the table does not know, or knows to be over."""
        if (job := self._table.get(number)) is not None:
            if not job.detached:
                self._tracker.remove(name)
            return
        if not self._table.may_be_damaged(number):
            self._tracker.remove(name)  # its supervisor, if it has one, ends it then
            return
        running = self._supervisors.read_running(name)
        if running is None or not self._is_running(name):
            self._log.warn("job {job} is not known any more: its directory is left as it is", job=name)
            return
        job = _job_of(number, self._own_id, running)
        self._log.warn("job {job} is known from its own directory only: it is taken back", job=name)
        self._table.recover(job)
        self._tracker.recover(self._tracker.new(job, Phase.RUNNING))

    def _is_running(self, name: str) -> bool:
        """Whether a job has a supervisor, or one that cannot be asked at this moment."""
        try:
            self._supervisors.connect(name).close()
        except OSError as error:
            return error.errno not in GONE
        return True


def _job_of(number: int, home: int, running: JobReport) -> Job:
    """Return a job of this home as its supervisor has described it."""
    return Job(
        number, home, home, running.pid, running.user or str(running.uid), JobState.RUNNING, None,
        " ".join(running.argv)[:200], running.uid, running.began or 0.0, None, "", running.nmigs,
        running.lock, running.detach, running.pid, running.cantmove, identity=running.identity,
    )  # fmt: skip
