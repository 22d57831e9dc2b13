"""`@all`: the answers of all nodes in one block, whatever one of them sends."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from gomd.verbs.fan_out import MAX_CHARACTERS_PER_NODE, ask_everywhere, collected
from gomd.verbs.replies import Relayed
from libgomd.model import Node, Status
from libgomd.wire.lines import BLOCK

NODES = [Node(number, f"n{number}", f"10.0.0.{number}", Status.UP) for number in (1, 2, 3)]


def answers(of_second: Sequence[str]) -> list[Any]:
    """Return the rows that a caller gets when the second of three nodes sends these lines."""

    async def lines(node: Node) -> AsyncGenerator[Sequence[str], None]:
        yield of_second if node.id == 2 else ['{"load": 7}']

    async def ask(node: Node) -> Relayed:
        return Relayed(BLOCK, "lines", lines(node))

    async def collect() -> list[Any]:
        relayed = ask_everywhere(NODES, ask, True, Clock())
        assert relayed.pieces is not None
        return [json.loads(line, parse_constant=float) async for some in relayed.pieces for line in some]

    found: list[Any] = []
    Deferred.fromCoroutine(collect()).addBoth(found.append)
    assert isinstance(found[0], list), found
    rows: list[Any] = found[0]
    assert (rows[0], rows[-1]) == ({"from": 1, "load": 7}, {"from": 3, "load": 7})
    return rows[1:-1]


def test_each_row_says_whose_it_is() -> None:
    """Also where the node says that it is another one."""
    assert answers(['{"load": 1}', "5"]) == [{"from": 2, "load": 1}, {"from": 2, "value": 5}]
    assert answers(['{"from": 1, "load": 9}']) == [{"from": 2, "load": 9}]


def test_a_node_that_sends_no_json() -> None:
    """It is listed with its error, and the others are answered. NaN is no JSON for other languages."""
    for wrong in ("nonsense", "[" * 100_000, '{"load": NaN}', '{"load": -Infinity}', ""):
        [row] = answers([wrong])
        assert (row["from"], row["code"]) == (2, 500), wrong


LONG = json.dumps({"x": "x" * (1 << 20)})


def test_an_answer_without_end() -> None:
    """Is cut off by its characters as well as by its lines, and says so; nothing is taken beyond that."""
    taken = 0

    async def lines() -> AsyncGenerator[Sequence[str], None]:
        nonlocal taken
        while True:
            taken += 4 * len(LONG)
            yield [LONG] * 4

    async def ask(_node: Node) -> Relayed:
        return Relayed(BLOCK, "lines", lines())

    for in_json in (True, False):
        taken = 0
        found: list[Any] = []
        Deferred.fromCoroutine(collected(NODES[0], ask, in_json)).addBoth(found.append)
        [*kept, last] = found[0]
        assert sum(map(len, kept)) <= MAX_CHARACTERS_PER_NODE < taken
        assert taken <= MAX_CHARACTERS_PER_NODE + 4 * len(LONG)
        assert "ask this node alone" in last
