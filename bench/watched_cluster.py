"""
A cluster in memory that is watched: each simulated node sends its rounds as a real one does, on its own beat.

The membership, the verbs and the telnet line of node 1 are the daemon's own. The rounds of the other nodes
were made beforehand, so that what is measured is what node 1 does with them. What TLS costs on the way to it
is not in the figure.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from multiprocessing.connection import Connection
from random import Random
from typing import Any, Final

from twisted.internet import reactor as installed_reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from zope.interface import implementer

from bench.big_cluster import BigCluster, Heard, engine_of, processes
from gomd.interfaces import IPeers
from gomd.protocols.no_peers import NoPeers
from gomd.verbs.context import Parts
from gomd.verbs.rendering import pieces, status_of
from gomd.verbs.round_times import of_node
from gomd.verbs.rounds import Watcher
from libgomd.model import Caller, Node, Output, Process
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


class Beat:
    """
    Sends what follows it its next bytes once a period, when a real node would.

    A node sends at a multiple of the period by the wall clock (gomd.verbs.round_times), and then its timer,
    its scan and the network take a while, which differs from round to round. What is sent within a
    millisecond is sent together.
    """

    def __init__(self, clock: Clock, period: float) -> None:
        self._clock = clock
        self._period = period
        self._random = Random(1)
        self._drawn: list[list[tuple[int, list[int]]]] = []
        self._drawn_for = 0
        self._following: dict[int, tuple[Iterator[bytes], Callable[[bytes], None]]] = {}
        self._times = of_node(1, clock, wall_clock)
        self._due = clock.seconds()
        self._wait()

    async def follow(self, node: int, made: Sequence[bytes], take: Callable[[bytes], None]) -> None:
        """Send the first of ``made`` now, and one more each period, until this is cancelled."""
        rounds = itertools.cycle(made)
        take(next(rounds))
        self._following[node] = (rounds, take)
        try:
            await Deferred()
        finally:
            del self._following[node]

    def _wait(self) -> None:
        now = self._clock.seconds()
        self._due = max(now, self._times.after(self._due, self._period))
        self._clock.callLater(self._due - now, self._begin)

    def _begin(self) -> None:
        """Begin to send. What each node does is drawn once beforehand, and so costs this daemon nothing."""
        if self._drawn_for != len(self._following):
            self._drawn_for = len(self._following)
            self._drawn = [self._draw() for _ in range(VARIANTS)]
        self._drawn.append(self._drawn.pop(0))
        self._send(list(self._drawn[0]))

    def _draw(self) -> list[tuple[int, list[int]]]:
        """Return which nodes send in which milliseconds, the last first."""
        slots: dict[int, list[int]] = {}
        for node in self._following:
            own = of_node(node, self._clock, wall_clock).delay
            slots.setdefault(round(1000 * (own + self._random.uniform(*DELAYS))), []).append(node)
        return sorted(slots.items(), reverse=True)

    def _send(self, slots: list[tuple[int, list[int]]]) -> None:
        while slots and self._due + slots[-1][0] / 1000 <= self._clock.seconds():
            for node in slots.pop()[1]:
                if node in self._following:
                    rounds, take = self._following[node]
                    take(next(rounds))
        if slots:
            left = self._due + slots[-1][0] / 1000 - self._clock.seconds()
            self._clock.callLater(max(0.0, left), self._send, slots)
        else:
            self._wait()


@implementer(IPeers)
class WatchedPeers(NoPeers):
    """Every other node: answers watches with rounds that were made once."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._far = [
            MemoryDaemon(MemorySource([50], [busy_processes(_TEMPLATE, variant)]))
            for variant in range(VARIANTS)
        ]
        self._made: dict[tuple[str, ...], list[list[str]]] = {}
        self._sent: dict[tuple[int, tuple[str, ...]], list[bytes]] = {}
        self._beats: dict[float, Beat] = {}

    async def follow(
        self,
        node: Node,
        request: Request,
        caller: Caller,
        opened: Callable[[], None],
        take: Callable[[bytes], None],
    ) -> None:
        """See `IPeers.follow`."""
        words, period = request.arguments[2:], float(request.arguments[1])
        if (node.id, words) not in self._sent:
            self._sent[node.id, words] = await self._made_for(node, words, caller)
        opened()
        if period not in self._beats:
            self._beats[period] = Beat(self._clock, period)
        await self._beats[period].follow(node.id, self._sent[node.id, words], take)

    async def _made_for(self, node: Node, words: tuple[str, ...], caller: Caller) -> list[bytes]:
        """Return the rounds that a node sends: once, so that only the first viewer of a run waits for it."""
        if words not in self._made:
            self._made[words] = [await self._round(far, words, caller) for far in self._far]
        return [
            encode_block(
                _OWN.sub(rf"\g<1>{node.id}", _NUMBER.sub(f'"round": {number}', line)) for line in lines
            )
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
    daemon = WatchedCluster(engine_of(told))
    listening = _reactor.listenTCP(0, daemon.telnet_factory, interface="127.0.0.1")
    port.send(listening.getHost().port)
    _reactor.run()
