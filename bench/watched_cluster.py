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
from gomd.verbs.rounds import Watcher
from libgomd.model import Caller, Node, Output, Process
from libgomd.testing import MemoryDaemon, MemorySource
from libgomd.wire.lines import Request, encode_block

_reactor: Any = installed_reactor
#: Processes of each node.
PROCESSES: Final = 10
#: Different rounds of a node, one after the other; groups of nodes that send at the same moment.
VARIANTS: Final = 4
GROUPS: Final = 50
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
    """Sends what follows it its next bytes, group after group, each once a period."""

    def __init__(self, clock: Clock, period: float) -> None:
        self._clock = clock
        self._period = period
        self._following: list[list[tuple[Iterator[bytes], Callable[[bytes], None]]]] = [
            [] for _ in range(GROUPS)
        ]
        self._turn = 0
        clock.callLater(period / GROUPS, self._next)

    async def follow(self, group: int, made: Sequence[bytes], take: Callable[[bytes], None]) -> None:
        """Send the first of ``made`` now, and one more each period, until this is cancelled."""
        rounds = itertools.cycle(made)
        entry = (rounds, take)
        take(next(rounds))
        self._following[group].append(entry)
        try:
            await Deferred()
        finally:
            self._following[group].remove(entry)

    def _next(self) -> None:
        self._clock.callLater(self._period / GROUPS, self._next)
        self._turn = (self._turn + 1) % GROUPS
        for rounds, take in self._following[self._turn]:
            take(next(rounds))


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
        await self._beats[period].follow(node.id % GROUPS, self._sent[node.id, words], take)

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
