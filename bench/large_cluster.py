"""
A daemon in memory that is node 1 of a cluster too large to be simulated: it has heard invented heartbeats.

The membership, the verbs and the telnet line are the daemon's own. The other nodes answer from memory, and
send their rounds as in `bench.watched_cluster`.
"""

from __future__ import annotations

import gc
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from multiprocessing.connection import Connection
from typing import Any, Final

from twisted.internet import reactor as installed_reactor

from bench.big_cluster import BigCluster, invented
from bench.stalls import StallMeter
from bench.watched_cluster import WatchedPeers
from gomd.verbs.context import Parts
from libgomd.model import Caller, Output

_reactor: Any = installed_reactor
#: Seconds between two looks at whether the meter is asked for.
_ASKED_PERIOD: Final = 0.05


class LargePeers(WatchedPeers):
    """Every other node. The rounds of all are those of one, with another number, which is quicker."""

    _NUMBER: Final = re.compile(rb'("(?:node|home)": |"identity": ")65000')

    async def _made_for(self, node: int, words: tuple[str, ...], caller: Caller) -> list[bytes]:
        if words not in self._templates:
            template = await super()._made_for(65000, words, caller)
            self._templates[words] = [self._NUMBER.sub(b"\\1#", each) for each in template]
        number = b"%d" % node
        return [each.replace(b"#", number) for each in self._templates[words]]

    def __init__(self, clock: Any) -> None:
        super().__init__(clock)
        self._templates: dict[tuple[str, ...], list[bytes]] = {}


class LargeCluster(BigCluster):
    """The daemon of node 1."""

    def _parts(
        self, commands: Mapping[str, Sequence[Output]] | None, tokens: Mapping[str, Caller] | None
    ) -> Parts:
        return replace(super()._parts(commands, tokens), peers=LargePeers(self.clock))


def serve_large(nodes: int, port: Connection) -> None:
    """
    Answer at a free port, which is sent to ``port``, until the process is ended.

    Whatever is sent to ``port`` afterwards is answered with the longest work at a time since, in seconds.
    """
    gc.collect()
    gc.freeze()  # as the daemon does (gomd.services.own_memory)
    daemon = LargeCluster(invented(nodes)[0])
    listening = _reactor.listenTCP(0, daemon.telnet_factory, interface="127.0.0.1")
    meter = StallMeter(_reactor)

    def look() -> None:
        while port.poll():
            port.recv()
            port.send(meter.take())
        _reactor.callLater(_ASKED_PERIOD, look)

    look()
    port.send(listening.getHost().port)
    _reactor.run()
