"""Chooses the node that is better for a process than the one on which it runs."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import replace

from gomd.interfaces import ICollector, IJobOwnership, IMembership, IPlacement, Need
from gomd.jobs.relocation.subject import Subject
from libgomd.errors import NotPossible
from libgomd.model import STANDARD_SPEED, Node, Process, Status


class BestNode:
    """
    Asks the placement, having corrected the nodes for the process that is to be moved.

    :param ownership: tells which processes belong to a job.
    """

    def __init__(
        self,
        members: IMembership,
        placement: IPlacement,
        ownership: IJobOwnership,
        collector: ICollector,
    ) -> None:
        self._members = members
        self._placement = placement
        self._ownership = ownership
        self._collector = collector

    async def processes_of(self, subject: Subject) -> Sequence[Process]:
        """Return the processes that move together."""
        if subject.job is not None:
            return await self._ownership.processes_of(subject.job)
        return [await self._collector.process(subject.reference.pid)]

    def choose(self, subject: Subject, processes: Sequence[Process], excluded: Container[int]) -> Node | None:
        """
        Return the node that is better than the one on which it runs, None when there is none.

        The placement counts the choice as made; take it back with `withdraw` when the process stays.

        :param excluded: ids of nodes that cannot take it.
        """
        memory = sum(process.rss or 0 for process in processes)
        nodes = [
            _without(node, processes, memory) if node.id == subject.node else _accepting(node, subject.home)
            for node in self._members.nodes()
            if node.id not in excluded
        ]
        try:
            chosen = self._placement.choose(nodes, Need(memory=memory or None))
        except NotPossible:
            return None
        if chosen.id == subject.node:
            self.withdraw(chosen)
            return None
        return chosen

    def withdraw(self, node: Node) -> None:
        """Take the choice of ``node`` back: the process did not go there."""
        self._placement.withdraw(node.id)


def _accepting(node: Node, home: int) -> Node:
    """Return ``node`` as placement is to see it: a home takes its own back even while it blocks guests."""
    return node if node.id != home else replace(node, status=node.status & ~Status.BLOCK)


def _without(node: Node, processes: Sequence[Process], memory: int) -> Node:
    """
    Return ``node`` as it would be without these processes, which use ``memory`` bytes.

    Otherwise it would look worse than any other node that is just as good, and the processes would go to
    and fro. A process that can run counts in the load even while others have the processors.
    """
    used = sum(max((one.cpu_percent or 0.0) / 100.0, float(one.state == "R")) for one in processes)
    unit = 100.0 * STANDARD_SPEED / (max(1, node.speed or STANDARD_SPEED) * max(1, node.cpus or 1))
    return replace(
        node,
        load=None if node.load is None else max(0, round(node.load - used * unit)),
        mem=None if node.mem is None else node.mem + memory,
        rmem=None if node.rmem is None else node.rmem + memory,
    )
