"""Commands on many nodes: for another daemon, as a relay, and for the caller of `@NODES do NAME` here."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Final

from twisted.internet.defer import DeferredSemaphore
from twisted.internet.task import LoopingCall

from gomd.verbs.branch_rows import ALIVE, refusal_row
from gomd.verbs.branches import MAX_DEPTH, BranchRequest
from gomd.verbs.context import ISession, Parts
from gomd.verbs.fan_out import all_marked, error_line
from gomd.verbs.forwarding import Asking
from gomd.verbs.tree_do import TreeDo
from gomd.verbs.tree_fan_out import Ways
from libgomd.errors import NotFound
from libgomd.model import Node
from libgomd.wire.lines import Request

#: Seconds between two signs that this node is there.
ALIVE_PERIOD: Final = 1.0


def commands_on(
    parts: Parts,
    session: ISession,
    nodes: Sequence[Node],
    request: Request,
    asking: Asking,
    gates: Sequence[DeferredSemaphore],
) -> AsyncGenerator[Sequence[str], None]:
    """Return the lines of a command on ``nodes`` as they come, each marked with its node as in `@all`."""
    json = session.json
    return TreeDo(
        _ways(parts, session, request, asking, gates, is_passed_on=False), request, json,
        lambda node, lines, _is_all: all_marked(node, lines, json),
        lambda node, error: all_marked(node, [error_line(error, json)], json),
    ).pieces(nodes, MAX_DEPTH)  # fmt: skip


async def relayed_commands(
    parts: Parts,
    session: ISession,
    asked: BranchRequest,
    asking: Asking,
    gates: Sequence[DeferredSemaphore],
) -> AsyncGenerator[Sequence[str], None]:
    """Yield the rows of a command on this node and those of a branch: see gomd.verbs.branch_rows."""
    known: dict[int, Node] = {node.id: node for node in parts.members.nodes()}
    own = parts.collector.own
    nodes = [known[each] for each in (parts.members.own_id, *asked.nodes) if each in known and known[each].up]
    for each in asked.nodes:
        if each not in known or not known[each].up:
            unknown = NotFound(f"node {each} is not known to node {own.id} {own.name}, or is down for it")
            yield [refusal_row(each, unknown)]
    running = TreeDo(
        _ways(parts, session, asked.request, asking, gates, is_passed_on=True), asked.request, session.json,
        _rows, lambda node, error: [f"{node.id}:{error_line(error, session.json)}"],
    )  # fmt: skip
    alive = LoopingCall(lambda: running.say([ALIVE]))
    alive.clock = parts.clock
    alive.start(ALIVE_PERIOD, now=False)
    pieces = running.pieces(nodes, asked.depth)
    try:
        async for some in pieces:
            yield some
    finally:
        alive.stop()
        await pieces.aclose()


def _rows(node: Node, lines: Sequence[str], is_all: bool) -> list[str]:
    return [f"{node.id}={line}" for line in lines] + ([f"{node.id}."] if is_all else [])


def _ways(
    parts: Parts,
    session: ISession,
    request: Request,
    asking: Asking,
    gates: Sequence[DeferredSemaphore],
    is_passed_on: bool,
) -> Ways:
    return Ways(
        parts.clock, parts.members.own_id, parts.fan_out,
        lambda node: asking.ask(parts, session, node, request, is_passed_on=is_passed_on),
        lambda node, asked: asking.through(parts, session, node, asked), parts.intermediates, gates,
    )  # fmt: skip
