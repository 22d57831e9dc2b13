"""Asks a daemon for all that `gom mon` shows, once. Standard library only."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from gom.monitor.mon_arrivals import Arrivals
from gom.monitor.mon_model import STANDARD_SPEED, ClusterView, presentable
from gom.monitor.mon_moves import moves_of, recent
from gom.monitor.rows import node_of, parse
from libgomd.errors import MalformedReply, NodeError, RequestError
from libgomd.linesocket import LineSocket
from libgomd.wallclock import Wall
from libgomd.wire.lines import OK, Request

#: Seconds to wait for each answer.
ANSWER_TIMEOUT: Final = 30.0
#: Behind ``watch``: the newest migrations that each node knows of: those of its own jobs and guests.
MIGRATIONS: Final = ("@all", "events", "--kind=migrated", "--newest=20")
NODES: Final = Request("nodes")
_OWN: Final = Request("node")
_YARDSTICK: Final = Request("get", ("/proc/hpc/admin/sspeed",))


def fetch(line: LineSocket, wall: Wall) -> ClusterView:
    """
    Return what the daemon knows of the cluster now. Blocks, two seconds for nodes that are silent.

    :param line: a connection in JSON.
    :raises RequestError: it refuses. :raises NodeError: it fails. :raises ConnectionLost: it went away.
    :raises MalformedReply: what it says is no answer.
    """
    nodes = presentable([node_of(row) for row in _rows(line, NODES)])
    asked, standard = place_of(line)
    told = _rows(line, Request("watch", ("-c", "1", *MIGRATIONS)))
    now = wall()
    events = Arrivals().stamped(told, now)
    return ClusterView(nodes, recent(moves_of(events, now), now), standard=standard, asked=asked)


def place_of(line: LineSocket) -> tuple[int, int]:
    """Return the id of the node that is asked, and the speed of a standard processor there. Blocks."""
    own = next((node_of(row).id for row in _rows(line, _OWN)), 0)
    try:
        status = line.ask(_YARDSTICK, ANSWER_TIMEOUT)
        text = parse(status.text)["text"] if status.code == OK else ""
        return own, int(text) or STANDARD_SPEED
    except (RequestError, NodeError, MalformedReply, KeyError, TypeError, ValueError):
        return own, STANDARD_SPEED


def _rows(line: LineSocket, request: Request) -> Iterator[dict[str, Any]]:
    line.ask(request, ANSWER_TIMEOUT)
    return (parse(text) for text in line.rows(ANSWER_TIMEOUT))
