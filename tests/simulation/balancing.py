"""Nodes with real balancers and loads smoothed as gomd does it, whose processes are a script's."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from twisted.internet.task import Clock, deferLater
from zope.interface import implementer

from gomd.interfaces import IMembership
from gomd.jobs.placement.balancing import Balance, MoveCosts
from gomd.services.balancer import Balancer
from gomd.sources.linux.load import SmoothedLoad, current_load
from libgomd.errors import NotFound, PeerUnreachable
from libgomd.model import STANDARD_SPEED, Counter, Node, Process, Status

MB: Final = 1 << 20
UP: Final = Status.CONFIGURED | Status.UP


def node(number: int, speed: int = STANDARD_SPEED, cpus: int = 1, status: Status = UP) -> Node:
    """An idle node with 4 GB."""
    return Node(
        number, f"n{number}", f"10.0.0.{number}", status,
        load=0, speed=speed, cpus=cpus, util=100 * cpus, mem=4096 * MB, rmem=4096 * MB, tmem=4096 * MB,
        age=0.0,
    )  # fmt: skip


def process(pid: int, home: int = 1, rss: int = 20 * MB, **other: Any) -> Process:
    """A process that has just begun to spin at home."""
    spinner = Process(
        node=home, home=home, pid=pid, ppid=1, uid=1000, user="ann", state="R", nice=0, threads=1,
        cpu_percent=None, cpu_seconds=0.0, rss=rss, vsize=2 * rss, start_time=0.0, where=0, nmigs=0,
        lock=False, cantmove="", command="spin", started=pid,
    )  # fmt: skip
    return replace(spinner, **other)


@dataclass(frozen=True)
class Moved:
    """A move that was made."""

    at: float
    pid: int
    source: int
    target: int


@implementer(IMembership)
class _View:
    """What one node knows: its own values of now, the others' of the last second."""

    def __init__(self, cluster: Cluster, own_id: int) -> None:
        self.own_id = own_id
        self._cluster = cluster

    def nodes(self) -> Sequence[Node]:
        """Every node."""
        return [
            self._cluster.nodes[self.own_id] if one.id == self.own_id else one for one in self._cluster.told
        ]

    def find(self, key: str) -> Node:
        """Not asked by a balancer."""
        raise NotFound(key)

    def counters(self) -> Iterable[Counter]:
        """Nothing is counted."""
        return ()


class Cluster:
    """
    Nodes, each with a balancer, on one clock; `run` lets time pass.

    :param noise: processes that come and go beside the script's, on each node, at most so many at a time.
    :ivar moves: what the balancers have done. :ivar broken: pids whose moves fail.
    :ivar together: the most moves that were under way at once from one node.
    """

    def __init__(
        self, nodes: Sequence[Node], processes: Sequence[Process], seed: int = 0, noise: float = 0.0
    ) -> None:
        self.clock = Clock()
        self.nodes = {one.id: one for one in nodes}
        self.processes = {one.pid: one for one in processes}
        self.told = tuple(nodes)
        self.moves: list[Moved] = []
        self.broken: set[int] = set()
        self.tried: list[int] = []
        self.together = 0
        self._under_way: list[int] = []
        self._random = random.Random(seed)
        self._noise = noise
        self._smoothed = {one.id: SmoothedLoad() for one in nodes}
        self.balancers = [self._balancer(one.id) for one in nodes]

    def _balancer(self, own_id: int) -> Balancer:
        async def here() -> Sequence[Process]:
            return [one for one in self.processes.values() if one.node == own_id]

        async def migrate(moved: Process, target: int) -> None:
            await self._migrate(moved.pid, own_id, target)

        balance = Balance(own_id, MoveCosts(), self._random.random)
        balancer = Balancer(balance, _View(self, own_id), here, migrate, self.clock)
        # Daemons are not started in the same instant.
        self.clock.callLater(self._random.random(), balancer.startService)
        return balancer

    async def _migrate(self, pid: int, source: int, target: int) -> None:
        """Move it: frozen at home for as long as it takes, then there."""
        self.tried.append(pid)
        self._under_way.append(source)
        self.together = max(self.together, self._under_way.count(source))
        one = self.processes[pid]
        await deferLater(self.clock, 0.4 + (one.rss or 0) / 200e6, lambda: None)
        self._under_way.remove(source)
        if pid in self.broken:
            raise PeerUnreachable("the script says so")
        where = 0 if target == one.home else target
        self.processes[pid] = replace(
            self.processes[pid], node=target, where=where, nmigs=one.nmigs + 1, cpu_percent=None
        )
        self.moves.append(Moved(self.clock.seconds(), pid, source, target))

    def running(self, number: int) -> list[Process]:
        """The processes of a node."""
        return [one for one in self.processes.values() if one.node == number]

    def counts(self) -> list[int]:
        """How many processes each node runs, in the order of their ids."""
        return [len(self.running(number)) for number in sorted(self.nodes)]

    def run(self, seconds: int) -> None:
        """Let so many seconds pass."""
        for _ in range(seconds):
            for _ in range(5):
                self.clock.advance(0.2)
            self._second()

    def _second(self) -> None:
        for number, one in self.nodes.items():
            spinners = self.running(number)
            runnable = len(spinners) + int(self._random.random() < self._noise)
            load = current_load(runnable, one.cpus or 1, one.speed or STANDARD_SPEED, STANDARD_SPEED)
            smoothed = self._smoothed[number].update(load, self.clock.seconds())
            self.nodes[number] = replace(one, load=smoothed)
            share = min(1.0, (one.cpus or 1) / max(1, runnable))
            for spinner in spinners:
                self.processes[spinner.pid] = replace(
                    spinner, cpu_percent=100.0 * share, cpu_seconds=(spinner.cpu_seconds or 0.0) + share
                )
        self.told = tuple(
            replace(one, load=None) if one.status & Status.QUIET else one for one in self.nodes.values()
        )

    def stop(self) -> None:
        """Stop the balancers."""
        for balancer in self.balancers:
            balancer.stopService()
