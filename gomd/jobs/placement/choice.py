"""
Chooses the node for a new job: the one where it adds the least cost, by the opportunity-cost rule.

The rule is from Y. Amir, B. Awerbuch, A. Barak, R. S. Borgstrom, A. Keren, "An Opportunity Cost Approach for
Job Assignment in a Scalable Computing Cluster", IEEE TPDS 11(7), 2000. With n nodes, the cost of a machine is
n to the power of the share of its memory that is in use, plus n to the power of its load as a share of a
ceiling. The ceiling is common to all machines and doubles whenever a load passes it. So the rule avoids
whichever of memory and processors would run out first.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Final, NamedTuple

from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from gomd.interfaces import IPlacement, Need
from libgomd.errors import NotPossible
from libgomd.model import STANDARD_SPEED, Node, Status
from libgomd.opportunity_cost import ASSUMED_MEMORY_BYTES, FIRST_CEILING, cost, load_of_one

#: Seconds during which a choice counts in full, because the known loads do not show it yet.
FRESH_TIME: Final = 1.0
#: Factor per second by which a choice fades afterwards, as its load appears in the known one
#: (gomd.sources.linux.load).
FADING_FACTOR: Final = 5 / 8
#: Seconds after which a choice no longer counts.
CHOICE_LIFETIME: Final = 6.0
#: Share of used memory up to which memory is not scarce, so that only the load decides between nodes.
AMPLE_MEMORY_SHARE: Final = 0.5
#: Maximum number of remembered choices, and of reasons in an error.
_MAX_RECENT: Final = 10_000
_MAX_REASONS: Final = 8
_UP, _BLOCK, _QUIET = int(Status.UP), int(Status.BLOCK), int(Status.QUIET)
_NOTHING: Final = (0.0, 0.0)


def unit_load(node: Node, standard_speed: int) -> float:
    """Return the load that one busy process adds to ``node``, whose speed and processors are known."""
    return load_of_one(node.speed, node.cpus, standard_speed)


class _Choice(NamedTuple):
    at: float
    node: int
    memory: int


class _Candidate(NamedTuple):
    """A node, its load without and with the job, and the shares of its memory in use and needed."""

    node: Node
    load: float
    after: float
    used: float
    needed: float


#: For each node id: the processes and bytes that were placed lately and are not yet visible in its values.
_Pending = dict[int, tuple[float, float]]


def _undominated(candidates: Sequence[_Candidate]) -> list[_Candidate]:
    """
    Return the candidates that no other one beats in both load and memory.

    The rule of the paper bounds the worst load, to within the logarithm of n. So it may give a job to the
    more crowded of two nodes because that node is larger. Where load and memory do not conflict, the lower
    load is better: it makes the average slowdown at least a third smaller (bench/placement.py,
    docs/placement.md).
    """
    kept: list[_Candidate] = []
    least = math.inf  # the smallest share of memory among the nodes whose load is lower
    for _load, group in groupby(sorted(candidates, key=lambda one: one.after), key=lambda one: one.after):
        equals = list(group)
        kept += [one for one in equals if least > max(one.used + one.needed, AMPLE_MEMORY_SHARE)]
        least = min(least, *(one.used + one.needed for one in equals))
    return kept


@implementer(IPlacement)
class Placement:
    """
    Chooses nodes, and remembers each choice until the loads show it.

    :param own_id: the id of the node that starts the jobs. It wins a tie, and its own jobs are not guests
        on it.
    :param standard_speed: the speed of the standard machine to which the loads refer.
    :ivar ceiling: a load that no machine has exceeded yet; it only grows.
    """

    def __init__(self, own_id: int, clock: IReactorTime, standard_speed: int = STANDARD_SPEED) -> None:
        self.ceiling = FIRST_CEILING
        self._own_id = own_id
        self._clock = clock
        self._standard_speed = standard_speed
        self._recent: deque[_Choice] = deque(maxlen=_MAX_RECENT)

    def choose(self, nodes: Sequence[Node], need: Need) -> Node:
        """See `IPlacement.choose`. Takes about five microseconds for each node."""
        pending = self._pending()
        refused: list[tuple[Node, str]] = []
        known: list[_Candidate] = []
        unknown: list[Node] = []
        count = 0
        for node in nodes:
            status = int(node.status)  # integers: the operators of Status take as long as everything else
            candidate = self._candidate(node, status, need, pending)
            if status & _UP:
                count += 1
                if candidate is not None:
                    self._pass(candidate.load)
            if need.nodes is not None and node.id not in need.nodes:
                continue
            if reason := self._refusal(node, status, need, pending):
                refused.append((node, reason))
            elif candidate is None:
                unknown.append(node)
            else:
                known.append(candidate)
        if not known and not unknown:
            raise NotPossible(f"no node can take this job: {_told(nodes, need, refused)}")
        return self._chosen(count, known, unknown, need)

    def _chosen(self, count: int, known: Sequence[_Candidate], unknown: Sequence[Node], need: Need) -> Node:
        """Return the best of the nodes that can take the job, and remember the choice."""

        def order(one: _Candidate) -> tuple[float, float, bool, int, int]:
            before = cost(count, one.used, one.load / self.ceiling)
            marginal = cost(count, one.used + one.needed, one.after / self.ceiling) - before
            node = one.node
            return (marginal, one.after, node.id != self._own_id, -(node.speed or 0), node.id)

        if known:
            best = min(_undominated(known), key=order)
            self._pass(best.after)
            chosen = best.node
        else:  # no node tells its load: prefer the home node
            chosen = min(unknown, key=lambda node: (node.id != self._own_id, node.id))
        memory = ASSUMED_MEMORY_BYTES if need.memory is None else need.memory
        self._recent.append(_Choice(self._clock.seconds(), chosen.id, memory))
        return chosen

    def withdraw(self, node_id: int) -> None:
        """See `IPlacement.withdraw`."""
        for choice in reversed(self._recent):
            if choice.node == node_id:
                self._recent.remove(choice)
                return

    def _pending(self) -> _Pending:
        """Return, for each node, the recently placed processes and bytes that its values do not show yet."""
        now = self._clock.seconds()
        while self._recent and now - self._recent[0].at >= CHOICE_LIFETIME:
            self._recent.popleft()
        pending: _Pending = {}
        for choice in self._recent:
            age = now - choice.at
            weight = 1.0 if age < FRESH_TIME else FADING_FACTOR**age
            processes, memory = pending.get(choice.node, (0.0, 0.0))
            pending[choice.node] = (processes + weight, memory + weight * choice.memory)
        return pending

    def _refusal(self, node: Node, status: int, need: Need, pending: _Pending) -> str:
        """Return why ``node`` cannot take the job; empty when it can."""
        if not status & _UP:
            return "is down"
        if status & _BLOCK and node.id != self._own_id:
            return "takes no guests (block)"
        if node.id in need.blind:
            return "does not have the job's directory"
        if need.memory is not None and node.mem is not None:
            free = node.mem - pending.get(node.id, _NOTHING)[1]
            if free < need.memory:
                return f"has {max(0, int(free)) >> 20} MB of memory free, not {-(-need.memory >> 20)} MB"
        return ""

    def _candidate(self, node: Node, status: int, need: Need, pending: _Pending) -> _Candidate | None:
        """Return the values that the rule compares; None for a node that does not tell them."""
        if node.load is None or not node.speed or not node.cpus or not status & _UP:
            return None
        if status & _QUIET and node.id != self._own_id:
            return None
        processes, memory = pending.get(node.id, _NOTHING)
        unit = unit_load(node, self._standard_speed)
        load = max(0, node.load) + processes * unit
        if not node.tmem or node.mem is None:
            return _Candidate(node, load, load + unit, 0.0, 0.0)
        needed = ASSUMED_MEMORY_BYTES if need.memory is None else need.memory
        used = node.tmem - node.mem + memory
        return _Candidate(node, load, load + unit, used / node.tmem, needed / node.tmem)

    def _pass(self, load: float) -> None:
        while load > self.ceiling:
            self.ceiling *= 2.0


def _told(nodes: Iterable[Node], need: Need, refused: Iterable[tuple[Node, str]]) -> str:
    reasons = [f"{node.name} ({node.id}) {reason}" for node, reason in refused]
    missing = (need.nodes or frozenset()) - {node.id for node in nodes}
    reasons += [f"{number} is no node" for number in sorted(missing)]
    if not reasons:
        return "there is none"
    rest = len(reasons) - _MAX_REASONS
    return "; ".join(reasons[:_MAX_REASONS]) + (f"; and {rest} more" if rest > 0 else "")
