"""`@NODES do NAME`: a command on many nodes, once on each, whatever becomes of those in between."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from gomd.verbs.branches import RELAY
from libgomd.model import Output
from libgomd.wire.lines import Request
from tests.tree_cluster import TreeCluster


def commands(node: int) -> dict[str, Sequence[Output]]:
    """Node 6 has no `hello`."""
    hello = [Output(f"hello from {node}"), Output("again"), Output(None, node % 3)]
    return {"other": [Output(None, 0)]} if node == 6 else {"hello": hello}


@pytest.fixture
def ten() -> TreeCluster:
    """Ten nodes, of which each asks three."""
    return TreeCluster(10, 3, commands=commands)


def printed(lines: Sequence[str]) -> dict[int, list[Any]]:
    """Return by node what it printed, its exit status or its error."""
    found: dict[int, list[Any]] = {}
    for row in map(json.loads, lines):
        shown = row["error"] if "error" in row else row["line"] if row["line"] is not None else row["exit"]
        found.setdefault(row["from"], []).append(shown)
    return found


def ran(cluster: TreeCluster) -> Counter[int]:
    """How often each node was asked to run it, itself or with others."""
    return Counter(
        to for _, to, request in cluster.wires.asked if "do" in (request.verb, *request.arguments[3:4])
    )


EXPECTED = {node: [f"hello from {node}", "again", node % 3] for node in range(1, 11) if node != 6}


def check(lines: Sequence[str], *without: int) -> dict[int, list[Any]]:
    """Check what all but some nodes printed; return what these did."""
    found = printed(lines)
    rest = {node: found.pop(node) for node in (6, *without)}
    assert found == {node: EXPECTED[node] for node in EXPECTED if node not in without}
    assert "no command hello" in rest.pop(6)[0]
    return rest


def test_every_node_runs_it_once(ten: TreeCluster) -> None:
    """Through three of them, and the answer is that of nodes asked directly."""
    code, text, lines, _ = ten.answer("@1-10 do hello", json=True)
    assert (code, text) == (201, "hello runs on 10 nodes")
    check(lines)
    assert ran(ten) == dict.fromkeys(range(2, 11), 1)
    assert len({to for sender, to, _ in ten.wires.asked if sender == 1}) == 3
    straight = TreeCluster(10, 30, commands=commands)
    assert printed(straight.answer("@1-10 do hello", json=True)[2]) == printed(lines)
    text_lines = ten.answer("@2,4-5 do hello")[2]
    assert sorted(line for line in text_lines if line[0] == "4") == [
        "4: again",
        "4: exit 1",
        "4: hello from 4",
    ]


def test_dead_and_older_relays_are_replaced_before_anything_has_begun(ten: TreeCluster) -> None:
    """Each live node runs it once; the dead one is named."""
    ten.answer("@1-10 do hello", json=True)
    relays = [to for sender, to, request in ten.wires.asked if sender == 1 and request.verb == RELAY]
    ten.wires.asked.clear()
    ten.wires.dead, ten.wires.old = {relays[0]}, {relays[1]}
    lines = ten.answer("@1-10 do hello", json=True)[2]
    dead = check(lines, relays[0])
    assert "cannot be reached" in dead[relays[0]][0]
    counts = ran(ten)
    counts.pop(relays[0], None)
    assert set(counts.values()) == {1}


def test_nobody_runs_it_twice_when_a_relay_is_lost(ten: TreeCluster) -> None:
    """What has come is kept; the others of its branch are named, and not asked again."""

    async def rows(_request: Request) -> AsyncGenerator[Sequence[str], None]:
        yield ['2={"line": "hello from 2", "exit": null}', '3={"line": "half", "exit": null}']
        await Deferred()

    ten.wires.lie[3] = rows
    answer = ten.ask("@1-10 do hello", json=True)
    ten.clock.advance(1.0)
    ten.wires.kill(3)
    ten.clock.advance(1.0)
    found = printed(answer.result[2])  # type: ignore[index]
    assert found[2][0] == "hello from 2"
    for node in (2, 3, 4):
        assert "by way of node 3" in found[node][-1]
        assert "not known" in found[node][-1]
    assert found[5] == EXPECTED[5]
    assert ran(ten) == {**dict.fromkeys(range(5, 11), 1), 3: 1}


@pytest.mark.parametrize("row", ["9=x", "4:{}", "junk"])
def test_a_relay_that_lies(ten: TreeCluster, row: str) -> None:
    """Rows of nodes that it was not asked about are dropped, and it is believed no more."""

    async def rows(_request: Request) -> AsyncGenerator[Sequence[str], None]:
        yield ['4:{"line": null, "exit": 0}']
        await deferLater(ten.clock, 0.1)
        yield [row]

    ten.wires.lie[3] = rows
    found = printed(ten.answer("@1-10 do hello", json=True)[2])
    assert found[4] == [0]
    assert found[9] == EXPECTED[9]
    assert "was lost" in found[2][0]


def test_a_caller_who_leaves_ends_the_commands(ten: TreeCluster) -> None:
    """On the relays and behind them."""
    ten.wires.hung = {2}
    answer = ten.ask("@1-10 do hello", json=True)
    answer.addErrback(lambda _: None)
    ten.clock.advance(2.0)
    assert not answer.called
    assert any(ten.wires.open.values())
    answer.cancel()
    ten.clock.advance(0.1)
    assert not any(ten.wires.open.values())


@pytest.mark.parametrize(
    ("words", "hint"),
    [("@1-77 do hello", "no node 11"), ("@3-1 do hello", "NODES"), ("@2,2 do hello", "twice"),
     ("@1-2 load", "no node 1-2"), ("@1-70000 do hello", "NODES")],
)  # fmt: skip
def test_what_is_no_set_of_nodes(ten: TreeCluster, words: str, hint: str) -> None:
    """One sentence, and nobody is asked."""
    found: list[Any] = []
    ten.ask(words).addErrback(lambda failure: found.append(str(failure.value)))
    assert hint in found[0]
    assert not ten.wires.asked
