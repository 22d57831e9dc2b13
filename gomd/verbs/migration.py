"""The verbs that move processes, and what daemons say to each other about it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gomd.interfaces import RelocationOutcome
from gomd.verbs import arguments as words
from gomd.verbs.context import ISession, Parts
from gomd.verbs.replies import Reply, Upgrade, ValueReply
from gomd.verbs.table import Verb
from libgomd.errors import MalformedRequest, NotPossible
from libgomd.model import MAX_NODE_ID, Role
from libgomd.wire.job_name import JobName

#: The word that asks without moving anything.
DRY_RUN = "dry-run"
#: The largest number of moves that is believed.
_MOST_MOVES = 2**31 - 1
_SAID = {
    RelocationOutcome.MOVED: "process {pid} runs on node {node}",
    RelocationOutcome.THERE: "process {pid} runs on node {node} already",
    RelocationOutcome.BEST: "process {pid} stays on node {node}: no other one that can take it is better",
    RelocationOutcome.COULD: "process {pid} can move to node {node}",
}


async def migrate(parts: Parts, session: ISession, arguments: tuple[str, ...]) -> Reply:
    """Move a process, with all of its job; the answer comes when it runs there."""
    pid = words.pid(arguments[0])
    if len(arguments) > 2 and arguments[2] != DRY_RUN:
        raise MalformedRequest(f"usage: {MIGRATE.usage}")
    began = parts.clock.seconds()
    moved = await parts.relocation.migrate(pid, arguments[1], session.caller, len(arguments) > 2)
    node = moved.node
    value = {
        "pid": pid,
        "node": node.id,
        "seconds": round(parts.clock.seconds() - began, 3),
        "moved": moved.outcome is RelocationOutcome.MOVED,
    }
    return ValueReply(_SAID[moved.outcome].format(pid=pid, node=f"{node.id} {node.name}"), value)


def _lock(lock: bool) -> Callable[..., Any]:
    """Make the verb that locks a process, or unlocks it."""

    async def answer(parts: Parts, session: ISession, arguments: tuple[str, ...]) -> Reply:
        pid = words.pid(arguments[0])
        await parts.relocation.lock(pid, lock, session.caller)
        return ValueReply(
            f"process {pid} is {'locked' if lock else 'not locked'}", {"pid": pid, "lock": lock}
        )

    return answer


def migration(parts: Parts, session: ISession, arguments: tuple[str, ...]) -> Reply:
    """From here on the connection carries letters about migrations."""
    node = words.peer(session.caller)
    return Upgrade("letters", lambda stream: parts.migrator.join(node, stream))


async def moved(parts: Parts, session: ISession, arguments: tuple[str, ...]) -> Reply:
    """Take note of where a job of this home runs now."""
    words.peer(session.caller)
    job = JobName.parse(arguments[0])
    node = words.whole_number(arguments[1], "NODE", 1, MAX_NODE_ID)
    nmigs = words.whole_number(arguments[2], "NMIGS", 0, _MOST_MOVES)
    if job.home != parts.members.own_id:
        raise NotPossible(f"job {job} has its home on node {job.home}: tell that one")
    parts.jobs.moved(str(job), node, nmigs)
    await parts.jobs.written()  # whoever asks never says it again once it is answered
    return ValueReply(f"job {job} runs on node {node}")


MIGRATE = Verb(
    "migrate", "PID NODE|home|best [dry-run]", Role.USER, "move a process; dry-run: only say if it could",
    migrate, patient=True,
)  # fmt: skip
VERBS = (
    MIGRATE,
    Verb("lock", "PID", Role.USER, "balancing leaves this process where it is", _lock(True)),
    Verb("unlock", "PID", Role.USER, "balancing may move this process", _lock(False)),
    Verb("migration", "", Role.ADMIN, "letters about migrations, between daemons", migration),
    Verb("moved", "HOME-JOB NODE NMIGS", Role.ADMIN, "where a job runs now, between daemons", moved),
)
