"""`@all`: sends one request to every node that is up, and gives their answers in the order of the nodes."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import Any

from twisted.internet.defer import Deferred, DeferredSemaphore
from twisted.internet.interfaces import IReactorTime

from gomd.verbs import rendering
from gomd.verbs.replies import Relayed, Reply
from libgomd.deadlines import within
from libgomd.errors import GomdError, MalformedReply, NodeError, RequestError, TimedOut
from libgomd.model import Node
from libgomd.wire.lines import BLOCK
from libgomd.wire.values import dumps, loads

#: Largest number of nodes asked at once by one request, and seconds that one may take for its whole answer.
#: A node that moves processes first gets as much time as for a single request (gomd.protocols.peer_client).
MAX_CONCURRENT_NODES = 32
NODE_TIMEOUT = 30.0
PATIENT_NODE_TIMEOUT = 3600.0
#: Lines of one node, and their characters, that are kept until its turn comes; a longer answer is cut off.
MAX_LINES_PER_NODE = 100_000
MAX_CHARACTERS_PER_NODE = 64 << 20

Ask = Callable[[Node], Awaitable[Reply]]


def ask_everywhere(
    nodes: Sequence[Node],
    ask: Ask,
    json: bool,
    clock: IReactorTime,
    limit: float = NODE_TIMEOUT,
    gate: DeferredSemaphore | None = None,
) -> Relayed:
    """
    Return the answers of ``nodes`` as one block: text lines behind ``ID: ``, JSON objects with ``from``.

    A node that fails is listed with its error, never left out.

    :param ask: asks one node; raises errors of `libgomd.errors`. :param limit: seconds each may take.
    :param gate: limits how many nodes are asked at once for all callers of a group.
    """
    up = [node for node in nodes if node.up]
    return Relayed(BLOCK, asked_text(nodes), _in_order(up, ask, json, clock, limit, gate))


def asked_text(nodes: Sequence[Node]) -> str:
    """Return the text of the status line of such an answer."""
    up = sum(node.up for node in nodes)
    return f"{up} nodes asked" + (f", {len(nodes) - up} are down" if len(nodes) > up else "")


async def _in_order(
    nodes: Sequence[Node],
    ask: Ask,
    json: bool,
    clock: IReactorTime,
    limit: float,
    gate: DeferredSemaphore | None,
) -> AsyncGenerator[Sequence[str], None]:
    places = DeferredSemaphore(MAX_CONCURRENT_NODES)

    def start(node: Node) -> Deferred[list[str]]:
        return Deferred.fromCoroutine(_lines_of(node, ask, json, clock, limit))

    answers: list[Deferred[list[str]]] = [
        places.run(start, node) if gate is None else places.run(gate.run, start, node) for node in nodes
    ]
    try:
        for node, answer in zip(nodes, answers, strict=True):
            yield all_marked(node, await answer, json)
    finally:
        for answer in answers:
            answer.addErrback(lambda _failure: [])
            answer.cancel()


async def _lines_of(node: Node, ask: Ask, json: bool, clock: IReactorTime, limit: float) -> list[str]:
    """Return the whole answer of one node, or one line with its error. Never raises GomdError."""
    work: Deferred[list[str]] = Deferred.fromCoroutine(collected(node, ask, json))
    late = TimedOut(f"node {node.id} {node.name} did not answer within {limit:g} s")
    try:
        return await within(clock, limit, work, late)
    except GomdError as error:
        return [error_line(error, json)]


async def collected(
    node: Node, ask: Ask, json: bool, grown: Callable[[int], None] = lambda _more: None
) -> list[str]:
    """
    Return the whole answer of one node; a refusal of the node is an answer too.

    :param grown: called with the characters of each piece as it comes; its errors end the answer.
    :raises GomdError: from ``ask``, or while the answer comes.
    """
    reply = await ask(node)
    code, text = rendering.status_of(reply, json)
    if code >= 400:
        return [_error(code, text, json)]
    if code != BLOCK:
        return [text]
    lines: list[str] = []
    size = 0
    pieces = rendering.pieces(reply, json)
    try:
        async for piece in pieces:
            lines += piece
            more = sum(map(len, piece))
            size += more
            grown(more)
            if size > MAX_CHARACTERS_PER_NODE:
                text = f"more than {MAX_CHARACTERS_PER_NODE >> 20} MiB: ask this node alone"
                lines[-len(piece) :] = [_error(405, text, json)]
                break
            if len(lines) > MAX_LINES_PER_NODE:
                lines[MAX_LINES_PER_NODE:] = [
                    _error(405, f"more than {MAX_LINES_PER_NODE} lines: ask this node alone", json)
                ]
                break
    finally:
        await pieces.aclose()
    return lines


def error_line(error: GomdError, json: bool) -> str:
    """Return the line that stands for the answer of a node which has failed with ``error``."""
    if isinstance(error, (RequestError, NodeError)):
        return _error(error.code, error.text, json)
    return _error(500, str(error), json)


def _error(code: int, text: str, json: bool) -> str:
    return dumps({"code": code, "error": text}) if json else f"{code} {text}"


def all_marked(node: Node, lines: Sequence[str], json: bool) -> list[str]:
    """Return the lines of a node, or one line with its error: what it has sent may be no JSON."""
    try:
        return [_marked(node, line, json) for line in lines]
    except MalformedReply as error:
        return [_marked(node, _error(500, f"it sends what is no answer: {error}", json), json)]


def _marked(node: Node, line: str, json: bool) -> str:
    """Return a line with the node that it is from, whatever it says itself."""
    if not json:
        return f"{node.id}: {line}"
    value: Any = loads(line)
    mark = {"from": node.id}
    return dumps(mark | (value if isinstance(value, dict) else {"value": value}) | mark)
