"""What `gom mon --once` asks a daemon, and what it makes of the answers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from gom.monitor.mon_arrivals import Arrivals
from gom.monitor.mon_fetch import MIGRATIONS, fetch
from gom.monitor.mon_model import STANDARD_SPEED
from libgomd.errors import NotAllowed, PeerUnreachable
from libgomd.linesocket import LineSocket
from libgomd.wire.lines import Request, StatusLine

NOW = 1_000_000.0
NODES = [
    {"id": 2, "name": "be\x1bta", "address": "10.0.0.2", "status": 1, "up": False, "load": None},
    {"id": 1, "name": "alpha", "address": "10.0.0.1", "status": 3, "up": True, "load": 50, "age": 0.5},
]
MOVED = {
    "from": 1, "time": NOW - 5, "kind": "migrated", "node": 2, "name": "beta",
    "reason": "job 3 of ada moved to node 2: ./simulate", "by": 1, "seconds": 1.0, "stopped_seconds": 0.1,
    "bytes": 100, "rows_age": 0, "round": 1, "rows": 2,
}  # fmt: skip
FAILED = {"from": 2, "code": 502, "error": "node 2 is down", "round": 1, "rows": 2}


class ScriptedLine(LineSocket):
    """A connection that gives what a test says for each request."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers
        self.asked: list[Request] = []
        self._block: list[Any] = []

    def ask(self, request: Request, timeout: float | None) -> StatusLine:
        self.asked.append(request)
        answer = self.answers[request.verb]
        if isinstance(answer, Exception):
            raise answer
        self._block = answer if isinstance(answer, list) else []
        return StatusLine(201, "") if isinstance(answer, list) else StatusLine(200, json.dumps(answer))

    def rows(self, timeout: float | None) -> Iterator[str]:
        return iter([json.dumps(row) for row in self._block])


def a_line(**other: Any) -> ScriptedLine:
    return ScriptedLine(
        **{"nodes": NODES, "node": NODES[1:], "get": {"text": "20000\n"}, "watch": [MOVED, FAILED], **other}
    )


def test_all_of_the_picture_is_asked_for_on_one_connection() -> None:
    line = a_line()
    found = fetch(line, lambda: NOW)
    assert [(node.id, node.name, node.up) for node in found.nodes] == [
        (1, "alpha", True), (2, r"be\x1bta", False),
    ]  # fmt: skip
    assert (found.asked, found.standard, found.trouble) == (1, 20000, "")
    assert [(move.source, move.target) for move in found.moves] == [(1, 2)]
    assert line.asked[-1] == Request("watch", ("-c", "1", *MIGRATIONS))


@pytest.mark.parametrize(
    "answer", [NotAllowed("no"), PeerUnreachable("away"), {"text": "x"}, {}, {"text": "0"}]
)
def test_without_a_yardstick_the_usual_one_is_taken(answer: Any) -> None:
    assert fetch(a_line(get=answer), lambda: NOW).standard == STANDARD_SPEED


def test_old_moves_are_not_shown() -> None:
    assert fetch(a_line(), lambda: NOW + 120).moves == ()


def test_a_refusal_is_the_callers() -> None:
    with pytest.raises(NotAllowed):
        fetch(a_line(nodes=NotAllowed("say auth first")), lambda: NOW)


def test_rows_that_are_no_migrations_are_left_out() -> None:
    rows: list[Any] = [FAILED, {"kind": "up"}, {"kind": "migrated"}, {}, MOVED | {"node": "x"}]
    assert Arrivals().stamped(rows, NOW) == []
    assert len(Arrivals().stamped([MOVED], NOW)) == 1


def times(arrivals: Arrivals, now: float, *rows: dict[str, Any]) -> list[float]:
    """Return when the migrations in a round happened."""
    return [event.time for event in arrivals.stamped(rows, now)]


@pytest.mark.parametrize("skew", [-100_000.0, -600.0, 0.0, 600.0, 100_000.0])
def test_a_wrong_clock_hides_no_migration(skew: float) -> None:
    """What a node tells for the first time while it is watched has just happened, whatever its clock says."""
    later = MOVED | {"time": NOW + 30 + skew, "reason": "job 4 of ada moved to node 2: ./simulate"}
    arrivals = Arrivals()
    times(arrivals, NOW, MOVED | {"time": NOW - 5 + skew})
    told = times(arrivals, NOW + 31, MOVED | {"time": NOW - 5 + skew}, later)
    assert told[1] == NOW + 31
    assert times(arrivals, NOW + 40, later) == [NOW + 31]


def test_what_was_told_from_the_beginning_is_as_old_as_its_stamp() -> None:
    """Not so one from the future: nobody knows how old it is, and it would be new for ever."""
    assert times(Arrivals(), NOW, MOVED) == [NOW - 5]
    assert times(Arrivals(), NOW, MOVED | {"time": NOW + 600}) == [0.0]
    assert fetch(a_line(watch=[MOVED | {"time": NOW + 600}]), lambda: NOW).moves == ()


def test_the_past_of_a_node_that_answers_late_is_no_news() -> None:
    """Nor is what happened while the viewer was away."""
    arrivals = Arrivals()
    old = MOVED | {"from": 2, "time": NOW - 900}
    times(arrivals, NOW, FAILED)
    assert times(arrivals, NOW + 2, old) == [NOW - 900]
    newer = MOVED | {"from": 2, "time": NOW - 800, "reason": "job 5 of ada moved to node 2: ./simulate"}
    arrivals.begin()
    assert times(arrivals, NOW + 4, old, newer) == [NOW - 900, NOW - 800]


def test_a_node_without_migrations_tells_of_its_first_one() -> None:
    """It has no row before."""
    arrivals = Arrivals()
    times(arrivals, NOW)
    assert times(arrivals, NOW + 2, MOVED | {"time": NOW - 900}) == [NOW + 2]
