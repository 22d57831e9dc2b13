"""
The processes of this home on other nodes, for the verbs about processes: their nodes are asked.

A node that is asked for them by their home answers from what runs on it and asks nobody else. Two nodes that
run jobs of each other, or three in a ring, would otherwise ask around until every question has timed out.
"""

from __future__ import annotations

from collections.abc import Container, Sequence

from twisted.internet.defer import Deferred, gatherResults

from gomd.jobs.ownership import elsewhere
from gomd.verbs.context import Parts
from libgomd.deadlines import within
from libgomd.errors import GomdError, NotAllowed, PeerUnreachable, TimedOut
from libgomd.model import Caller, Job, Process, Role
from libgomd.wire.lines import Request
from libgomd.wire.values import decode, loads

#: Seconds that the other nodes have for their answers; then their processes are shown without numbers.
ANSWER_TIMEOUT = 2.0
#: Seconds within which a job that has just moved is reached on its new node.
MOVED_TIMEOUT = 5.0
#: Processes that are asked for in one line.
_MAX_PIDS_A_REQUEST = 200
_READER = Caller(Role.ADMIN, "", None, "ps")


def job_elsewhere(parts: Parts, pid: int) -> Job | None:
    """Return the job of this home with process id ``pid`` that runs on another node, None for any other."""
    job = parts.jobs.of_pid(pid)
    return job if job is not None and job.node != parts.members.own_id else None


def is_hidden(parts: Parts, job: Job, caller: Caller) -> bool:
    """Whether ``caller`` may not know of ``job``, as it would not see its processes (``hidepid``)."""
    return parts.hides_others() and not caller.owns(job.uid)


def own_job_elsewhere(parts: Parts, pid: int, caller: Caller) -> Job | None:
    """Return the same for a caller that wants to act on it. :raises NotAllowed: it is not the caller's."""
    job = job_elsewhere(parts, pid)
    if job is not None and not caller.owns(job.uid):
        raise NotAllowed(f"process {pid} is not yours: it is {job.user}'s")
    return job


async def pid_there(parts: Parts, job: Job) -> str:
    """
    Return which process ``job`` is where it runs; one that has just moved is waited for.

    :raises PeerUnreachable: that is not known. Not yet, or it has moved on.
    """
    now: Job | None = job

    def settled() -> bool:
        nonlocal now
        now = None if job.pid is None else parts.jobs.of_pid(job.pid)
        return now is None or now.node != job.node or now.pid_there is not None

    if job.pid_there is not None:
        return str(job.pid_there)
    await parts.jobs.until(job, settled, MOVED_TIMEOUT)
    if now is not None and now.node == job.node and now.pid_there is not None:
        return str(now.pid_there)
    raise PeerUnreachable(
        f"job {job.job} has just moved to node {job.node} and its process id there is not known yet: "
        "try again in a moment"
    )


async def send_signal(parts: Parts, job: Job, number: int, group: bool) -> None:
    """Send a signal to a job, here or elsewhere; one that has just moved is waited for. As `IJobs.signal`."""
    unreached: PeerUnreachable | None = None

    def sent() -> bool:
        nonlocal unreached
        try:
            parts.jobs.signal(job, number, group)
        except PeerUnreachable as error:
            unreached = error
            return False
        return True

    if not await parts.jobs.until(job, sent, MOVED_TIMEOUT) and unreached is not None:
        raise unreached


def is_of_home(caller: Caller) -> bool:
    """Whether another daemon asks as `_READER`: for its own jobs on this node."""
    return caller.role is _READER.role and not caller.user and caller.via.startswith("node ")


async def processes_elsewhere(parts: Parts, caller: Caller, wanted: Container[int] = ()) -> list[Process]:
    """
    Return a process for each job of this home that runs on another node.

    :param caller: who asks. A home that names processes means those that run here, and gets no others.
    :param wanted: the process ids that were named; empty for all jobs. No node is asked for other ones.
    """
    if wanted and is_of_home(caller):
        return []
    by_node: dict[int, list[Job]] = {}
    for job in parts.jobs.elsewhere():
        if not wanted or job.pid in wanted:
            by_node.setdefault(job.node, []).append(job)
    asked = [Deferred.fromCoroutine(_of_node(parts, node, jobs)) for node, jobs in by_node.items()]
    return [process for found in await gatherResults(asked) for process in found]


async def _of_node(parts: Parts, node: int, jobs: Sequence[Job]) -> list[Process]:
    asked = Deferred.fromCoroutine(_ask(parts, node, jobs))
    late = TimedOut(f"node {node} did not answer within {ANSWER_TIMEOUT:g} s")
    try:
        found = await within(parts.clock, ANSWER_TIMEOUT, asked, late)
    except Exception:  # noqa: BLE001 - whatever it is, the jobs are there
        found = {}
    return [elsewhere(job, found.get(job.pid_there or 0)) for job in jobs]


async def _ask(parts: Parts, node_id: int, jobs: Sequence[Job]) -> dict[int, Process]:
    node = parts.members.find(str(node_id))
    pids = [str(job.pid_there) for job in jobs if job.pid_there][:_MAX_PIDS_A_REQUEST]
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
