"""Asks a daemon for all that `gom mon` shows, once. Standard library only."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from gom.monitor.mon_model import STANDARD_SPEED, ClusterView, presentable
from gom.monitor.mon_moves import MIGRATED, moves_of
from gom.monitor.rows import Event, Node, event_of, node_of, parse
from libgomd.errors import MalformedReply, NodeError, RequestError
from libgomd.linesocket import LineSocket
from libgomd.wallclock import Wall
from libgomd.wire.lines import OK, Request

#: Seconds to wait for each answer.
ANSWER_TIMEOUT: Final = 30.0
#: Nodes up to which each is asked for its events; only those of the asked daemon are used beyond.
ASKED_NODES: Final = 64
NODES: Final = Request("nodes")
_OWN: Final = Request("node")
_YARDSTICK: Final = Request("get", ("/proc/hpc/admin/sspeed",))


def fetch(line: LineSocket, wall: Wall) -> ClusterView:
    """
    Return what the daemon knows of the cluster now. Blocks.

    :param line: a connection in JSON.
    :raises RequestError: it refuses. :raises NodeError: it fails. :raises ConnectionLost: it went away.
    :raises MalformedReply: what it says is no answer.
    """
    nodes = presentable([node_of(row) for row in _rows(line, NODES)])
    asked, standard = place_of(line)
    return ClusterView(nodes, moves_of(migrations(line, nodes), wall()), standard=standard, asked=asked)


def place_of(line: LineSocket) -> tuple[int, int]:
    """Return the id of the node that is asked, and the speed of a standard processor there. Blocks."""
    own = next((node_of(row).id for row in _rows(line, _OWN)), 0)
    try:
        status = line.ask(_YARDSTICK, ANSWER_TIMEOUT)
        text = parse(status.text)["text"] if status.code == OK else ""
        return own, int(text) or STANDARD_SPEED
    except (RequestError, NodeError, MalformedReply, KeyError, TypeError, ValueError):
        return own, STANDARD_SPEED


def migrations(line: LineSocket, nodes: Iterable[Node]) -> list[Event]:
    """Return the migrations that the nodes know of: each knows those of its own jobs and guests. Blocks."""
    up = sum(node.up for node in nodes)
    return events_in(_rows(line, Request("events", (), "all" if up <= ASKED_NODES else "")))


def events_in(rows: Iterable[Mapping[str, Any]]) -> list[Event]:
    """Return the migrations in rows of `events`; the rows of nodes that failed are left out."""
    found = []
    for row in rows:
        if row.get("kind") == MIGRATED:
            try:
                found.append(event_of(row))
            except MalformedReply:
                continue
    return found


def _rows(line: LineSocket, request: Request) -> Iterator[dict[str, Any]]:
    line.ask(request, ANSWER_TIMEOUT)
    return (parse(text) for text in line.rows(ANSWER_TIMEOUT))
