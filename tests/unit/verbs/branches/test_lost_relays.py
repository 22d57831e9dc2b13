"""Relays that die, hang or are slow: their nodes are asked otherwise, and no row comes twice."""

from __future__ import annotations

import json

import pytest
from twisted.internet.defer import Deferred

from gomd.verbs.branches import RELAY, ids_in
from gomd.verbs.fan_out import NODE_TIMEOUT
from tests.tree_cluster import TreeCluster
from tests.unit.verbs.branches.relays import LOADS, asked_by_first, relays, sending


def test_two_hundred_nodes_with_ten_dead_relays() -> None:
    """Every live node's answer comes once, the dead ones are named, and nobody waits for a timeout."""
    cluster = TreeCluster(200, fan_out=32)
    cluster.answer("@all load")
    dead = set(relays(cluster)[:10])
    cluster.wires.dead = dead
    cluster.wires.asked.clear()
    code, text, lines, seconds = cluster.answer("@all load", json=True)
    assert (code, text) == (201, "200 nodes asked")
    found = [json.loads(line) for line in lines]
    assert [row["from"] for row in found] == list(range(1, 201))
    for row in found:
        if row["from"] in dead:
            assert row["code"] == 502
            assert f"node {row['from']} n{row['from']}" in row["error"]
        else:
            assert row["value"] == row["from"]
    assert len(dead) == 10
    assert seconds < 1.0
    assert len(asked_by_first(cluster)) <= 32 + 10


def test_a_relay_that_hangs_is_replaced(ten: TreeCluster) -> None:
    """After five seconds of silence, for all of its branch, and it is not asked again for a while."""
    ten.wires.hung = {3}
    began = ten.clock.seconds()
    answer = ten.ask("@all load")
    ten.clock.advance(4.0)
    assert relays(ten)[0] == 3
    assert not answer.called
    ten.clock.advance(40.0)
    assert ten.clock.seconds() > began
    lines = ten_lines(answer)
    assert [line for line in lines if not line.startswith("3: ")] == [
        line for line in LOADS if line[0] != "3"
    ]
    assert lines[2].startswith("3: 504 node 3 n3 did not answer")
    ten.wires.hung = set()
    ten.wires.asked.clear()
    _, _, again, seconds = ten.answer("@all load")
    assert (again, 3 in relays(ten)) == (LOADS, False)
    assert seconds < 1.0


def ten_lines(answer: Deferred[tuple[int, str, list[str]]]) -> list[str]:
    return list(answer.result[2])  # type: ignore[index]


def test_a_relay_that_dies_halfway(ten: TreeCluster) -> None:
    """What it has answered is kept, the rest is asked otherwise, and no row comes twice."""
    ten.wires.lie[3] = sending(["2:2", "3=half of"], ten, 0.5)
    answer = ten.ask("@all load")
    ten.clock.advance(1.2)
    ten.wires.kill(3)
    ten.clock.advance(1.0)
    lines = ten_lines(answer)
    assert [line for line in lines if line[0] != "3"] == [line for line in LOADS if line[0] != "3"]
    assert lines[2].startswith("3: 502 node 3 n3 cannot be reached")
    assert [request.verb for request in ten.to_node(2)] == []
    assert [request.verb for request in ten.to_node(4)] == ["load"]


def test_a_relay_that_is_slow_for_ever(ten: TreeCluster) -> None:
    """It says that it is there, and nothing else: its branch is asked otherwise after its time."""
    ten.wires.lie[3] = sending(["+"] * 1000, ten, 0.9)
    _, _, lines, seconds = ten.answer("@all load")
    assert lines == LOADS
    assert 20.0 < seconds < 25.0


@pytest.mark.parametrize(("size", "fan_out"), [(10, 3), (100, 4)])
@pytest.mark.parametrize("trouble", ["", "dead", "hung", "slow for ever"])
def test_a_node_that_hangs_behind_a_relay(size: int, fan_out: int, trouble: str) -> None:
    """It is reported after as long as one that is asked directly, also when its relay is no good either."""
    cluster = TreeCluster(size, fan_out=fan_out)
    cluster.answer("@all load")
    branches = {to: request for _, to, request in cluster.wires.asked if request.verb == RELAY}
    # The last one that was asked is as deep in the tree as any.
    relay, request = list(branches.items())[-1]
    end = next(each for each in ids_in(request.arguments[2], relay) if each not in branches)
    cluster.wires.hung = {end} | ({relay} if trouble == "hung" else set())
    cluster.wires.dead = {relay} if trouble == "dead" else set()
    if trouble == "slow for ever":
        cluster.wires.lie[relay] = sending(["+"] * 1000, cluster, 0.9)
    _, _, lines, seconds = cluster.answer("@all load")
    assert NODE_TIMEOUT - 0.1 <= seconds <= NODE_TIMEOUT + 0.5
    late = "504 node {0} n{0} did not answer within 30 s"
    wanted = {each: str(each) for each in range(1, size + 1)} | {end: late.format(end)}
    if trouble == "hung":
        wanted[relay] = late.format(relay)
    elif trouble == "dead":
        wanted[relay] = f"502 node {relay} n{relay} cannot be reached: no route"
    assert lines == [f"{each}: {said}" for each, said in wanted.items()]


def test_a_caller_who_leaves_ends_everything(ten: TreeCluster) -> None:
    """The relays are asked no more, and they ask no more."""
    ten.wires.hung = {2, 4}
    answer = ten.ask("@all load")
    answer.addErrback(lambda _: None)
    ten.clock.advance(0.5)
    assert any(ten.wires.open.values())
    answer.cancel()
    ten.clock.advance(0.1)
    assert not any(ten.wires.open.values())
