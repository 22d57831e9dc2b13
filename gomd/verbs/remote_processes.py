"""The processes of this home on other nodes, for the verbs about processes: asked for where they run."""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import deferLater

from gomd.jobs.ownership import elsewhere
from gomd.verbs.context import Parts
from libgomd.errors import GomdError, NotAllowed, PeerUnreachable
from libgomd.model import Caller, Job, Process, Role
from libgomd.wire.lines import Request
from libgomd.wire.values import decode, loads

#: Seconds the other nodes have for their answers; then their processes are shown without numbers.
PATIENCE = 2.0
#: Seconds until a job that has just moved can be reached where it is, and between two looks.
REACHED_LIMIT = 5.0
_AGAIN = 0.1
#: Processes asked for in one line.
_AT_ONCE = 200
_READER = Caller(Role.ADMIN, "", None, "ps")


def job_elsewhere(parts: Parts, pid: int) -> Job | None:
    """Return the job of this home with process id ``pid`` that runs on another node, None for any other."""
    job = parts.jobs.of_pid(pid)
    return job if job is not None and job.node != parts.members.own_id else None


def own_job_elsewhere(parts: Parts, pid: int, caller: Caller) -> Job | None:
    """Return the same, for somebody who wants to act on it. :raises NotAllowed: it is not his."""
    job = job_elsewhere(parts, pid)
    if job is not None and not caller.owns(job.uid):
        raise NotAllowed(f"process {pid} is not yours: it is {job.user}'s")
    return job


async def pid_there(parts: Parts, job: Job) -> str:
    """
    Return which process ``job`` is where it runs; one that has just moved is waited for.

    :raises PeerUnreachable: that is not known. Not yet, or it has moved on.
    """
    end = parts.clock.seconds() + REACHED_LIMIT
    now: Job | None = job
    while now is not None and now.node == job.node and parts.clock.seconds() < end:
        if now.pid_there is not None:
            return str(now.pid_there)
        await deferLater(parts.clock, _AGAIN)
        now = None if job.pid is None else parts.jobs.of_pid(job.pid)
    raise PeerUnreachable(f"which process of node {job.node} job {job.job} is, is not known yet: try again")


async def send_signal(parts: Parts, job: Job, number: int, group: bool) -> None:
    """Send a signal to a job, here or elsewhere; one that has just moved is waited for. As `IJobs.signal`."""
    end = parts.clock.seconds() + REACHED_LIMIT
    while True:
        try:
            return parts.jobs.signal(job, number, group)
        except PeerUnreachable:
            if parts.clock.seconds() >= end:
                raise
        await deferLater(parts.clock, _AGAIN)


async def processes_elsewhere(parts: Parts) -> list[Process]:
    """Return a process for each job of this home that runs on another node."""
    by_node: dict[int, list[Job]] = {}
    for job in parts.jobs.elsewhere():
        by_node.setdefault(job.node, []).append(job)
    asked = [Deferred.fromCoroutine(_of_node(parts, node, jobs)) for node, jobs in by_node.items()]
    return [process for found in await gatherResults(asked) for process in found]


async def _of_node(parts: Parts, node: int, jobs: Sequence[Job]) -> list[Process]:
    work = Deferred.fromCoroutine(_ask(parts, node, jobs))
    late = parts.clock.callLater(PATIENCE, work.cancel)
    try:
        found = await work
    except Exception:  # noqa: BLE001 - whatever it is, the jobs are there
        found = {}
    finally:
        if late.active():
            late.cancel()
    return [elsewhere(job, found.get(job.pid_there or 0)) for job in jobs]


async def _ask(parts: Parts, node_id: int, jobs: Sequence[Job]) -> dict[int, Process]:
    node = parts.members.find(str(node_id))
    pids = [str(job.pid_there) for job in jobs if job.pid_there][:_AT_ONCE]
    reply = await parts.peers.ask(node, Request("ps", tuple(pids)), _READER, True)
    if reply.rows is None:
        raise PeerUnreachable(reply.text)
    found = {}
    try:
        async for lines in reply.rows:
            for line in lines:
                process = decode(Process, loads(line))
                found[process.pid] = process
    except GomdError:
        pass  # the last line of a block may be an error
    finally:
        await reply.rows.aclose()
    return found
