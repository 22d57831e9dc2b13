"""The processes of jobs as the process table shows them: under their home, with what gomd knows of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from gomd.interfaces import JobHere
from libgomd.model import Job, Process


def decorated(processes: Sequence[Process], jobs: Iterable[JobHere], own_id: int) -> list[Process]:
    """
    Return ``processes`` of node ``own_id``; those of ``jobs``, and their descendants, say whose they are.

    What was not started by gomd is returned as it is.
    """
    roots = {job.supervisor: job for job in jobs} | {job.pid: job for job in jobs}
    if not roots:
        return list(processes)
    parents = {process.pid: process.ppid for process in processes}
    supervisors = {job.supervisor for job in roots.values()}
    found: dict[int, JobHere | None] = {}

    def job_of(pid: int) -> JobHere | None:
        way: list[int] = []
        while pid not in found and pid not in roots and pid in parents and len(way) < 1000:
            way.append(pid)
            pid = parents[pid]
        job = roots.get(pid) or found.get(pid)
        found.update(dict.fromkeys(way, job))
        return job

    return [
        process
        if process.pid in supervisors or (job := job_of(process.pid)) is None
        else _as_of(process, job, own_id)
        for process in processes
    ]


def _as_of(process: Process, job: JobHere, own_id: int) -> Process:
    return replace(
        process,
        home=job.home,
        where=0 if job.home == own_id else own_id,
        nmigs=job.nmigs,
        lock=process.lock or job.lock,
        cantmove=job.cantmove,
    )


def elsewhere(job: Job, process: Process | None) -> Process:
    """
    Return how the home of ``job``, which runs on another node, shows it.

    :param process: what that node says of it; None when it did not answer.
    """
    assert job.pid is not None
    if process is None:
        process = Process(
            job.node, job.home, job.pid, 0, job.uid, job.user, "?", 0, None, None, 0.0, 0, 0,
            job.started, job.node, job.nmigs, job.lock, job.cantmove, job.command, 0,
        )  # fmt: skip
    return replace(
        process, node=job.node, home=job.home, pid=job.pid, ppid=0, user=job.user, where=job.node,
        nmigs=job.nmigs, lock=job.lock, cantmove=job.cantmove,
    )  # fmt: skip
