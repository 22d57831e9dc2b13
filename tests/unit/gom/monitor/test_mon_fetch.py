"""What `gom mon --once` asks a daemon, and what it makes of the answers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from gom.monitor.mon_fetch import MIGRATIONS, events_in, fetch
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
    assert events_in([FAILED, {"kind": "up"}, {"kind": "migrated"}, {}, MOVED | {"node": "x"}]) == []
    assert len(events_in([MOVED])) == 1
