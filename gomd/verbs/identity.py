"""
Resolves the process that a caller names by PID or by identity (HOME-PID-STARTED).

An identity is looked for among the jobs that run here, among those of this home that run elsewhere, and among
the processes of this kernel. One of another home that is not here is for its home, which knows where it runs.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Final, NamedTuple

from gomd.jobs.home.process_ids import FIRST_FOREIGN_PID
from gomd.jobs.ownership import JobTrees, line_of
from gomd.verbs import arguments as words
from gomd.verbs.context import ISession, Parts
from gomd.verbs.remote_processes import is_hidden, job_elsewhere
from gomd.verbs.replies import Relayed
from libgomd.errors import Conflict, MalformedRequest, NodeError, NotFound
from libgomd.wire.lines import Request
from libgomd.wire.process_identity import ProcessIdentity

#: Codes by which a node says that it does not have the process, or does not know identities yet.
_NOT_THERE: Final = (MalformedRequest.code, NotFound.code, Conflict.code)

#: What a home notes of its job, so that it is asked even on the node on which the job runs.
_NOTED_AT_HOME: Final = ("lock", "unlock")


class Named(NamedTuple):
    """
    A process of this node, or of this home.

    :ivar pid: its number here; that of a job elsewhere is its number at home.
    :ivar started: when it started, in clock ticks after the boot, None when any process of that number is
        meant. Whoever acts on it checks this as it acts.
    :ivar word: what the caller called it.
    """

    pid: int
    started: int | None
    word: str


async def named_process(
    parts: Parts, session: ISession, verb: str, arguments: tuple[str, ...]
) -> Named | Relayed:
    """
    Return the process that the first of ``arguments`` names, or the answer of the node that knows it.

    :raises MalformedRequest: it is neither a PID nor an identity.
    :raises NotFound: the process of this identity has ended, or is hidden from the caller.
    :raises Conflict: its PID is another one now.
    """
    word = arguments[0]
    if "-" not in word[1:]:
        pid = words.pid(word)
        _check_shown(parts, session, pid, _gone(pid))
        return Named(pid, None, word)
    identity = ProcessIdentity.parse(word)
    request, via = Request(verb, arguments), session.caller.via
    is_home, by_home = identity.home == parts.members.own_id, via == f"node {identity.home}"
    found = await _found(parts, identity)
    if found is not None and found.started is None:
        _check_shown(parts, session, found.pid, _ended(identity))
    if found is not None and verb in _NOTED_AT_HOME and not (is_home or by_home):
        with suppress(NodeError):  # the home is down: then here alone
            return await _asked(parts, session, identity.home, request)
    if found is not None:
        return found
    if by_home:
        raise _ended(identity)
    if not is_home:
        return await _asked(parts, session, identity.home, request)
    # Not the first process of a job but one of its children may run with the job.
    for node in sorted({job.node for job in parts.jobs.elsewhere()}):
        if via != f"node {node}":
            try:
                reply = await _asked(parts, session, node, request)
            except NodeError:
                continue
            if reply.code not in _NOT_THERE:
                return reply
    raise await _refusal(parts, session, identity)


def _check_shown(parts: Parts, session: ISession, pid: int, unknown: NotFound) -> None:
    """
    Check that the caller may know of the job that is process ``pid`` of this home and runs elsewhere.

    The numbers of such jobs follow one another, so whoever is told which of them exist can count everybody's.

    :param unknown: the error for a process that does not exist. :raises NotFound: ``unknown``.
    """
    job = job_elsewhere(parts, pid)
    if job is not None and is_hidden(parts, job, session.caller):
        raise unknown


async def _found(parts: Parts, identity: ProcessIdentity) -> Named | None:
    """Return the process if it is one of this node, or the first one of a job of this home."""
    word, here = str(identity), parts.jobs.here()
    for job in here:
        if job.identity == word:
            process = await parts.collector.process(job.pid)
            if process.ppid != job.supervisor:
                raise _ended(identity)
            return Named(job.pid, process.started, word)
    for moved in parts.jobs.elsewhere():
        if moved.identity == word:
            known = None if moved.pid is None else parts.jobs.of_pid(moved.pid)
            is_known = known is not None and known.job == moved.job and moved.pid is not None
            return Named(moved.pid or 0 if is_known else FIRST_FOREIGN_PID + moved.job, None, word)
    try:
        trees = JobTrees(here)
        line = await line_of(parts.collector, identity.pid, trees)
    except NotFound:
        return None
    job_of = trees.job_of(identity.pid, {process.pid: process.ppid for process in line})
    home = line[0].home if job_of is None else job_of.home
    if line[0].started != identity.started or home != identity.home:
        return None
    return Named(identity.pid, identity.started, word)


async def _asked(parts: Parts, session: ISession, node: int, request: Request) -> Relayed:
    """Have another node do it for the same caller."""
    found = parts.members.find(str(node))
    reply = await parts.peers.ask(found, request, session.caller, session.json)
    return Relayed(reply.code, reply.text, reply.rows)


async def _refusal(parts: Parts, session: ISession, identity: ProcessIdentity) -> NotFound | Conflict:
    """Return the refusal: the PID is free, or another process's; only who may see that process is told so."""
    try:
        now = await parts.collector.process(identity.pid)
    except NotFound:
        return _ended(identity)
    if now.started == identity.started or (parts.hides_others() and not session.caller.owns(now.uid)):
        return _ended(identity)
    return Conflict(
        f"process {identity.pid} is another process now, {identity} has ended: `ps` lists what runs"
    )


def _gone(pid: int) -> NotFound:
    return NotFound(f"there is no process {pid} on this node now; `ps` lists what runs")


def _ended(identity: ProcessIdentity) -> NotFound:
    return NotFound(f"process {identity} has ended: `ps` lists what runs")
