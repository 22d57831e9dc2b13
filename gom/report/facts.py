"""Asks a daemon for the facts of a report: values, events, processes at the moment of the highest load."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from libgomd.blocking import Client
from libgomd.errors import GomdError
from libgomd.model import Event, EventKind, HistoryRow, Node, Process

#: Rows of each value, nodes with charts of their own, and processes that are listed for each.
POINTS: Final = 240
MAX_NODES: Final = 200
TOP: Final = 10
#: The values that are drawn: of every node, and of those that answer themselves.
FIELDS: Final = ("load", "mem", "tmem")
MORE_FIELDS: Final = ("busy_percent", "processes")


@dataclass(frozen=True)
class NodeFacts:
    """
    One node.

    :ivar rows: its values by name, each in order of time. :ivar peak: when its load was highest; None when it
        is not known. :ivar busiest: its processes at that moment, as they are remembered.
    :ivar trouble: why something is missing; mostly empty.
    """

    node: Node
    rows: dict[str, Sequence[HistoryRow]]
    peak: float | None
    busiest: Sequence[Process]
    trouble: str


@dataclass(frozen=True)
class Facts:
    """The facts of a report. :ivar since: its beginning, seconds since the epoch; ``until``: its end."""

    since: float
    until: float
    nodes: Sequence[NodeFacts]
    events: Sequence[Event]


def collect(client: Client, since: float, until: float) -> Facts:
    """
    Ask for everything. Blocks, for about as many answers as three for each node.

    :raises GomdError: the daemon that is asked keeps no history, or does not answer.
    """
    events = client.events(since=since, until=until)
    nodes = {node.id: node for node in client.nodes(at=until)} | {node.id: node for node in client.nodes()}
    found = [_node(client, node, since, until) for _, node in sorted(nodes.items())[:MAX_NODES]]
    return Facts(since, until, found, events)


def _node(client: Client, node: Node, since: float, until: float) -> NodeFacts:
    rows: dict[str, Sequence[HistoryRow]] = {}
    trouble = ""
    for fields in (FIELDS, MORE_FIELDS):
        try:
            answer = client.history(node.id, *fields, since=since, until=until, points=POINTS)
        except GomdError as error:
            trouble = trouble or (str(error) if fields == FIELDS else "")
            continue
        for field in fields:
            rows[field] = [row for row in answer if row.field == field]
    loads = [row for row in rows.get("load", ()) if row.max is not None]
    peak = max(loads, key=lambda row: row.max or 0.0).time if loads else None
    busiest: Sequence[Process] = ()
    if peak is not None:
        try:
            busiest = client.ps(at=min(until, peak + (until - since) / POINTS), top=TOP, node=node.id)
        except GomdError as error:
            trouble = trouble or str(error)
    return NodeFacts(node, rows, peak, busiest, trouble)


def downtimes(facts: Facts, node: int) -> list[tuple[float, float | None]]:
    """Return from when to when a node was down, as the events tell; None for one that is down to the end."""
    found: list[tuple[float, float | None]] = []
    for event in facts.events:
        if event.node != node:
            continue
        if event.kind in (EventKind.DOWN, EventKind.LEAVE):
            if not found or found[-1][1] is not None:
                found.append((event.time, None))
        elif event.kind in (EventKind.UP, EventKind.JOIN) and found and found[-1][1] is None:
            found[-1] = (found[-1][0], event.time)
    return found
