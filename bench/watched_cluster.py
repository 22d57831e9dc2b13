"""
A cluster in memory that is watched: each simulated node sends its rounds as a real one does, on its own beat.

The membership, the verbs and the telnet line of node 1 are the daemon's own. The rounds of the other nodes
were made beforehand, so that what is measured is what node 1 does with them. What TLS costs on the way to it
is not in the figure.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from multiprocessing.connection import Connection
from operator import itemgetter
from random import Random
from typing import Any, Final

from twisted.internet import reactor as installed_reactor
from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.task import Clock, deferLater
from zope.interface import implementer

from bench.big_cluster import BigCluster, Heard, engine_of, processes
from gom.monitor.feed import JOBS_COUNTER
from gomd.interfaces import IPeers
from gomd.protocols.no_peers import NoPeers
from gomd.services.own_memory import keep_present_objects
from gomd.verbs.branch_rounds import joined_bytes
from gomd.verbs.branches import RELAY, parse_branch
from gomd.verbs.context import Parts
from gomd.verbs.first_rows import rank_of
from gomd.verbs.node_rounds import NodeRound, whole_round
from gomd.verbs.relayed_watch import GATHER_SECONDS
from gomd.verbs.rendering import pieces, status_of
from gomd.verbs.round_times import of_node
from gomd.verbs.rounds import Watcher
from libgomd.model import Caller, Counter, Node, Output, Process
from libgomd.streams import returns_deferred
from libgomd.testing import MemoryDaemon, MemorySource
from libgomd.wallclock import wall_clock
from libgomd.wire.lines import Request, encode_block

_reactor: Any = installed_reactor
#: Processes of each node.
PROCESSES: Final = 10
#: Different rounds of a node, one after the other.
VARIANTS: Final = 4
#: Seconds from the moment when a node makes its round until the round is here, at least and at most.
DELAYS: Final = (0.005, 0.025)
#: Milliseconds for which a relay gathers rounds. Bytes of a record of TLS.
GATHERED: Final = round(1000 * GATHER_SECONDS)
RECORD: Final = 16384
#: Nodes whose rounds are made in one turn of the reactor, and seconds until the next.
MADE_PER_TURN: Final = 100
TURN_SECONDS: Final = 0.001
#: Whose rows the others send, under their own ids.
_TEMPLATE: Final = 2
_OWN: Final = re.compile(rf'("(?:node|home)": |"identity": "){_TEMPLATE}\b')
_NUMBER: Final = re.compile(r'"round": \d+')


def busy_processes(node: int, variant: int) -> list[Process]:
    """Return the processes of a node; how busy they are and their times differ from variant to variant."""
    return [
        replace(each, cpu_percent=each.pid * 7 % 97 + variant / 2, cpu_seconds=each.pid + variant)
        for each in processes(node)[:PROCESSES]
    ]


class FarDaemon(MemoryDaemon):
    """Another node: it has the counter of jobs that `gom top` asks for."""

    def _parts(
        self, commands: Mapping[str, Sequence[Output]] | None, tokens: Mapping[str, Caller] | None
    ) -> Parts:
        parts = super()._parts(commands, tokens)
        jobs = Counter(JOBS_COUNTER, 3, "jobs of this home that are under way")
        return replace(parts, counters=lambda: (*parts.counters(), jobs))


class Following:
    """
    Whoever follows one node, or a branch of nodes by way of a relay.

    :ivar made: the rounds of each node by its id. :ivar take: gets what comes. :ivar is_over: whether it has
        stopped. :ivar rank: by what a relay orders the rounds that it joins; None where no relay sends them.
    """

    def __init__(
        self,
        made: Mapping[int, Sequence[bytes]],
        rank: Callable[[NodeRound], float | None] | None,
        take: Callable[[bytes], None],
    ) -> None:
        self.made = made
        self.rank = rank
        self.take = take
        self.is_over = False
        self.delays = [(node, of_node(node, _reactor, wall_clock).delay) for node in made]
        self._all: dict[int, list[bytes]] = {}

    def make(self, variant: int) -> None:
        """Make what comes of all nodes together beforehand."""
        self._all[variant] = self._pieces(tuple(self.made), variant)

    def pieces(self, nodes: Sequence[int], variant: int) -> list[bytes]:
        """Return what comes of the rounds of ``nodes``: a record of TLS is handed on at a time."""
        return self._all[variant] if len(nodes) == len(self.made) else self._pieces(nodes, variant)

    def _pieces(self, nodes: Sequence[int], variant: int) -> list[bytes]:
        if self.rank is None:
            rounds = [self.made[node][variant] for node in nodes]
        else:
            rounds = list(
                joined_bytes([(each, whole_round(self.made[each][variant])) for each in nodes], self.rank)
            )
        data = b"".join(rounds)
        return [data[at : at + RECORD] for at in range(0, len(data), RECORD)]


#: What comes in one millisecond of a period.
_Slot = tuple[int, list[tuple[Following, list[bytes]]]]


class Beat:
    """
    Sends what follows it its next bytes once a period, when real nodes would.

    A node sends at a multiple of the period by the wall clock (gomd.verbs.round_times), and then its timer,
    its scan and the network take a while, which differs from round to round. A relay gathers the rounds of
    its branch for a moment. What is sent within a millisecond is sent together. All this is drawn and made
    beforehand, since it is no work of the asked daemon.
    """

    def __init__(self, clock: Clock, period: float) -> None:
        self._clock = clock
        self._period = period
        self._random = Random(1)
        self._following: list[Following] = []
        self._drawn: dict[int, list[_Slot]] = {}
        self._variant = 0
        self._times = of_node(1, clock, wall_clock)
        self._due = clock.seconds()
        self._is_sending = False

    async def follow(self, following: Following) -> None:
        """Send the first rounds now, and one more of each node each period, until this is cancelled."""
        for piece in following.pieces(tuple(following.made), 0):
            following.take(piece)
        self._following.append(following)
        self._drawn = {}
        if not self._is_sending:
            self._is_sending = True
            self._wait()
        try:
            await Deferred()
        finally:
            following.is_over = True
            self._following.remove(following)
            self._drawn = {}

    def _wait(self) -> None:
        now = self._clock.seconds()
        self._due = max(now, self._times.after(self._due, self._period))
        self._clock.callLater(self._due - now, self._begin)

    def _begin(self) -> None:
        """Begin to send. What each node does is drawn once for each variant, and costs nothing after that."""
        if not self._following:
            self._is_sending = False
            return
        self._variant = (self._variant + 1) % VARIANTS
        if self._variant not in self._drawn:
            self._drawn[self._variant] = self._draw(self._variant)
        self._send(list(self._drawn[self._variant]))

    def _draw(self, variant: int) -> list[_Slot]:
        """Return what comes when in a period, the last first."""
        slots: dict[int, list[tuple[Following, list[bytes]]]] = {}
        for each in self._following:
            moments = sorted(
                (round(1000 * (delay + self._random.uniform(*DELAYS))), node) for node, delay in each.delays
            )
            while moments:
                at = moments[0][0] + (0 if each.rank is None else GATHERED)
                nodes = [node for moment, node in moments if moment <= at]
                del moments[: len(nodes)]
                slots.setdefault(at, []).append((each, each.pieces(nodes, variant)))
        return sorted(slots.items(), key=itemgetter(0), reverse=True)

    def _send(self, slots: list[_Slot]) -> None:
        while slots and self._due + slots[-1][0] / 1000 <= self._clock.seconds():
            for following, made in slots.pop()[1]:
                for data in made:
                    if not following.is_over:
                        following.take(data)
        if slots:
            left = self._due + slots[-1][0] / 1000 - self._clock.seconds()
            self._clock.callLater(max(0.0, left), self._send, slots)
        else:
            self._wait()


@implementer(IPeers)
class WatchedPeers(NoPeers):
    """Every other node: answers watches, its own and those of a branch, with rounds that were made once."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._far = [
            FarDaemon(MemorySource([50], [busy_processes(_TEMPLATE, variant)])) for variant in range(VARIANTS)
        ]
        self._made: dict[tuple[str, ...], list[list[str]]] = {}
        self._sent: dict[tuple[int, tuple[str, ...]], list[bytes]] = {}
        self._beats: dict[float, Beat] = {}
        self._making = DeferredLock()

    async def follow(
        self,
        node: Node,
        request: Request,
        caller: Caller,
        opened: Callable[[], None],
        take: Callable[[bytes], None],
    ) -> None:
        """See `IPeers.follow`."""
        nodes: tuple[int, ...] = (node.id,)
        if is_branch := request.verb == RELAY:
            branch = parse_branch(request.arguments, node.id)
            assert branch.joined
            nodes, request = (*nodes, *branch.nodes), branch.request
        words, period = request.arguments[2:], float(request.arguments[1])
        rank = rank_of(Request(words[0], words[1:])) if is_branch else None
        following = await self._making.run(self._following, nodes, words, caller, rank, take)
        opened()
        if period not in self._beats:
            self._beats[period] = Beat(self._clock, period)
        await self._beats[period].follow(following)

    @returns_deferred
    async def _following(
        self,
        nodes: Sequence[int],
        words: tuple[str, ...],
        caller: Caller,
        rank: Callable[[NodeRound], float | None] | None,
        take: Callable[[bytes], None],
    ) -> Following:
        """Make what the nodes send: a little at a time, since it is no work of the asked daemon."""
        for at, each in enumerate(nodes):
            if at % MADE_PER_TURN == 0:
                await deferLater(self._clock, TURN_SECONDS)
            if (each, words) not in self._sent:
                self._sent[each, words] = await self._made_for(each, words, caller)
        following = Following({each: self._sent[each, words] for each in nodes}, rank, take)
        for variant in range(VARIANTS):
            await deferLater(self._clock, TURN_SECONDS)
            following.make(variant)
        return following

    async def _made_for(self, node: int, words: tuple[str, ...], caller: Caller) -> list[bytes]:
        """Return the rounds that a node sends: once, so that only the first viewer of a run waits for it."""
        if words not in self._made:
            self._made[words] = [await self._round(far, words, caller) for far in self._far]
        return [
            encode_block(_OWN.sub(rf"\g<1>{node}", _NUMBER.sub(f'"round": {number}', line)) for line in lines)
            for number, lines in enumerate(self._made[words], 1)
        ]

    async def _round(self, far: MemoryDaemon, words: Sequence[str], caller: Caller) -> list[str]:
        dispatch = far.telnet_factory._dispatch
        reply = dispatch.ask(Watcher(caller, True), Request("watch", ("-c", "1", *words)))
        if hasattr(reply, "__await__"):
            reply = await reply
        assert status_of(reply, True)[0] == 201
        return [line async for piece in pieces(reply, True) for line in piece]


class WatchedCluster(BigCluster):
    """The daemon of node 1."""

    def _parts(
        self, commands: Mapping[str, Sequence[Output]] | None, tokens: Mapping[str, Caller] | None
    ) -> Parts:
        return replace(super()._parts(commands, tokens), peers=WatchedPeers(self.clock))


def serve_watched(told: Heard, port: Connection) -> None:
    """Answer at a free port, which is sent to ``port``, until the process is ended."""
    # As a daemon does when it has started. What node 1 heard is no part of it.
    keep_present_objects()
    daemon = WatchedCluster(engine_of(told))
    listening = _reactor.listenTCP(0, daemon.telnet_factory, interface="127.0.0.1")
    port.send(listening.getHost().port)
    _reactor.run()
