"""
A cluster of unequal machines that share their processors among the jobs put on them.

The workload is that of the opportunity-cost paper (see gomd/jobs/placement/choice.py): jobs arrive as a
Poisson process;
what they need of processor time and of memory is heavy-tailed, P(need > x) proportional to 1/x; a
machine whose memory is exceeded pages, and everything on it runs at a tenth of its speed. Whoever places
the jobs knows the loads as they were at the last whole second, as heartbeats tell them.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from twisted.internet.task import Clock

from gomd.interfaces import Need
from gomd.jobs.placement.choice import Placement
from libgomd.errors import NotPossible
from libgomd.model import STANDARD_SPEED, Node, Status

MB: Final = 1 << 20
#: What is left of the speed of a machine that pages.
PAGING: Final = 0.1
_UP: Final = Status.CONFIGURED | Status.UP


class Shape(NamedTuple):
    """A machine: the speed of one of its processors (a standard one has 15000), and bytes of memory."""

    speed: int
    cpus: int
    memory: int


class Job(NamedTuple):
    """When it comes (seconds), what it needs: seconds of a standard processor, and bytes."""

    arrival: float
    cpu: float
    memory: int


#: Returns the index of the machine a job goes to.
Rule = Callable[[Sequence[Node], Job], int]

MACHINES: Final = (
    Shape(15000, 1, 256 * MB), Shape(15000, 1, 512 * MB), Shape(15000, 2, 512 * MB),
    Shape(22500, 1, 1024 * MB), Shape(30000, 1, 256 * MB), Shape(30000, 2, 1024 * MB),
)  # fmt: skip


def pareto(generator: random.Random, low: float, high: float) -> float:
    """Return a number from ``low`` to ``high``, above x with a probability proportional to 1/x."""
    return 1.0 / generator.uniform(1.0 / high, 1.0 / low)


def workload(
    seed: int,
    count: int,
    utilisation: float,
    memory: tuple[int, int] = (16 * MB, 1000 * MB),
    machines: Sequence[Shape] = MACHINES,
) -> list[Job]:
    """Return ``count`` jobs that keep the machines this busy, were the work spread evenly."""
    generator = random.Random(seed)
    draws = [(pareto(generator, 2.0, 600.0), int(pareto(generator, *memory))) for _ in range(count)]
    mean = sum(cpu for cpu, _memory in draws) / count
    rate = utilisation * sum(one.speed * one.cpus for one in machines) / STANDARD_SPEED / mean
    jobs, now = [], 0.0
    for cpu, size in draws:
        now += generator.expovariate(rate)
        jobs.append(Job(now, cpu, size))
    return jobs


@dataclass
class _Machine:
    """Equal shares for all: each job ends when the service everybody got reaches what it needs."""

    shape: Shape
    now: float = 0.0
    service: float = 0.0
    memory: int = 0
    ends: list[tuple[float, int]] = field(default_factory=list)

    def rate(self) -> float:
        """Seconds of a standard processor that each job gets in a second."""
        share = min(1.0, self.shape.cpus / len(self.ends))
        slow = PAGING if self.memory > self.shape.memory else 1.0
        return self.shape.speed / STANDARD_SPEED * share * slow

    def next_end(self) -> float:
        """When its next job ends, if nothing else comes."""
        return self.now + (self.ends[0][0] - self.service) / self.rate() if self.ends else float("inf")

    def advance(self, now: float) -> None:
        """Let its jobs run until ``now``."""
        if self.ends:
            self.service += (now - self.now) * self.rate()
        self.now = now

    def node(self, number: int) -> Node:
        """What its daemon says of it."""
        speed, cpus, memory = self.shape
        free = max(0, memory - self.memory)
        return Node(
            number, f"n{number}", f"10.0.0.{number}", _UP,
            load=round(100 * len(self.ends) * STANDARD_SPEED / (speed * cpus)), speed=speed, cpus=cpus,
            util=100 * cpus, mem=free, rmem=free, tmem=memory, age=0.0,
        )  # fmt: skip


def average_slowdown(jobs: Sequence[Job], rule: Rule, machines: Sequence[Shape] = MACHINES) -> float:
    """
    Run all jobs to their ends, and return the mean of the seconds each took by the seconds it needed.

    Below 1 is possible: a machine may be faster than a standard one.
    """
    cluster = [_Machine(shape) for shape in machines]
    slowdowns: list[float] = []
    known: list[Node] = []
    known_at = -1.0

    def run_until(now: float) -> None:
        while True:
            first = min(cluster, key=_Machine.next_end)
            if (end := first.next_end()) > now or not first.ends:
                break
            first.advance(end)
            _, number = heapq.heappop(first.ends)
            job = jobs[number]
            first.memory -= job.memory
            slowdowns.append((end - job.arrival) / job.cpu)
        if now != float("inf"):
            for machine in cluster:
                machine.advance(now)

    for number, job in enumerate(jobs):
        if int(job.arrival) > known_at:
            known_at = float(int(job.arrival))
            run_until(known_at)
            known = [machine.node(index + 1) for index, machine in enumerate(cluster)]
        run_until(job.arrival)
        chosen = cluster[rule(known, job)]
        heapq.heappush(chosen.ends, (chosen.service + job.cpu, number))
        chosen.memory += job.memory
    run_until(float("inf"))
    assert len(slowdowns) == len(jobs)
    return sum(slowdowns) / len(slowdowns)


def opportunity_cost() -> Rule:
    """Return gomd's own rule; a job that no node has the memory for is started without saying its need."""
    clock = Clock()
    placement = Placement(1, clock)

    def rule(nodes: Sequence[Node], job: Job) -> int:
        clock.advance(job.arrival - clock.seconds())
        try:
            return placement.choose(nodes, Need(job.memory)).id - 1
        except NotPossible:
            return placement.choose(nodes, Need()).id - 1

    return rule


def round_robin() -> Rule:
    """Return the rule that takes one machine after the other."""
    turn = -1

    def rule(nodes: Sequence[Node], job: Job) -> int:
        nonlocal turn
        turn = (turn + 1) % len(nodes)
        return turn

    return rule


def least_loaded() -> Rule:
    """Return the rule that takes the lowest load, which counts speed and processors; memory it ignores."""
    return lambda nodes, job: min(nodes, key=lambda node: (node.load or 0, node.id)).id - 1


def least_loaded_spread() -> Rule:
    """Return `least_loaded`, but knowing of the jobs it placed itself since the loads were told."""
    told: Sequence[Node] = ()
    added: dict[int, float] = {}

    def rule(nodes: Sequence[Node], job: Job) -> int:
        nonlocal told
        if nodes is not told:
            told = nodes
            added.clear()
        best = min(nodes, key=lambda node: ((node.load or 0) + added.get(node.id, 0.0), node.id))
        added[best.id] = added.get(best.id, 0.0) + 100 * STANDARD_SPEED / (
            (best.speed or 1) * (best.cpus or 1)
        )
        return best.id - 1

    return rule
