"""
`watch --most N @all ps`: the first rows of all nodes together, chosen where the nodes' rows are merged.

Each node has ordered its own rows. The first ones of all are a merge of these, which looks only at the first
row of most nodes. What a node says of their ranks is not checked: it decides which of its rows are shown.
``--with IDENTITY@NODE,...`` adds rows that are shown wherever they rank, if the node sends them.
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from gomd.verbs import selection as selecting
from gomd.verbs.node_rounds import NodeRound, number_behind
from libgomd.errors import MalformedReply, MalformedRequest
from libgomd.wire.lines import Request

#: Most rows that `--most` takes.
MAX_MOST: Final = 100_000
#: Rows that are chosen in one turn of the reactor: about 5 ms of work.
ROWS_PER_TURN: Final = 2000
#: Most processes that `--with` takes.
MAX_WITH: Final = 32
_WITH: Final = re.compile(r"(([0-9]{1,5})-[0-9]{1,10}-[0-9]{1,20})(?:@([0-9]{1,5}))?")
#: For each key of `--sort` the fields whose sum decides.
_FIELDS: Final[dict[str, tuple[str, ...]]] = {
    "cpu": ("cpu_percent",),
    "rss": ("rss",),
    "time": ("cpu_seconds",),
    "io": ("read_rate", "write_rate"),
    "pid": ("pid",),
    "start": ("start_time",),
}
#: Behind every number.
_LAST: Final = float("inf")


class RefusedRound(Exception):
    """The round of a node cannot be used. :ivar node: its id. :ivar error: why."""

    def __init__(self, node: int, error: MalformedReply) -> None:
        super().__init__(str(error))
        self.node = node
        self.error = error


class PinnedProcess(NamedTuple):
    """
    A process that is shown wherever it ranks.

    :ivar name: its identity, as it stands in its row. :ivar nodes: who may send it, the likeliest first.
    """

    name: bytes
    nodes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class FirstRows:
    """
    Which rows of all nodes are shown.

    :ivar most: how many. :ivar fields: the names that decide, as they stand in a row. :ivar sign: 1 when the
        smallest come first, else -1. :ivar wanted: what is shown besides.
    """

    most: int
    fields: tuple[bytes, ...]
    sign: float
    wanted: tuple[PinnedProcess, ...] = ()

    def _rank(self, row: bytes) -> float:
        """Return the number by which a row is ordered, the smallest first; of several rows, of the first."""
        value = number_behind(self.fields[0], row)
        for name in self.fields[1:]:
            other = number_behind(name, row)
            value = other if value is None else value + (other or 0.0)
        return _LAST if value is None else self.sign * value

    async def of(
        self, rounds: Mapping[int, NodeRound], pause: Callable[[], Awaitable[object]]
    ) -> tuple[dict[int, list[int]], int]:
        """
        Return the places of the rows that are shown, for nodes that have some, and how many rows all have.

        :param rounds: the newest round of each node. :param pause: lets others be looked after meanwhile.
        :raises RefusedRound: one cannot be used.
        """
        heap: list[tuple[float, int]] = []
        total = 0
        rank = self._rank
        for node, each in rounds.items():
            if each.count:
                told = each.rank
                heap.append((rank(each.data) if told is None else told, node))
                total += each.matched()
        heapq.heapify(heap)
        chosen: dict[int, int] = {}
        for taken in range(self.most):
            if not heap:
                break
            if taken % ROWS_PER_TURN == ROWS_PER_TURN - 1:
                await pause()
            _, node = heap[0]
            chosen[node] = place = chosen.get(node, 0) + 1
            if place >= rounds[node].count:
                heapq.heappop(heap)
                continue
            try:
                row = rounds[node].rows()[place]
            except MalformedReply as error:
                raise RefusedRound(node, error) from error
            heapq.heapreplace(heap, (rank(row), node))
        found = {node: list(range(count)) for node, count in chosen.items()}
        for name, nodes in self.wanted:
            for node in nodes:
                if node in rounds and (at := rounds[node].data.find(name)) >= 0:
                    place = rounds[node].data.count(b"\n", 0, at)
                    if place not in found.setdefault(node, []):
                        found[node].append(place)
                    break
        return found, total


def rank_of(request: Request) -> Callable[[NodeRound], float | None]:
    """Return what gives the number by which the first row of a round is ordered; None if nothing is."""
    try:
        first = first_rows(1, (), request)
    except MalformedRequest:  # another verb, or without an order
        return lambda each: None
    return lambda each: first._rank(each.data) if each.rank is None else each.rank


def wanted_in(text: str) -> tuple[PinnedProcess, ...]:
    """Return the processes in the value of `--with`. :raises MalformedRequest: it names none."""
    words = text.split(",")
    if len(words) > MAX_WITH:
        raise MalformedRequest(f"--with takes {MAX_WITH} processes at most")
    found = []
    for word in words:
        match = _WITH.fullmatch(word)
        if match is None:
            raise MalformedRequest("--with takes identities, each with its node: --with 3-4711-998877@3")
        identity, home, node = match.groups()
        nodes = dict.fromkeys((int(node or home), int(home)))
        found.append(PinnedProcess(f'"identity": "{identity}"'.encode(), tuple(nodes)))
    return tuple(found)


def first_rows(most: int, wanted: tuple[PinnedProcess, ...], request: Request) -> FirstRows:
    """
    Return what `--most` and `--with` choose of the rows of ``request``.

    :raises MalformedRequest: it is no `ps`, or its rows do not say what they are ordered by.
    """
    if request.verb != "ps":
        raise MalformedRequest("--most is for processes: watch --most N @all ps --sort KEY")
    selection = selecting.parse(request.arguments)
    if not selection.sort:
        raise MalformedRequest("--most needs an order: watch --most N @all ps --top N --sort KEY")
    fields = _FIELDS[selection.sort]
    needed = (*fields, "identity") if wanted else fields
    missing = [name for name in needed if selection.fields and name not in selection.fields]
    if missing:
        raise MalformedRequest(f"this selects by {missing[0]}: name it in --fields too")
    names = tuple(f'"{name}": '.encode() for name in fields)
    return FirstRows(most, names, 1.0 if selection.sort == "pid" else -1.0, wanted)
