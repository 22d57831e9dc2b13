"""What the tests of relays share: who was asked, and a relay that sends what a test wants."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from gomd.verbs.branches import RELAY
from libgomd.wire.lines import Request
from tests.tree_cluster import TreeCluster

#: What a node sends instead of what it should, as `Wires.lie`.
Lie = Callable[[Request], AsyncGenerator[Sequence[str], None]]


def relays(cluster: TreeCluster) -> list[int]:
    """The nodes that node 1 asked to relay, in order."""
    return [to for sender, to, request in cluster.wires.asked if sender == 1 and request.verb == RELAY]


def asked_by_first(cluster: TreeCluster) -> set[int]:
    return {to for sender, to, _ in cluster.wires.asked if sender == 1}


LOADS = [f"{number}: {number}" for number in range(1, 11)]


def sending(words: Sequence[str], cluster: TreeCluster, pause: float) -> Lie:
    """A relay that sends these rows, each after a pause, and then nothing more for ever."""

    async def rows(_request: Request) -> AsyncGenerator[Sequence[str], None]:
        for row in words:
            await deferLater(cluster.clock, pause)
            yield [row]
        await Deferred()

    return rows
