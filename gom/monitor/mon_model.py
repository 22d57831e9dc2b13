"""What `gom mon` knows of a cluster, and what it works out from that: states of nodes, totals, balance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from gom.monitor.mon_moves import Move
from gom.monitor.rows import BLOCK, LSTAY, OLD_AFTER, QUIET, STAY, NodeRow
from gom.monitor.spans import visible

#: The yardstick unless the daemon says otherwise.
STANDARD_SPEED: Final = 15000

#: Nodes for a second of the age after which values are called old. Nodes tell each other theirs once a
#: second, in clusters of hundreds every few seconds, of thousands every minute or two.
_NODES_PER_SECOND: Final = 50


class State(Enum):
    """What is special about a node, by urgency: the letter that is shown for it, and the words."""

    DEAD = "D", "down"
    OLD = "O", "old values"
    BLOCK = "B", "refuses guests"
    STAY = "S", "keeps its processes"
    LSTAY = "L", "keeps its own processes"
    QUIET = "Q", "tells no values"
    NORMAL = " ", "up"

    @property
    def letter(self) -> str:
        """One letter; a space for `NORMAL`."""
        return self.value[0]

    @property
    def words(self) -> str:
        """What the letter means."""
        return self.value[1]


_OF_BITS: Final = ((BLOCK, State.BLOCK), (STAY, State.STAY), (LSTAY, State.LSTAY), (QUIET, State.QUIET))


def state_of(node: NodeRow) -> State:
    """Return the most urgent thing that is special about a node."""
    if not node.up:
        return State.DEAD
    if node.age is not None and node.age > node.old_after:
        return State.OLD
    return next((state for bit, state in _OF_BITS if node.status & bit), State.NORMAL)


def words_of(node: NodeRow) -> str:
    """Return the status of a node in the words of openMosix: ``down``, ``up``, ``up,block``."""
    if not node.up:
        return "down"
    return ",".join(["up", *(word for bit, word in _WORDS if node.status & bit)])


_WORDS: Final = ((STAY, "stay"), (LSTAY, "lstay"), (BLOCK, "block"), (QUIET, "quiet"))


def busy_of(node: NodeRow, standard: int = STANDARD_SPEED) -> float | None:
    """
    Return how many processes want each processor of a node on average; None when that is not known.

    :param standard: the yardstick, the speed that a standard processor has.
    """
    if node.load is None or not node.speed or standard <= 0:
        return None
    return node.load * node.speed / (100.0 * standard)


@dataclass(frozen=True, slots=True)
class Totals:
    """
    Sums over the nodes that are up.

    :ivar nodes: nodes there are, down ones too. :ivar up: those that are up. :ivar cpus: processors.
    :ivar running: processes that want a processor, on average. :ivar used: bytes of memory in use.
    :ivar memory: bytes of memory. :ivar balance: percent, see `balance_of`; None when nothing is known.
    """

    nodes: int
    up: int
    cpus: int
    running: float
    used: int
    memory: int
    balance: int | None


def totals_of(nodes: Sequence[NodeRow], standard: int = STANDARD_SPEED) -> Totals:
    """Return the sums over ``nodes``."""
    up = [node for node in nodes if node.up]
    known = [node for node in up if node.tmem is not None and node.mem is not None]
    return Totals(
        len(nodes),
        len(up),
        sum(node.cpus or 0 for node in up),
        sum((busy_of(node, standard) or 0.0) * (node.cpus or 1) for node in up),
        sum((node.tmem or 0) - (node.mem or 0) for node in known),
        sum(node.tmem or 0 for node in known),
        balance_of(up),
    )


#: A load below this is that of an idle node: it is balanced whatever the others do.
_IDLE_LOAD: Final = 10


def balance_of(nodes: Sequence[NodeRow]) -> int | None:
    """
    Return how even the load is, in percent: the mean load, were all work spread ideally, to the highest load.

    100 is ideal. Of 4 equal nodes where one does all the work, it is 25. Each node counts by its speed
    and processors. None when no load is known.
    """
    weighted = [(node.load, (node.speed or 1) * (node.cpus or 1)) for node in nodes if node.load is not None]
    if not weighted:
        return None
    highest = max(load for load, _power in weighted)
    if highest < _IDLE_LOAD:
        return 100
    mean = sum(load * power for load, power in weighted) / sum(power for _load, power in weighted)
    return round(100.0 * mean / highest)


def presentable(nodes: Sequence[NodeRow]) -> tuple[NodeRow, ...]:
    """Return nodes by id; nothing in their names and addresses steers a terminal."""
    old_after = max(OLD_AFTER, len(nodes) / _NODES_PER_SECOND)
    return tuple(
        node._replace(name=visible(node.name), address=visible(node.address), old_after=old_after)
        for node in sorted(nodes, key=lambda node: node.id)
    )


@dataclass(frozen=True, slots=True)
class ClusterView:
    """
    What is drawn: the newest that is known of a cluster.

    :ivar nodes: all nodes, `presentable`. :ivar moves: migrations of the last minute, the newest first.
    :ivar standard: the yardstick. :ivar asked: id of the node whose daemon was asked; 0 when not known.
    :ivar trouble: why this is not fresh, one sentence; empty when it is.
    :ivar trouble_age: seconds since it was fresh.
    """

    nodes: tuple[NodeRow, ...] = ()
    moves: tuple[Move, ...] = ()
    standard: int = STANDARD_SPEED
    asked: int = 0
    trouble: str = ""
    trouble_age: float = 0.0

    def name(self, node_id: int) -> str:
        """Return the name of a node, its number when it has none."""
        found = next((node.name for node in self.nodes if node.id == node_id), "")
        return found or (str(node_id) if node_id else "?")
