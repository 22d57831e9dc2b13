"""Moves and locks jobs of this home that run on other nodes, by asking the nodes on which they run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from gomd.interfaces import IJobs, IMembership, IPeers, MoveCost, Moved, RelocationOutcome
from gomd.jobs.shielded import Shielded
from libgomd.errors import CannotMove, Conflict, MalformedReply, PeerUnreachable, error_for
from libgomd.model import Caller, Job, Node, Role
from libgomd.wire.lines import OK, Request
from libgomd.wire.values import loads

#: Words for a target besides the ids and names of nodes, and the word that asks without moving.
HOME: Final = "home"
BEST: Final = "best"
DRY_RUN: Final = "dry-run"
#: Seconds to wait for the process id of a job that has just moved.
PID_TIMEOUT: Final = 5.0
#: Seconds to wait until this home knows of a move: the new node tells it, not the old one, which answers.
NOTICE_TIMEOUT: Final = 5.0


class RemoteRelocation:
    """
    Forwards `migrate` and `lock` to the node on which a job runs.

    :param shielded: lets a request that has been sent go on when its caller goes away.
    """

    def __init__(self, members: IMembership, peers: IPeers, jobs: IJobs, shielded: Shielded) -> None:
        self._members = members
        self._peers = peers
        self._jobs = jobs
        self._shielded = shielded

    async def migrate(self, job: Job, target: str, caller: Caller, dry_run: bool) -> Moved:
        """
        Have the node on which a job runs move it. That node knows what the job needs, also for `best`.

        Parameters, result and errors as in `IRelocation.migrate`.
        """
        word = target
        if target != BEST:
            node = self._members.find(str(self._members.own_id) if target == HOME else target)
            if node.id == job.node:
                return Moved(node, RelocationOutcome.THERE)
            check_up(node)
            word = str(node.id)
        answer = await self._ask(job, "migrate", (word, *([DRY_RUN] if dry_run else [])), caller)
        if not isinstance(answer, dict) or not isinstance(answer.get("node"), int):
            raise MalformedReply(f"node {job.node} answered a `migrate` with {answer!r:.80}")
        node = self._members.find(str(answer["node"]))
        if answer.get("moved"):
            await self.wait_until_noticed(job.pid, job.nmigs)
            return Moved(node, RelocationOutcome.MOVED, _cost(answer))
        if node.id == job.node:
            return Moved(node, RelocationOutcome.BEST if target == BEST else RelocationOutcome.THERE)
        return Moved(node, RelocationOutcome.COULD)

    async def lock(self, job: Job, lock: bool, caller: Caller) -> None:
        """Have the node on which a job runs lock or unlock it. Errors as in `IRelocation.lock`."""
        await self._ask(job, "lock" if lock else "unlock", (), caller)

    async def wait_until_noticed(self, pid: int | None, nmigs: int) -> None:
        """
        Wait, for `NOTICE_TIMEOUT` at most, until this home knows that its job has moved and can reach it.

        Whoever asks next finds the job where it is then.

        :param pid: its process id at this home. :param nmigs: how often it had moved before.
        """
        job = None if pid is None else self._jobs.of_pid(pid)
        if job is None or pid is None:
            return
        number = pid

        def noticed() -> bool:
            now = self._jobs.of_pid(number)
            return now is None or now.state.over or (now.nmigs > nmigs and now.pid_there is not None)

        await self._jobs.until(job, noticed, NOTICE_TIMEOUT)

    async def _ask(self, job: Job, verb: str, words: Sequence[str], caller: Caller) -> Any:
        """Ask the node on which ``job`` runs; return the value of its answer."""
        job = await self._with_pid(job)
        node = self._members.find(str(job.node))
        request = Request(verb, (str(job.pid_there), *words))
        asker = _for_owner(job, caller)

        async def ask() -> Any:
            return await self._peers.ask(node, request, asker, True)

        # It has the timeouts of the peers: what is never answered raises TimedOut.
        reply = await self._shielded.share(object(), ask)
        if reply.code == OK:
            return loads(reply.text)
        told = f"node {node.id} {node.name}, where it is process {job.pid_there}: {reply.text}"
        raise CannotMove(told) if reply.code == CannotMove.code else error_for(reply.code, told)

    async def _with_pid(self, job: Job) -> Job:
        """Return the job as it is now, as soon as its process id on the other node is known."""
        known = job

        def is_known() -> bool:
            nonlocal known
            found = None if job.pid is None else self._jobs.of_pid(job.pid)
            if found is None or found.node != job.node:
                raise Conflict(
                    f"job {job.job} has just left node {job.node}: see with `where` on which node it is now, "
                    f"and try again"
                )
            known = found
            return found.pid_there is not None

        if job.pid_there is None and not await self._jobs.until(job, is_known, PID_TIMEOUT):
            raise PeerUnreachable(
                f"job {job.job} has just moved to node {job.node} and its process id there is not known yet: "
                f"try again in a moment"
            )
        return known


def _cost(answer: dict[str, Any]) -> MoveCost | None:
    """Return the cost of a move from another node's answer; None when an older version has answered."""
    names = ("seconds", "stopped_seconds", "bytes", "precopied")
    seconds, stopped, sent, ahead = (answer.get(name) for name in names)
    if not isinstance(seconds, (int, float)):
        return None
    known = isinstance(stopped, (int, float))
    return MoveCost(
        seconds,
        stopped if known else None,
        sent if isinstance(sent, int) else None,
        ahead if isinstance(ahead, int) else 0,
    )


def check_up(node: Node) -> None:
    """:raises PeerUnreachable: the node is down."""
    if not node.up:
        raise PeerUnreachable(f"node {node.id} {node.name} is down: `events` may say why")


def _for_owner(job: Job, caller: Caller) -> Caller:
    """
    Return on whose behalf the node is asked on which a job of this home runs.

    This node has decided already that ``caller`` may act on the job. On the other node its owner's name is
    enough, and an admin of this node need not be one there.
    """
    if not job.user or job.user == str(job.uid):  # no user there can have that name
        return caller
    return Caller(Role.ADMIN if job.uid == 0 else Role.USER, job.user, job.uid, caller.via)
