"""How the daemon describes a job that runs on this node."""

from __future__ import annotations

from gomd.interfaces import JobHere
from gomd.jobs.home.process_ids import FIRST_FOREIGN_PID
from gomd.jobs.home.table import HomeTable
from gomd.jobs.lifecycle.tracked import TrackedJob
from libgomd.wire.job_name import JobName


def job_here(tracked: TrackedJob, table: HomeTable, cantmove: str) -> JobHere:
    """Return the row of `IJobs.here` of a job. :param cantmove: why it cannot be moved now."""
    running = tracked.running
    assert running is not None
    name = JobName.parse(tracked.name)
    job = None if tracked.number is None else table.get(tracked.number)
    if job is None:
        pid_at_home = running.pid_at_home or FIRST_FOREIGN_PID + name.number
        nmigs, lock = running.nmigs, running.lock
        identity = running.identity if running.identity.startswith(f"{name.home}-") else ""
    else:
        pid_at_home, nmigs, lock = job.pid or running.pid, job.nmigs, job.lock
        identity = job.identity
    return JobHere(
        name.home, name.number, running.pid, running.supervisor, tracked.uid, running.gid,
        " ".join(running.argv)[:200], pid_at_home, nmigs, lock, cantmove,
        running.used or 0.0, running.began or 0.0, identity,
    )  # fmt: skip
