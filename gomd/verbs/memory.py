"""Decides whose memory answers a question about the past: this node's, or another's that is asked."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timezone
from typing import Any, Final, TypeVar

from twisted.internet.defer import Deferred

from gomd.verbs.context import ISession, Parts
from gomd.verbs.replies import Relayed, Reply, Rows
from libgomd.deadlines import within
from libgomd.errors import GomdError, MalformedRequest, NotFound, NotPossible, TimedOut
from libgomd.model import Caller, Node
from libgomd.wire.lines import BLOCK, Request

R = TypeVar("R")
#: Seconds that reading the history may take; that another node may take to answer; and how many others are
#: asked for what this node does not remember.
READ_TIMEOUT: Final = 15.0
OTHER_TIMEOUT: Final = 5.0
MAX_OTHERS: Final = 6
#: How the status line begins of an answer about a time of which nothing is known.
_NOTHING: Final = ("0 rows of ", "0 processes of ", "0 nodes, ")


def asked_by_daemon(session: ISession) -> bool:
    """Whether another daemon has passed this request on: then it is the one that asks further nodes."""
    return str(session.caller.via).startswith("node ")


def memory_of(parts: Parts, node: Node) -> str:
    """Return the words that say whose memory an answer is, empty when the node itself remembers."""
    own = parts.collector.own
    return "" if node.id == own.id else f", as node {own.id} {own.name} remembers them"


def stamp(moment: float) -> str:
    """Return a moment as people read it, in UTC."""
    return datetime.fromtimestamp(moment, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def in_order(since: float, until: float) -> None:
    """Check that a time does not end before it begins. :raises MalformedRequest: it does."""
    if since > until:
        raise MalformedRequest(
            f"--since {stamp(since)} is later than --until {stamp(until)}: give the earlier moment to --since"
        )


async def read(parts: Parts, caller: Caller, function: Callable[..., R], *arguments: Any) -> R:
    """
    Read the history on a thread; each user has a few of them, so that nobody's questions delay all others.

    Errors as in `IHistory` and `IThreads.run_apart`.
    """
    return await parts.threads.run_apart(
        READ_TIMEOUT, object(), ("history", caller.uid), function, *arguments
    )  # fmt: skip


async def node_of(parts: Parts, caller: Caller, key: str) -> Node:
    """
    Return the node with this id or name, also one that is only remembered.

    :raises NotFound: there is none and there was none.
    """
    try:
        return parts.members.find(key)
    except NotFound:
        try:
            found = await read(parts, caller, parts.history.find_node, key)
        except NotPossible:
            found = None
        if found is None:
            raise
        return found


def knows_nothing(reply: Reply) -> bool:
    """
    Return whether a node has said of a time that it remembers nothing of it, or keeps no history.

    So does a machine that has come by the id of another one, or has lost its disk: others may know more. A
    node that knows of processes, of which none was wanted, says how many there were.
    """
    if isinstance(reply, Rows):
        return isinstance(reply.rows, Sequence) and not reply.rows
    if not isinstance(reply, Relayed):
        return False
    return reply.code == NotPossible.code or (reply.code == BLOCK and reply.text.startswith(_NOTHING))


async def of_those_who_know(reply: Reply, remembered: Awaitable[Reply | None]) -> Reply:
    """Return what is remembered instead of ``reply``, which knows nothing; ``reply`` if that is nothing."""
    try:
        answer = await remembered
    except GomdError:
        return reply
    if answer is None or knows_nothing(answer):
        return reply
    if isinstance(reply, Relayed) and reply.pieces is not None:
        await reply.pieces.aclose()
    return answer


async def ask_others(parts: Parts, session: ISession, node: Node, request: Request) -> Relayed | None:
    """Return the first answer with rows of other nodes that are up; None when none of them has any."""
    own_id = parts.members.own_id
    others = [each for each in parts.members.nodes() if each.up and each.id not in (own_id, node.id)]
    # What a node sends to others goes to the next ones by id, so those are asked first.
    others.sort(key=lambda each: (each.id <= node.id, each.id))
    for other in others[:MAX_OTHERS]:
        asked = Deferred.fromCoroutine(_one(parts, session, other, request))
        try:
            answer = await within(
                parts.clock, OTHER_TIMEOUT, asked, TimedOut(f"node {other.id} did not answer")
            )
        except GomdError:
            continue
        if answer is not None:
            return answer
    return None


async def _one(parts: Parts, session: ISession, other: Node, request: Request) -> Relayed | None:
    code, text, rows = await parts.peers.ask(other, request, session.caller, session.json)
    if code == BLOCK and not text.startswith("0 "):
        return Relayed(code, text, rows)
    if rows is not None:
        await rows.aclose()
    return None
