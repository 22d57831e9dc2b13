"""
A cluster of whole daemons in memory that ask each other, for tests and benchmarks of requests to many nodes.

Every node is a `MemoryDaemon` with its own verbs, so that what a relay does is the daemon's own code. Between
them stands `Wires`, which plays the network: each request and each piece of an answer takes `LATENCY`, and a
node may be dead, hung, slow, of an older version, or lie. There is no TLS and no certificate; who asks is
what `Wires` says, and what a caller may do is decided by the asked node's own `PeerTrust`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from zope.interface import implementer

from gomd.cluster.names import find_node
from gomd.interfaces import ForwardedReply, IMembership, IPeers
from gomd.protocols.no_peers import NoPeers
from gomd.protocols.peer_trust import PeerTrust
from gomd.verbs.branches import JOINED, RELAY
from gomd.verbs.context import Parts
from gomd.verbs.kept_shares import KeptShare
from gomd.verbs.numbered_lines import NumberedLines
from gomd.verbs.relay_gates import Gates
from gomd.verbs.rendering import pieces, status_of
from gomd.verbs.rounds import Watcher
from gomd.verbs.tree_fan_out import Ways
from gomd.verbs.tree_order import OrderedAnswers
from libgomd.errors import MalformedRequest, NodeError, PeerUnreachable, RequestError, error_for
from libgomd.model import Caller, Counter, Node, Output, Process, Role, Status
from libgomd.testing import MemoryDaemon, MemorySource
from libgomd.wire.lines import Request, encode_block, encode_request, parse_request
from tests.network import HeapClock

UP: Final = Status.CONFIGURED | Status.UP
#: Seconds for a request, or a piece of an answer, to another node.
LATENCY: Final = 0.001
ROOT: Final = Caller(Role.ADMIN, "root", 0, "unix")


def node_of(number: int, up: bool = True) -> Node:
    """Return the node of this number."""
    status = UP if up else Status.CONFIGURED
    return Node(number, f"n{number}", f"10.0.{number >> 8}.{number & 255}", status, number, 15000, 1, 100)


@implementer(IMembership)
class Known:
    """:ivar known: the nodes that a daemon knows, by id."""

    def __init__(self, own: int, known: dict[int, Node]) -> None:
        self.own_id = own
        self.known = known

    def nodes(self) -> Sequence[Node]:
        return [self.known[each] for each in sorted(self.known)]

    def find(self, key: str) -> Node:
        if key.isdigit() and int(key) in self.known:
            return self.known[int(key)]
        return find_node(self.nodes(), key)

    def counters(self) -> Sequence[Counter]:
        return ()


class Wires:
    """
    The network.

    :ivar dead: nodes that nobody reaches. :ivar hung: those that accept and never answer.
    :ivar cut: pairs of nodes of which the first one does not reach the second.
    :ivar old: nodes that do not know `relay`. :ivar separate: those that know it, but do not join rounds.
    :ivar lie: changes what a node sends, by node: it gets the request and yields the pieces.
    :ivar asked: ``(from, to, request)`` of every request.
    """

    def __init__(self, clock: HeapClock) -> None:
        self.clock = clock
        self.dead: set[int] = set()
        self.hung: set[int] = set()
        self.cut: set[tuple[int, int]] = set()
        self.old: set[int] = set()
        self.separate: set[int] = set()
        self.lie: dict[int, Callable[[Request], AsyncGenerator[Sequence[str], None]]] = {}
        self.asked: list[tuple[int, int, Request]] = []
        self.daemons: dict[int, TreeDaemon] = {}
        self.open: dict[int, int] = {}
        self.by: dict[int, int] = {}
        self.broken: dict[int, list[Deferred[Any]]] = {}

    def opened_by(self, node: int) -> int:
        """Return how many streams that go on a node has open now."""
        return self.by.get(node, 0)

    def arrive(self, at: int, sender: int) -> Awaitable[None]:
        """Return when what ``sender`` sends now has arrived at node ``at``."""
        return deferLater(self.clock, LATENCY)

    def work_of(self, node: int) -> AbstractContextManager[None]:
        """Return the context of work that is done at ``node`` for somebody who waits."""
        return nullcontext()

    def connect(self, node: int, sender: int) -> None:
        """Note that a stream is opened."""

    def kill(self, node: int) -> None:
        """Let a node die: its streams break."""
        self.dead.add(node)
        for each in self.broken.pop(node, []):
            if not each.called:
                each.errback(PeerUnreachable(f"node {node} n{node} ended the stream: it has died"))

    async def unless_broken(self, node: int, waited: Deferred[Any]) -> Any:
        """Wait, unless ``node`` dies first."""
        outcome: Deferred[Any] = Deferred(lambda _: waited.cancel())
        self.broken.setdefault(node, []).append(outcome)

        def done(result: Any) -> None:
            if not outcome.called:
                outcome.callback(result)

        waited.addBoth(done)
        try:
            return await outcome
        finally:
            if not waited.called:
                waited.addErrback(lambda _: None)
                waited.cancel()
            if node in self.broken and outcome in self.broken[node]:
                self.broken[node].remove(outcome)


@implementer(IPeers)
class WiredPeers(NoPeers):
    """The other nodes, as one daemon reaches them."""

    def __init__(self, own: int, wires: Wires) -> None:
        self._own = own
        self._wires = wires

    async def _opened(self, node: Node, request: Request) -> None:
        wires = self._wires
        if not node.up:
            raise PeerUnreachable(f"node {node.id} {node.name} is down: `events` may say why")
        wires.asked.append((self._own, node.id, request))
        wires.connect(node.id, self._own)
        await wires.arrive(node.id, self._own)
        if node.id in wires.dead or (self._own, node.id) in wires.cut:
            raise PeerUnreachable(f"node {node.id} {node.name} cannot be reached: no route")
        if node.id in wires.hung:
            await wires.unless_broken(node.id, Deferred())

    async def read(self, node: Node, path: str) -> bytes:
        """See `IPeers.read`."""
        from libgomd.wire.tree import TreePath

        await self._opened(node, Request("get", (path,)))
        daemon = self._wires.daemons[node.id]
        found = await daemon.dispatch.parts.tree.read_file(
            TreePath.parse(path), Caller(Role.READ, "", None, "datagram")
        )
        await self._wires.arrive(self._own, node.id)
        return bytes(found)

    async def ask(self, node: Node, request: Request, caller: Caller, json: bool) -> ForwardedReply:
        """See `IPeers.ask`."""
        await self._opened(node, request)
        wires = self._wires
        try:
            code, text, sent = await wires.unless_broken(
                node.id,
                Deferred.fromCoroutine(wires.daemons[node.id].heard(self._own, request, caller, json)),
            )
        except (RequestError, NodeError) as error:
            if isinstance(error, PeerUnreachable) and node.id in wires.dead:
                raise
            code, text, sent = error.code, error.text, None
        await wires.arrive(self._own, node.id)
        return ForwardedReply(code, text, None if sent is None else self._rows(node.id, sent))

    async def _rows(self, node: int, sent: AsyncGenerator[Any, None]) -> AsyncGenerator[Sequence[str], None]:
        wires = self._wires
        wires.open[node] = wires.open.get(node, 0) + 1
        try:
            while True:
                with wires.work_of(node):
                    step = Deferred.fromCoroutine(_step(sent))
                some = await wires.unless_broken(node, step)
                if some is None:
                    return
                await wires.arrive(self._own, node)
                yield list(some)
        finally:
            wires.open[node] -= 1
            await sent.aclose()

    async def follow(
        self,
        node: Node,
        request: Request,
        caller: Caller,
        opened: Callable[[], None],
        take: Callable[[bytes], None],
    ) -> None:
        """See `IPeers.follow`."""
        await self._opened(node, request)
        wires = self._wires
        code, text, sent = await wires.unless_broken(
            node.id, Deferred.fromCoroutine(wires.daemons[node.id].heard(self._own, request, caller, True))
        )
        if code >= 400 or sent is None:
            raise error_for(code, text)
        opened()
        wires.open[node.id] = wires.open.get(node.id, 0) + 1
        wires.by[self._own] = wires.by.get(self._own, 0) + 1
        try:
            while (
                some := await wires.unless_broken(node.id, Deferred.fromCoroutine(_step(sent)))
            ) is not None:
                await wires.arrive(self._own, node.id)
                take(some.encoded() if isinstance(some, NumberedLines) else encode_block(some))
        finally:
            wires.open[node.id] -= 1
            wires.by[self._own] -= 1
            await sent.aclose()
        take(b".\r\n")
        raise PeerUnreachable(f"node {node.id} {node.name} ended the stream: it is over")


async def _step(sent: AsyncGenerator[Any, None]) -> Any:
    return await anext(sent, None)


class TreeDaemon(MemoryDaemon):
    """One node. :ivar members: whom it knows. :ivar trust: its trust in other nodes."""

    def __init__(
        self, number: int, wires: Wires, known: dict[int, Node], fan_out: int,
        processes: Sequence[Process] = (),
        commands: Mapping[str, Sequence[Output]] | None = None,
    ) -> None:  # fmt: skip
        self.number = number
        self.wires = wires
        self.members = Known(number, known)
        self.peers = WiredPeers(number, wires)
        self.trust = PeerTrust(admins=True)
        self.fan_out = fan_out
        wires.daemons[number] = self
        super().__init__(
            MemorySource([number], [list(processes)], name=f"n{number}"), clock=wires.clock, commands=commands
        )

    def _parts(
        self, commands: Mapping[str, Sequence[Output]] | None, tokens: Mapping[str, Caller] | None
    ) -> Parts:
        plain = super()._parts(commands, tokens)
        return replace(
            plain, members=self.members, peers=self.peers, fan_out=self.fan_out,
            trusted=lambda request, role, caller: self.trust.caller_for(request, role, caller),
        )  # fmt: skip

    async def heard(
        self, sender: int, request: Request, caller: Caller, json: bool
    ) -> tuple[int, str, AsyncGenerator[Any, None] | None]:
        """Answer another node, as `PeerServer` does."""
        request = parse_request(encode_request(request).rstrip(b"\r\n"))
        if RELAY in (request.verb, *request.arguments[:1]) and self.number in self.wires.old:
            raise MalformedRequest("there is no verb relay: say `help` for the verbs")
        if JOINED in request.arguments and self.number in self.wires.separate:
            raise MalformedRequest("`watch` is not passed on so: ask each node itself")
        if self.number in self.wires.lie and request.verb == RELAY:
            return 201, "nodes asked", self.wires.lie[self.number](request)
        role = self.dispatch.table.find(request.verb).role
        trusted = self.trust.caller_for(request, role, replace(caller, via=f"node {sender}"))
        reply: Any = self.dispatch.ask(Watcher(trusted, json), request)
        if hasattr(reply, "__await__"):
            reply = await reply
        code, text = status_of(reply, json)
        return code, text, pieces(reply, json) if code == 201 else None


class TreeCluster:
    """
    ``count`` daemons in memory that know each other.

    :param fan_out: of every one. :ivar first: node 1.
    """

    def __init__(
        self,
        count: int,
        fan_out: int = 32,
        processes: Callable[[int], Sequence[Process]] = lambda _node: (),
        commands: Callable[[int], Mapping[str, Sequence[Output]] | None] = lambda _node: None,
        wires: Callable[[HeapClock], Wires] = Wires,
    ) -> None:
        self.clock = HeapClock()
        self.wires = wires(self.clock)
        nodes = {number: node_of(number) for number in range(1, count + 1)}
        self.daemons = {
            number: TreeDaemon(number, self.wires, dict(nodes), fan_out, processes(number), commands(number))
            for number in nodes
        }
        self.first = self.daemons[1]
        self._fan_out = fan_out

    def add(self, number: int) -> None:
        """Add a node that all know, and that knows all."""
        known = {each: node_of(each) for each in (*self.daemons, number)}
        self.daemons[number] = TreeDaemon(number, self.wires, known, self._fan_out)
        for daemon in self.daemons.values():
            daemon.members.known[number] = node_of(number)

    def ask(
        self, words: str, json: bool = False, caller: Caller | None = None, at: int = 1
    ) -> Deferred[tuple[int, str, list[str]]]:
        """Ask a node as somebody at its unix socket; the code, the text and all lines come as time passes."""
        return Deferred.fromCoroutine(self._whole(words, json, caller or ROOT, at))

    async def _whole(self, words: str, json: bool, caller: Caller, at: int) -> tuple[int, str, list[str]]:
        dispatch = self.daemons[at].dispatch
        reply: Any = dispatch.ask(Watcher(caller, json), parse_request(words.encode()))
        if hasattr(reply, "__await__"):
            reply = await reply
        code, text = status_of(reply, json)
        if code != 201:
            return code, text, []
        return code, text, [line async for piece in pieces(reply, json) for line in piece]

    def answer(
        self, words: str, json: bool = False, caller: Caller | None = None, seconds: float = 120.0
    ) -> Any:
        """Ask node 1, let time pass until the answer is whole, and return it: code, text, lines, seconds."""
        began = self.clock.seconds()
        found: list[Any] = []
        self.ask(words, json, caller).addBoth(found.append)
        while not found and self.clock.seconds() < began + seconds:
            self.clock.advance(0.005)
        assert found, f"`{words}` has no whole answer after {seconds} s"
        assert isinstance(found[0], tuple), found[0]
        return (*found[0], self.clock.seconds() - began)

    def to_node(self, node: int) -> list[Request]:
        """Return what node ``node`` was asked by others."""
        return [request for _, to, request in self.wires.asked if to == node]

    def stop(self) -> None:
        """Stop every daemon."""
        for daemon in self.daemons.values():
            daemon.stop()


def slow_reading(
    cluster: TreeCluster, verb: str, share: KeptShare, pause: float
) -> tuple[OrderedAnswers, Deferred[list[str]]]:
    """
    Ask all nodes in JSON for somebody who waits ``pause`` seconds after the lines of each node.

    :param share: what node 1 keeps. :returns: the answers, and the lines once they are all read.
    """
    dispatch, request, session = cluster.first.dispatch, Request(verb), Watcher(ROOT, True)
    parts, asking = dispatch.parts, dispatch._asking
    ways = Ways(
        parts.clock, 1, parts.fan_out, lambda node: asking.ask(parts, session, node, request),
        lambda node, asked: asking.through(parts, session, node, asked), parts.intermediates,
        Gates().of(session),
    )  # fmt: skip
    answers = OrderedAnswers(parts.members.nodes(), ways, request, True, share)

    async def read() -> list[str]:
        lines: list[str] = []
        async for some in answers.pieces():
            lines += some
            await deferLater(cluster.clock, pause)
        return lines

    return answers, Deferred.fromCoroutine(read())
