"""
Measures membership on a network in memory: its cost and its speed with 10, 100 and 1,000 nodes.

What came to one node is played again to a copy of it that opens real sealed packets, refuses replays and
seals its own; the processor time of that is measured. What the kernel takes for a packet is measured too
and added. Time is simulated, so that the seconds of join, detection and healing are those
of the protocol alone, and the same on any machine.

The scenarios run on all processors; `make bench ONLY=membership` takes about ten minutes.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import socket
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from random import Random
from typing import Any, Final

from zope.interface import implementer

from bench.rows import Row, limit, unmeasured
from gomd.cluster.events import Events
from gomd.cluster.membership import Address, HeartbeatEngine, IPeerTransport
from libgomd.model import EventKind
from libgomd.wire.datagrams import Sealer, open_sealed
from libgomd.wire.messages import Datagram, Message
from libgomd.wire.replay import ReplayWindow
from libgomd.wire.sealing import DatagramKey, KeyRing
from tests.network import HeapClock
from tests.nodes import PORT, Cluster, SimulatedNode, address_of

#: Nodes; and for each share of packets lost the simulated seconds that are measured.
COSTS: Final = (
    (1000, ((0.0, 8.0), (0.05, 8.0), (0.2, 8.0))),
    (100, ((0.0, 30.0), (0.05, 30.0), (0.2, 600.0))),
    (10, ((0.0, 60.0), (0.05, 60.0), (0.2, 60.0))),
)
#: Nodes that are killed, one after the other, at each of these losses.
KILLS: Final = {1000: 1, 100: 5, 10: 2}
STORMS: Final = (40, 100)
STORM_RUNS: Final = 50
#: Seconds that the network is parted, and nodes on each side.
PARTINGS: Final = ((90.0, 4), (600.0, 4), (86400.0, 1))
RING: Final = KeyRing([DatagramKey(b"measured", bytes(range(32)))])
Result = dict[str, Any]


class MeasuredClock(HeapClock):
    """A clock that measures the processor time of the calls that it makes."""

    def __init__(self, start: float) -> None:
        super().__init__(start)
        self.spent = 0.0

    def callLater(self, delay: float, callable: Callable[..., object], *args: object, **kw: object) -> Any:
        """See `IReactorTime.callLater`."""
        return super().callLater(delay, self.measure, callable, *args, **kw)

    def measure(self, function: Callable[..., object], *args: Any, **kw: Any) -> None:
        """Call a function and add the processor time that it takes."""
        began = time.process_time()
        function(*args, **kw)
        self.spent += time.process_time() - began


class Recorder:
    """
    Keeps all that comes to one node, and plays it again to one like it that has the machine to itself.

    Among a thousand others in one process each packet finds the processor's caches full of theirs, which
    says nothing about a daemon. The copy has the same random numbers and gets the same packets at the same
    times, so it does the same.
    """

    def __init__(self, cluster: Cluster, node: SimulatedNode) -> None:
        self._clock = cluster.clock
        self._began = cluster.clock.seconds()
        self._settings = cluster.settings
        self._node = node
        self._receive = node.host.receiver
        self._came: list[tuple[float, Datagram, Address, bool]] = []
        node.host.receiver = self._keep

    def _keep(self, datagram: Datagram, address: Address, multicast: bool) -> None:
        self._came.append((self._clock.seconds(), datagram, address, multicast))
        self._receive(datagram, address, multicast)

    def play(self, windows: Sequence[tuple[float, float]], kernel: float) -> list[float]:
        """Return the share of a processor that the node took in each of some spans of time."""
        clock = MeasuredClock(self._began)
        node, instance = self._node.node, self._node.engine.instance
        transport = SealingTransport(clock, node.id, instance)
        engine = HeartbeatEngine(
            lambda: node,
            instance,
            transport,
            clock,
            Random(self._node.seed),
            Events(),
            self._settings,
            clock.seconds,
        )
        replays, sealers = ReplayWindow(), dict[int, Sealer]()

        def act(packet: bytes, address: Address, multicast: bool) -> None:
            opened = open_sealed(packet, RING).datagram
            replays.admit(opened, int(clock.seconds() * 1000))
            engine.receive(opened, address, multicast)

        def arrive(datagram: Datagram, address: Address, multicast: bool) -> None:
            sealer = sealers.get(datagram.sender)
            if sealer is None:
                sealer = sealers[datagram.sender] = Sealer(
                    RING, datagram.sender, datagram.instance, os.urandom
                )
            sealer.sequence = datagram.sequence - 1
            clock.measure(act, sealer.seal(datagram.message, datagram.sent_at), address, multicast)
            transport.packets += 1

        engine.start()
        for when, datagram, address, multicast in self._came:
            clock.at(when, partial(arrive, datagram, address, multicast))
        shares = []
        for begin, end in windows:
            clock.advance(begin - clock.seconds())
            spent, packets = clock.spent, transport.packets
            clock.advance(end - clock.seconds())
            used = clock.spent - spent + (transport.packets - packets) * kernel
            shares.append(used / (end - begin))
        return shares


@implementer(IPeerTransport)
class SealingTransport:
    """Seals messages as a daemon does, and counts the packets."""

    def __init__(self, clock: HeapClock, node: int, instance: int) -> None:
        self._clock = clock
        self._sealer = Sealer(RING, node, instance, os.urandom)
        self.packets = 0

    def send(self, message: Message, addresses: Sequence[Address]) -> None:
        """See `IPeerTransport.send`."""
        self._sealer.seal(message, int(self._clock.seconds() * 1000))
        self.packets += len(addresses)

    def renumber(self) -> None:
        """See `IPeerTransport.renumber`."""
        self._sealer.renumber(int(self._clock.seconds() * 1000))

    def multicast(self, message: Message, everywhere: bool = True) -> None:
        """See `IPeerTransport.multicast`."""
        self.send(message, [("", 0)])


def costs(nodes: int, losses: tuple[tuple[float, float], ...]) -> list[Result]:
    """Measure what an idle cluster of this size costs each node, and count its mistakes."""
    gc.disable()
    cluster = Cluster(seed=nodes, replays=False)
    recorder: Recorder | None = None
    for number in range(1, nodes + 1):
        node = cluster.add(number)
        if number == 2:
            recorder = Recorder(cluster, node)
        if number % 50 == 0:
            cluster.clock.advance(0.02)
    assert recorder is not None
    cluster.until_agreed(30.0, 0.2)
    cluster.clock.advance(5.0)
    gc.collect()
    gc.freeze()
    results = [_cost(cluster, nodes, loss, seconds) for loss, seconds in losses]
    shares = recorder.play([result["window"] for result in results], kernel_time())
    for result, share in zip(results, shares, strict=True):
        result["processor"] = share
    return results


def _cost(cluster: Cluster, nodes: int, loss: float, seconds: float) -> Result:
    cluster.network.loss = loss
    hosts = [node.host for node in cluster.nodes.values()]
    before = _sums(hosts)
    since = cluster.clock.seconds()
    cluster.clock.advance(seconds)
    each = len(hosts) * seconds
    packets, length, out = (after - first for after, first in zip(_sums(hosts), before, strict=True))
    false = sum(len(node.said(EventKind.DOWN, since=since)) for node in cluster.nodes.values())
    suspected = cluster.nodes[1].said(EventKind.SUSPECT, since=since)
    return {
        "nodes": nodes, "loss": loss, "seconds": seconds, "window": (since, cluster.clock.seconds()),
        "received": packets / each, "received_bytes": length / each, "sent": out / each,
        "false": false, "suspicions": len(suspected) / seconds * 60,
        "detection": _detection(cluster, KILLS[nodes]),
    }  # fmt: skip


def _sums(hosts: list[Any]) -> tuple[int, int, int]:
    return (
        sum(host.received for host in hosts),
        sum(host.received_bytes for host in hosts),
        sum(host.sent for host in hosts),
    )


def _detection(cluster: Cluster, kills: int) -> float:
    """Return the longest time from the death of a node until all others consider it down."""
    times = []
    for _ in range(kills):
        cluster.clock.advance(cluster.network.random.random())
        victim = max(cluster.nodes)
        cluster.kill(victim)
        times.append(_until_all_miss(cluster, victim))
    return max(times)


def _until_all_miss(cluster: Cluster, victim: int) -> float:
    start = cluster.clock.seconds()
    while any(node.engine.port_of(victim) is not None for node in cluster.nodes.values()):
        cluster.clock.advance(0.05)
        assert cluster.clock.seconds() - start < 60, f"node {victim} is not found dead"
    return cluster.clock.seconds() - start


def storm(nodes: int) -> Result:
    """Return the seconds until all nodes know each other, if they start at once with one seed."""
    gc.disable()
    times = []
    for seed in range(STORM_RUNS):
        cluster = _seeded(seed, 1)
        for number in range(1, nodes + 1):
            cluster.clock.callLater(cluster.network.random.random() * 0.1, cluster.add, number)
        cluster.clock.advance(0.1)
        times.append(0.1 + cluster.until_agreed(60.0, 0.02))
        gc.collect()
    return {"nodes": nodes, "times": times}


def healing(parted: float, side: int) -> Result:
    """Return the seconds from the end of a partition until the cluster is whole, without multicast."""
    gc.disable()
    times = []
    for seed in range(1 if parted > 3600 else 10):
        cluster = _seeded(seed, 1)
        cluster.with_nodes(range(1, 2 * side + 1))
        cluster.network.part(cluster.hosts(range(1, side + 1)))
        cluster.clock.advance(parted + cluster.network.random.random())
        assert cluster.nodes[1].count() == side, "the parts still know each other"
        cluster.network.heal()
        times.append(cluster.until_agreed(120.0, 0.02))
        gc.collect()
    return {"parted": parted, "side": side, "times": times}


def _seeded(seed: int, *seeds: int) -> Cluster:
    addresses = tuple((address_of(number), PORT) for number in seeds)
    return Cluster(seed=seed, discovery=False, seeds=addresses)


def kernel_time() -> float:
    """Return the processor seconds of the kernel to send or receive one packet as long as a heartbeat."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as here:
        here.bind(("127.0.0.1", 0))
        packet, to, count = bytes(134), here.getsockname(), 20_000
        began = time.process_time()
        for _ in range(count):
            here.sendto(packet, to)
            here.recvfrom(1500)
        return (time.process_time() - began) / count / 2


def run() -> list[Row]:
    """Measure, and return the rows."""
    # Fresh processes: what one scenario leaves in memory slows the next one down.
    context = multiprocessing.get_context("spawn")
    with context.Pool(maxtasksperchild=1) as pool:
        cost = [pool.apply_async(costs, scenario) for scenario in COSTS]
        heal = [pool.apply_async(healing, scenario) for scenario in PARTINGS]
        storms = [pool.apply_async(storm, (nodes,)) for nodes in STORMS]
        rows = [row for each in cost for result in each.get() for row in _cost_rows(result)]
        for result in (each.get() for each in storms):
            rows.append(limit(f"join storm, {result['nodes']} nodes, worst of {STORM_RUNS}",
                              max(result["times"]), "s", 2.0))  # fmt: skip
            rows.append(_told(f"join storm, {result['nodes']} nodes, median",
                              statistics.median(result["times"]), "s"))  # fmt: skip
        for result in (each.get() for each in heal):
            name = f"healed after {result['parted']:g} s, {result['side']}+{result['side']} nodes"
            rows.append(limit(name, max(result["times"]), "s", 30.0 if result["parted"] > 90 else 3.0))
    return rows


def _told(name: str, value: float, unit: str) -> Row:
    return unmeasured(name, value, unit, "-", 0.0)


def _row(name: str, value: float, unit: str, most: float | None) -> Row:
    return _told(name, value, unit) if most is None else limit(name, value, unit, most)


def _cost_rows(result: Result) -> list[Row]:
    nodes, loss = result["nodes"], result["loss"]
    where = f"{nodes} nodes, {loss:.0%} lost: "
    processor = result["processor"] * 100
    received = result["received_bytes"] / 1000
    dead, most = result["detection"], 4.0 if not loss else None
    return [
        _told(where + "received", result["received"], "packet/s"),
        _told(where + "sent", result["sent"], "packet/s"),
        _row(where + "received", received, "kB/s", 400.0 if nodes == 1000 else None),
        _row(where + "processor", processor, "% of one", 3.0 if nodes == 1000 else None),
        _row(where + "dead after", dead, "s", most),
        _told(where + "suspicions a minute", result["suspicions"], ""),
        limit(where + f"false downs, {result['seconds']:g} s", result["false"], "", 0.5),
    ]  # fmt: skip
