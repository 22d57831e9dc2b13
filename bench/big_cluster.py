"""
A daemon in memory that is node 1 of a large cluster, on a real port and in real time.

`heard` runs a simulated cluster and keeps what came to node 1; `serve`, in another process, gives that to an
engine of its own and answers. The membership, the verbs and the telnet line are the daemon's own. The other
nodes answer from memory after a millisecond, each with the processes of one scripted node, so that what is
measured is what node 1 does.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing.connection import Connection
from random import Random
from typing import Any, Final

from twisted.internet import reactor as installed_reactor
from twisted.internet.task import Clock, deferLater
from zope.interface import implementer

from gomd.cluster.events import Events
from gomd.cluster.membership import Address, HeartbeatEngine, IPeerTransport, Settings
from gomd.interfaces import ForwardedReply, IPeers
from gomd.protocols.no_peers import NoPeers
from gomd.verbs.branch_rows import answer_rows
from gomd.verbs.branches import RELAY, parse_branch
from gomd.verbs.context import Parts
from gomd.verbs.rendering import pieces, status_of
from gomd.verbs.rounds import Watcher
from libgomd.model import Caller, Node, Output, Process
from libgomd.testing import MemoryDaemon, MemorySource
from libgomd.wire.lines import BLOCK, Request
from libgomd.wire.messages import Datagram, Message
from tests.network import HeapClock
from tests.nodes import Cluster

_reactor: Any = installed_reactor
#: Processes of each node. Seconds until the answer of another node comes.
PROCESSES: Final = 100
ANSWER_DELAY: Final = 0.001
#: Simulated seconds between the starts of two nodes, and until all have heard of each other.
START_PERIOD: Final = 0.004
SETTLE_SECONDS: Final = 3.0


@dataclass(frozen=True)
class Heard:
    """What one node heard, and what its engine needs to hear it again."""

    own: Node
    seed: float
    began: float
    ended: float
    came: tuple[tuple[float, Datagram, Address, bool], ...]


def heard(nodes: int) -> Heard:
    """Run a cluster on the network in memory until all know each other; return what came to node 1."""
    cluster = Cluster(replays=False)
    first = cluster.add(1)
    began, receive = cluster.clock.seconds(), first.host.receiver
    came: list[tuple[float, Datagram, Address, bool]] = []

    def keep(datagram: Datagram, address: Address, multicast: bool) -> None:
        came.append((cluster.clock.seconds(), datagram, address, multicast))
        receive(datagram, address, multicast)

    first.host.receiver = keep
    for number in range(2, nodes + 1):
        cluster.add(number)
        cluster.clock.advance(START_PERIOD)
    cluster.clock.advance(SETTLE_SECONDS)
    assert first.count() == nodes, f"{first.count()} of {nodes} nodes are up"
    return Heard(first.node, first.seed, began, cluster.clock.seconds(), tuple(came))


@implementer(IPeerTransport)
class _Nowhere:
    """Sends nothing: what the other nodes said to it has been said."""

    def renumber(self, above: int = 0) -> None:
        """See `IPeerTransport.renumber`."""

    def send(self, message: Message, addresses: Sequence[Address]) -> None:
        """See `IPeerTransport.send`."""

    def multicast(self, message: Message) -> None:
        """See `IPeerTransport.multicast`."""


def engine_of(told: Heard) -> HeartbeatEngine:
    """Return an engine that has heard it all, and stands still then."""
    clock = HeapClock(told.began)
    engine = HeartbeatEngine(
        lambda: told.own, int(told.began * 1000), _Nowhere(), clock, Random(told.seed), Events(), Settings(),
        clock.seconds,
    )  # fmt: skip
    engine.start()
    for when, datagram, address, multicast in told.came:
        clock.at(when, partial(engine.receive, datagram, address, multicast))
    clock.advance(told.ended - told.began)
    return engine


class RealClock(Clock):
    """The reactor's time, as the clock of a daemon in memory."""

    def seconds(self) -> float:
        """See `IReactorTime.seconds`."""
        return float(_reactor.seconds())

    def callLater(self, delay: float, callable: Callable[..., object], *args: object, **kw: object) -> Any:
        """See `IReactorTime.callLater`."""
        return _reactor.callLater(delay, callable, *args, **kw)

    def advance(self, amount: float) -> None:
        """Time passes by itself."""


@implementer(IPeers)
class _Peers(NoPeers):
    """Every other node: answers as a scripted node does, for a branch too; its answers are made once."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._far = MemoryDaemon(MemorySource([50], [processes(2)]))
        self._made: dict[tuple[str, bool], tuple[int, str, list[str]]] = {}

    async def ask(self, node: Node, request: Request, caller: Caller, json: bool) -> ForwardedReply:
        """See `IPeers.ask`."""
        await deferLater(self._clock, ANSWER_DELAY)
        if request.verb != RELAY:
            code, text, lines = await self._answer(request, caller, json)
            return ForwardedReply(code, text, _in_one_piece(lines))
        branch = parse_branch(request.arguments, node.id)
        code, text, lines = await self._answer(branch.request, caller, json)
        lines = lines if code == BLOCK else [text]
        rows = [row for each in (node.id, *branch.nodes) for row in answer_rows(each, lines)]
        return ForwardedReply(BLOCK, "nodes asked", _in_one_piece(rows))

    async def _answer(self, request: Request, caller: Caller, json: bool) -> tuple[int, str, list[str]]:
        key = (str(request), json)
        if key not in self._made:
            dispatch = self._far.telnet_factory._dispatch
            reply = dispatch.ask(Watcher(caller, json), request)
            if hasattr(reply, "__await__"):
                reply = await reply
            lines = [line async for piece in pieces(reply, json) for line in piece]
            self._made[key] = (*status_of(reply, json), lines)
        return self._made[key]


async def _in_one_piece(lines: list[str]) -> AsyncGenerator[list[str], None]:
    yield lines


def processes(node: int) -> list[Process]:
    """Return the processes of a node."""
    return [
        Process(
            node=node, home=node, pid=pid, ppid=1, uid=1000, user="ada", state="S", nice=0, threads=1,
            cpu_percent=pid % 7 / 10, cpu_seconds=1.5, rss=4 << 20, vsize=20 << 20, start_time=1e9, where=0,
            nmigs=0, lock=False, cantmove="foreign", command=f"/usr/bin/program --number {pid}", started=pid,
            read_rate=0.0, write_rate=0.0, name="program",
        )
        for pid in range(1000, 1000 + PROCESSES)
    ]  # fmt: skip


class BigCluster(MemoryDaemon):
    """The daemon of node 1."""

    def __init__(self, engine: HeartbeatEngine) -> None:
        self._engine = engine
        super().__init__(MemorySource([50], [processes(1)], name="node1"), clock=RealClock())

    def _parts(
        self, commands: Mapping[str, Sequence[Output]] | None, tokens: Mapping[str, Caller] | None
    ) -> Parts:
        plain = super()._parts(commands, tokens)
        return replace(plain, members=self._engine, peers=_Peers(self.clock))


def serve(told: Heard, port: Connection) -> None:
    """
    Answer at a free port, which is sent to ``port``, until the process is ended.

    For a process of its own, whose memory is then that of a daemon that knows these nodes.
    """
    daemon = BigCluster(engine_of(told))
    listening = _reactor.listenTCP(0, daemon.telnet_factory, interface="127.0.0.1")
    port.send(listening.getHost().port)
    _reactor.run()
