"""
Decides whether a process of this node should move to another node, and which. Keeps state, but does no I/O.

A process is assumed to need as much processor time again as it has used: one that has run long will run long
(M. Harchol-Balter, A. Downey, "Exploiting Process Lifetime Distributions for Dynamic Load Balancing", ACM
TOCS 15(3), 1997). It moves when it saves more time than moves of its size have taken lately, and when it
would run so much faster that moving it back cannot look as good.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple

from libgomd.model import STANDARD_SPEED, Node, Process, Status

#: Factor by which a process must run faster on the other node. Moving back would have to gain as much again,
#: so no process moves back and forth.
MIN_SPEEDUP: Final = 1.25
#: Number of consecutive rounds that must find a move before one is made. A random number of rounds, up to
#: `MAX_EXTRA_ROUNDS`, is added each time, so that busy nodes do not all pick the same idle one at once.
MIN_ROUNDS: Final = 5
MAX_EXTRA_ROUNDS: Final = 4
#: Seconds after a move during which nothing else moves, until the loads show it.
SETTLE_TIME: Final = 10.0
#: Minimum number of seconds that a process stays here after it has moved here.
MIN_STAY: Final = 30.0
#: Seconds until a process that could not be moved is tried again. The delay doubles after each failure, up
#: to an hour.
FIRST_RETRY_DELAY: Final = 60.0
_MAX_RETRY_DELAY: Final = 3600.0
#: Share of one processor that a process must use to be worth moving.
_MIN_PROCESSOR_SHARE: Final = 0.2
#: Maximum number of processes, and of nodes, that a round compares, so that it takes a millisecond or two.
_MAX_COMPARED: Final = 16
#: States of processes that cannot run: stopped, traced, ended.
_INACTIVE_STATES: Final = frozenset("TtZX")


class ProposedMove(NamedTuple):
    """
    A move that is worth its cost.

    :ivar gain: seconds by which the process would end earlier.
    :ivar cost: seconds that the move is expected to take.
    """

    process: Process
    node: Node
    gain: float
    cost: float


class MoveCosts:
    """
    Estimates the cost of a move. The first estimate is half a second, plus a second for each 100 MB.

    It learns one number: the factor by which recent moves of this node differ from that estimate.
    """

    _FIXED = 0.5
    _PER_BYTE = 1.0 / 100e6
    _NEWEST = 0.3
    _BOUNDS = (0.05, 100.0)

    def __init__(self) -> None:
        self.factor = 1.0

    def of(self, memory: int) -> float:
        """Return how many seconds the move of a process with ``memory`` bytes is expected to take."""
        return self.factor * (self._FIXED + memory * self._PER_BYTE)

    def observe(self, memory: int, seconds: float) -> None:
        """Learn that moving ``memory`` bytes took so many ``seconds``."""
        seen = seconds / (self._FIXED + memory * self._PER_BYTE)
        low, high = self._BOUNDS
        self.factor += self._NEWEST * (min(max(seen, low), high) - self.factor)


class Balance:
    """
    Decides about the moves of one node, round by round.

    :param own_id: the id of the node whose processes may be moved. :param costs: the estimate of costs.
    :param random: returns a number from 0 to 1, for the extra rounds.
    :param standard_speed: the speed of the standard machine to which the loads refer.
    """

    def __init__(
        self,
        own_id: int,
        costs: MoveCosts,
        random: Callable[[], float],
        standard_speed: int = STANDARD_SPEED,
    ) -> None:
        self._own_id = own_id
        self._costs = costs
        self._random = random
        self._standard_speed = standard_speed
        self._streak = 0
        self._needed = self._draw()
        self._settled_at = 0.0
        self._seen: dict[str, float] = {}
        self._failures: dict[str, tuple[int, float]] = {}

    def decide(self, nodes: Sequence[Node], processes: Iterable[Process], now: float) -> ProposedMove | None:
        """
        Return the move to make now; None for no move. Call it once a second.

        :param nodes: all nodes, this one included.
        :param processes: the processes that run on this node; others are ignored.
        :param now: seconds, of any monotonic clock.
        """
        here = [process for process in processes if process.node == self._own_id]
        self._remember(here, now)
        if now < self._settled_at:
            return None
        best = self._best(nodes, here, now)
        self._streak = self._streak + 1 if best else 0
        return best if self._streak >= self._needed else None

    def moved(self, move: ProposedMove, seconds: float, now: float) -> None:
        """Record that ``move`` was made and took ``seconds``."""
        if move.process.rss is not None:
            self._costs.observe(move.process.rss, seconds)
        self._failures.pop(move.process.identity, None)
        self._rest(now)

    def failed(self, move: ProposedMove, now: float) -> None:
        """Record that ``move`` failed. Its process is not tried again for a while."""
        times = self._failures.get(move.process.identity, (0, 0.0))[0]
        until = now + min(FIRST_RETRY_DELAY * 2.0 ** min(times, 10), _MAX_RETRY_DELAY)
        self._failures[move.process.identity] = (times + 1, until)
        self._rest(now)

    def _rest(self, now: float) -> None:
        self._settled_at = now + SETTLE_TIME
        self._streak = 0
        self._needed = self._draw()

    def _draw(self) -> int:
        return MIN_ROUNDS + int(self._random() * (MAX_EXTRA_ROUNDS + 1))

    def _remember(self, here: Sequence[Process], now: float) -> None:
        """Record since when each process has been on this node, and forget those that are gone."""
        self._seen = {one.identity: self._seen.get(one.identity, now) for one in here}
        self._failures = {
            name: failure
            for name, failure in self._failures.items()
            if name in self._seen or now < failure[1]
        }

    def _best(self, nodes: Sequence[Node], here: Sequence[Process], now: float) -> ProposedMove | None:
        own = next((node for node in nodes if node.id == self._own_id), None)
        if own is None or not _is_known(own) or own.status & Status.STAY:
            return None
        movable = [one for one in here if self._may_move(one, own, now)]
        if not movable:
            return None
        movable = heapq.nlargest(_MAX_COMPARED, movable, key=lambda one: (one.cpu_seconds or 0.0, -one.pid))
        targets = heapq.nsmallest(
            _MAX_COMPARED,
            (node for node in nodes if _takes_guests(node) and node.id != self._own_id),
            key=lambda node: (-self._rate(node, self._runnable(node) + 1.0, 1.0), node.id),
        )
        moves = (move for one in movable for node in targets if (move := self._judge(own, one, node)))
        return max(moves, key=lambda move: move.gain - move.cost, default=None)

    def _may_move(self, process: Process, own: Node, now: float) -> bool:
        if (
            process.lock
            or process.cantmove
            or process.state[:1] in _INACTIVE_STATES
            or process.cpu_percent is None
        ):
            return False
        if own.status & Status.LSTAY and process.home == self._own_id:
            return False
        if process.nmigs and now - self._seen[process.identity] < MIN_STAY:
            return False
        return now >= self._failures.get(process.identity, (0, 0.0))[1]

    def _judge(self, own: Node, process: Process, target: Node) -> ProposedMove | None:
        """Return the move of ``process`` to ``target``; None when it is not worth its cost."""
        assert process.cpu_percent is not None
        if process.rss is None or process.cpu_seconds is None:
            return None  # its cost or its gain is not known
        runnable = self._runnable(own)
        share = min(1.0, (own.cpus or 1) / max(runnable, 1.0))
        # The number of processors it could use: those it got, divided by the share that each process gets.
        wants = min(process.cpu_percent / 100.0 / share, float(max(1, process.threads or 1)))
        if wants < _MIN_PROCESSOR_SHARE or (target.mem is not None and target.mem < process.rss):
            return None
        if (
            process.state[:1] == "R"
        ):  # it counts in the load, even if its niceness or other processes slow it down
            wants = max(wants, 1.0)
        rate_here = self._rate(own, max(runnable, wants), wants)
        rate_there = self._rate(target, self._runnable(target) + wants, wants)
        if rate_there < MIN_SPEEDUP * rate_here:
            return None
        work = process.cpu_seconds * (own.speed or self._standard_speed)
        gain, cost = work / rate_here - work / rate_there, self._costs.of(process.rss)
        return ProposedMove(process, target, gain, cost) if gain > cost else None

    def _runnable(self, node: Node) -> float:
        """Return the number of runnable processes on ``node``, computed from its load."""
        speed, cpus = node.speed or self._standard_speed, node.cpus or 1
        return max(0, node.load or 0) * speed * cpus / (100.0 * self._standard_speed)

    def _rate(self, node: Node, runnable: float, wants: float) -> float:
        """Return the speed of a process that can use ``wants`` processors, among ``runnable`` processes."""
        return wants * min(1.0, (node.cpus or 1) / max(runnable, 1e-9)) * (node.speed or self._standard_speed)


def _is_known(node: Node) -> bool:
    return bool(node.up and node.speed and node.cpus and node.load is not None)


def _takes_guests(node: Node) -> bool:
    """Whether a node is up, shares its load and accepts guests."""
    return _is_known(node) and not node.status & (Status.BLOCK | Status.QUIET)
