"""Nodes of a cluster on the network in memory: started, stopped, killed and looked at."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from random import Random
from typing import Any

from twisted.internet.defer import Deferred

from gomd.cluster.events import Events
from gomd.cluster.membership import HeartbeatEngine, IAdmission, Settings
from libgomd.model import Event, EventKind, Node, Status
from tests.network import HeapClock, HostTransport, Network

PORT = 5428


def address_of(node: int) -> str:
    """Return the address that openMosix would give this id."""
    return f"10.0.{node >> 8}.{node & 255}"


class SimulatedNode:
    """One daemon's membership. Its id, name and load follow from its number."""

    def __init__(
        self,
        cluster: Cluster,
        number: int,
        settings: Settings,
        admission: IAdmission | None = None,
        **own: Any,
    ) -> None:
        self.number = number
        self.node = Node(
            number, f"node{number}", address_of(number), Status.CONFIGURED | Status.UP, number, 15000, 4,
            400, 2**32, 2**31, 2**33, 0.5,
        )  # fmt: skip
        self.node = replace(self.node, **own)
        network = cluster.network
        instance = int(cluster.clock.seconds() * 1000)
        self.events = Events(keep=100_000)
        self.transport = HostTransport(network, self.node.id, instance)
        self.seed = network.random.random()
        self.engine = HeartbeatEngine(
            lambda: self.node, instance, self.transport, cluster.clock,
            Random(self.seed), self.events, settings, cluster.clock.seconds, admission,
        )  # fmt: skip
        self.host = network.attach((self.node.address, settings.port), self.engine.receive)
        self.transport.host = self.host

    def up(self) -> set[int]:
        """The ids of the nodes it holds to be up."""
        return {node.id for node in self.engine.nodes() if node.up}

    def count(self) -> int:
        """How many nodes it holds to be up, itself too; quicker than `up`."""
        return self.engine._members.up_count + 1

    def said(self, *kinds: EventKind, since: float = 0.0) -> list[Event]:
        """Return its events of these kinds."""
        return [event for event in self.events.recent() if event.kind in kinds and event.time >= since]


class Cluster:
    """Nodes on one network and one clock."""

    def __init__(self, seed: int = 1, replays: bool = True, **settings: Any) -> None:
        self.clock = HeapClock()
        self.network = Network(self.clock, seed, replays)
        self.settings = Settings(**settings)
        self.nodes: dict[int, SimulatedNode] = {}

    def add(self, number: int, admission: IAdmission | None = None, **own: Any) -> SimulatedNode:
        """Start one node; the place of one that was there before is taken."""
        node = SimulatedNode(self, number, self.settings, admission, **own)
        self.nodes[number] = node
        node.engine.start()
        return node

    def with_nodes(self, numbers: Iterable[int], settle: float = 5.0) -> Cluster:
        """Start these nodes and let them find each other."""
        for number in numbers:
            self.add(number)
            self.clock.advance(self.network.random.random() * 0.1)
        self.clock.advance(settle)
        return self

    def kill(self, number: int) -> SimulatedNode:
        """End one node without a goodbye. Its timers go on, unheard."""
        node = self.nodes.pop(number)
        self.network.detach(node.host)
        return node

    def leave(self, number: int) -> Deferred[None]:
        """Stop one node cleanly."""
        node = self.nodes.pop(number)
        stopped = node.engine.stop()
        stopped.addCallback(lambda _: self.network.detach(node.host))
        return stopped

    def hosts(self, numbers: Iterable[int]) -> list[Any]:
        """Return the hosts of these nodes."""
        return [self.nodes[number].host for number in numbers]

    def agreed(self, expected: Iterable[int] | None = None) -> bool:
        """Whether every node holds exactly the ``expected`` nodes, by default all there are, to be up."""
        ids = {node.node.id for node in self.nodes.values()} if expected is None else set(expected)
        nodes = self.nodes.values()
        return all(node.count() == len(ids) for node in nodes) and all(node.up() == ids for node in nodes)

    def until_agreed(self, limit: float, step: float = 0.05, expected: Iterable[int] | None = None) -> float:
        """Return the seconds until all agree. :raises AssertionError: they do not within ``limit``."""
        start = self.clock.seconds()
        while not self.agreed(expected):
            took = self.clock.seconds() - start
            assert took < limit, f"after {took:.1f} s: {self.disagreement(expected)}"
            self.clock.advance(step)
        return self.clock.seconds() - start

    def disagreement(self, expected: Iterable[int] | None = None) -> Sequence[str]:
        """Who holds what to be up that is not expected."""
        ids = {node.node.id for node in self.nodes.values()} if expected is None else set(expected)
        return [
            f"node {node.number}: misses {sorted(ids - node.up())[:5]}, has {sorted(node.up() - ids)[:5]}"
            for node in self.nodes.values()
            if node.up() != ids
        ][:5]
