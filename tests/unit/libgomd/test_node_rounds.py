"""Typed rounds of a watch of several nodes, and orders to processes by their identity."""

from __future__ import annotations

import json
from typing import Any

import pytest

from libgomd import calls
from libgomd.errors import MalformedReply, MalformedRequest, TimedOut
from libgomd.node_rounds import NodeAnswer, NodeRounds
from libgomd.replies import Call
from libgomd.wire.lines import encode_request


def lines(*rows: dict[str, Any]) -> list[str]:
    """Return the lines of one round."""
    return [json.dumps({**row, "round": 1, "rows": len(rows)}) for row in rows]


def test_what_is_sent() -> None:
    """All nodes unless one is named."""
    asked = calls.watch_nodes(calls.ps(top=5), seconds=1, rounds=2).request
    assert encode_request(asked) == b"watch -n 1 -c 2 @all ps --top=5\r\n"
    assert encode_request(calls.watch_nodes(calls.load(), nodes=3).request) == b"watch @3 load\r\n"
    assert encode_request(calls.signal("3-4711-98", "TERM").request) == b"signal 3-4711-98 TERM\r\n"
    wrongs: tuple[Call[Any], ...] = (calls.events(), calls.load(node=3))
    for wrong in wrongs:
        with pytest.raises(MalformedRequest):
            calls.watch_nodes(wrong)


def test_rows_errors_and_farewells() -> None:
    """One answer for each node, in the order of their ids."""
    rounds = NodeRounds(calls.load())
    found: list[Any] = []
    for line in lines(
        {"from": 2, "value": 7, "rows_age": 0}, {"from": 1, "value": 5, "rows_age": 12.5},
        {"from": 3, "code": 504, "error": "not yet"}, {"from": 4, "left": True},
    ):  # fmt: skip
        found += rounds.feed(line)
    [[first, second, third, fourth]] = found
    assert (first, second) == (NodeAnswer(1, 5, 12.5), NodeAnswer(2, 7))
    assert isinstance(third.error, TimedOut)
    assert (third.node, third.value) == (3, None)
    assert fourth == NodeAnswer(4, left=True)
    assert rounds.feed('{"round": 2, "rows": 0}') == ([],)


def test_blocks_have_the_rows_of_a_node_together() -> None:
    """As the call itself would have answered there."""
    rounds = NodeRounds(calls.ls("/proc"))
    [first, second, third] = lines(
        {"from": 1, "name": "a", "rows_age": 0}, {"from": 2, "name": "c", "rows_age": 0},
        {"from": 1, "name": "b", "rows_age": 0},
    )  # fmt: skip
    assert list(rounds.feed(first)) == list(rounds.feed(second)) == []
    assert rounds.feed(third) == ([NodeAnswer(1, ["a", "b"]), NodeAnswer(2, ["c"])],)


@pytest.mark.parametrize(
    "line",
    [
        "[]",
        "5",
        "{}",
        '{"rows": 1}',
        '{"rows": 1, "from": "x"}',
        '{"rows": 1, "from": 1}',
        "x",
        '{"rows": -1}',
    ],
)
def test_what_is_no_row(line: str) -> None:
    """Whatever else there is in it."""
    with pytest.raises(MalformedReply):
        NodeRounds(calls.load()).feed(line)
