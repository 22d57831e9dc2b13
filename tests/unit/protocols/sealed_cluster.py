"""Nodes whose real datagram ports and real membership talk in memory, each with a wall clock of its own."""

from __future__ import annotations

from functools import partial
from random import Random
from typing import Any

from gomd.cluster.events import Events
from gomd.cluster.membership import HeartbeatEngine, Settings
from gomd.protocols.peers import PeerProtocol
from libgomd.model import Event, EventKind, Node, Status
from tests.network import HeapClock
from tests.nodes import PORT, address_of
from tests.unit.wire.vectors import RING

GROUP = ("239.192.0.1", 5429)


class Snapshot:
    """What a node's memory held at one moment, as far as its datagrams go."""

    def __init__(self, node: SealedNode) -> None:
        sealer = node.protocol._sealer
        self.numbers = (sealer.sequence, sealer.first)
        self.key = (sealer._prefix, sealer._cipher, sealer._left)
        self.random = node.random.getstate()


class SealedNode:
    """
    One node. :ivar skew: seconds its wall clock is ahead of the right time.

    :ivar plugged: whether anything reaches it and leaves it.
    """

    def __init__(self, cluster: SealedCluster, number: int, settings: Settings) -> None:
        self.cluster = cluster
        self.number = number
        self.address = (address_of(number), PORT)
        self.skew = 0.0
        self.plugged = True
        self.random = Random(number)
        self.events = Events(100_000)
        self.written: list[bytes] = []
        instance = int(self.wall() * 1000)
        self.protocol = PeerProtocol(
            RING, number, f"node{number}", instance, cluster.clock, self.wall, self.random.randbytes, (GROUP,)
        )
        status = Status.CONFIGURED | Status.UP
        own = Node(number, f"node{number}", self.address[0], status, 1, 15000, 1, age=0.1)
        self.engine = HeartbeatEngine(
            lambda: own, instance, self.protocol, cluster.clock, Random(number), self.events, settings,
            self.wall,
        )  # fmt: skip
        self.protocol.membership = self.engine
        self.protocol.makeConnection(self)  # type: ignore[arg-type]

    def wall(self) -> float:
        return float(self.cluster.clock.seconds()) + self.skew

    def write(self, packet: bytes, address: Any) -> None:
        """Send a packet, as a UDP transport does."""
        self.written.append(packet)
        if self.plugged:
            self.cluster.carry(packet, self.address, address)

    def put_back(self, snapshot: Snapshot) -> None:
        """Put what it remembers of its datagrams back, its random numbers too, as a hypervisor does."""
        sealer = self.protocol._sealer
        sealer.sequence, sealer.first = snapshot.numbers
        sealer._prefix, sealer._cipher, sealer._left = snapshot.key
        self.random.setstate(snapshot.random)

    def up(self) -> set[int]:
        return {node.id for node in self.engine.nodes() if node.up}

    def said(self, node: int, *kinds: EventKind, since: float = 0.0) -> list[Event]:
        """Return what it told of a node since then, by its own clock."""
        return [
            event
            for event in self.events.recent()
            if event.node == node and event.kind in kinds and event.time >= since + self.skew
        ]


class SealedCluster:
    """Some nodes that find each other by multicast; without ``discovery`` by the first one, their seed."""

    def __init__(self, count: int, discovery: bool = True) -> None:
        self.clock = HeapClock()
        settings = Settings(discovery=discovery, seeds=() if discovery else ((address_of(1), PORT),))
        self.nodes = {number: SealedNode(self, number, settings) for number in range(1, count + 1)}
        for node in self.nodes.values():
            node.engine.start()
        self.clock.advance(5.0)

    def carry(self, packet: bytes, source: Any, to: Any) -> None:
        """Bring a packet to an address or to the group."""
        for node in self.nodes.values():
            if node.plugged and node.address != source and to in (GROUP, node.address):
                take = partial(node.protocol.take, packet, source, to == GROUP)
                self.clock.at(self.clock.seconds() + 0.001, take)

    def agreed(self) -> bool:
        return all(node.up() == set(self.nodes) for node in self.nodes.values())

    def until_agreed(self, limit: float) -> float:
        """Return the seconds until all hold all to be up."""
        began = self.clock.seconds()
        while not self.agreed():
            assert self.clock.seconds() - began < limit, {n: node.up() for n, node in self.nodes.items()}
            self.clock.advance(0.05)
        return float(self.clock.seconds() - began)
