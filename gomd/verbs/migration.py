"""The verbs that move and lock processes, and those by which daemons tell each other about moves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gomd.interfaces import RelocationOutcome
from gomd.verbs import arguments as words
from gomd.verbs.context import ISession, Parts
from gomd.verbs.identity import named_process
from gomd.verbs.replies import Relayed, Reply, Upgrade, ValueReply
from gomd.verbs.table import Verb
from libgomd.errors import MalformedRequest, NotPossible
from libgomd.model import MAX_NODE_ID, Role
from libgomd.wire.job_name import JobName

#: The word that asks without moving anything.
DRY_RUN = "dry-run"
#: Largest number of moves of a job that is accepted.
_MAX_MOVES = 2**31 - 1
_SAID = {
    RelocationOutcome.MOVED: "process {pid} runs on node {node}",
    RelocationOutcome.THERE: "process {pid} runs on node {node} already",
    RelocationOutcome.BEST: "process {pid} stays on node {node}: no other one that can take it is better",
    RelocationOutcome.COULD: "process {pid} can move to node {node}",
}


async def migrate(parts: Parts, session: ISession, arguments: tuple[str, ...]) -> Reply:
    """Move a process, with all of its job. The answer comes when it runs on the other node."""
    if len(arguments) > 2 and arguments[2] != DRY_RUN:
        raise MalformedRequest(f"usage: {MIGRATE.usage}")
    named = await named_process(parts, session, "migrate", arguments)
    if isinstance(named, Relayed):
        return named
    began, pid = parts.clock.seconds(), named.pid
    moved = await parts.relocation.migrate(
        pid, arguments[1], session.caller, len(arguments) > 2, named.started
    )
    node = moved.node
    value = {
        "pid": pid,
        "node": node.id,
        "seconds": round(parts.clock.seconds() - began, 3),
        "moved": moved.outcome is RelocationOutcome.MOVED,
        "stopped_seconds": None if moved.cost is None else moved.cost.stopped_seconds,
        "bytes": None if moved.cost is None else moved.cost.bytes,
        "precopied": None if moved.cost is None else moved.cost.precopied,
    }
    return ValueReply(_SAID[moved.outcome].format(pid=pid, node=f"{node.id} {node.name}"), value)


def _lock(lock: bool) -> Callable[..., Any]:
    """Return the verb that locks a process, or unlocks it."""

    async def answer(parts: Parts, session: ISession, arguments: tuple[str, ...]) -> Reply:
        named = await named_process(parts, session, "lock" if lock else "unlock", arguments)
        if isinstance(named, Relayed):
            return named
        pid = named.pid
        await parts.relocation.lock(pid, lock, session.caller, named.started)
        return ValueReply(
            f"process {pid} is {'locked' if lock else 'not locked'}", {"pid": pid, "lock": lock}
        )

    return answer


def migration(parts: Parts, session: ISession, arguments: tuple[str, ...]) -> Reply:
    """Turn the connection into a stream of migration messages."""
    node = words.peer(session.caller)
    return Upgrade("migration messages", lambda stream: parts.migrator.join(node, stream))


async def moved(parts: Parts, session: ISession, arguments: tuple[str, ...]) -> Reply:
    """Note on which node a job of this home runs now."""
    words.peer(session.caller)
    job = JobName.parse(arguments[0])
    node = words.whole_number(arguments[1], "NODE", 1, MAX_NODE_ID)
    nmigs = words.whole_number(arguments[2], "NMIGS", 0, _MAX_MOVES)
    if job.home != parts.members.own_id:
        raise NotPossible(f"job {job} has its home on node {job.home}: tell that one")
    parts.jobs.moved(str(job), node, nmigs)
    await parts.jobs.written()  # the other node does not repeat it once it is answered
    return ValueReply(f"job {job} runs on node {node}")


MIGRATE = Verb(
    "migrate", "PID NODE|home|best [dry-run]", Role.USER,
    "move a process; dry-run: only say if it could", migrate, patient=True,
)  # fmt: skip
VERBS = (
    MIGRATE,
    Verb("lock", "PID", Role.USER, "balancing leaves this process where it is", _lock(True)),
    Verb("unlock", "PID", Role.USER, "balancing may move this process", _lock(False)),
    Verb(
        "migration",
        "",
        Role.ADMIN,
        "turn a stream between daemons into migration messages",
        migration,
        web="",
    ),
    Verb(
        "moved",
        "HOME-JOB NODE NMIGS",
        Role.ADMIN,
        "tell a home where its job runs, between daemons",
        moved,
        web="",
    ),
)
