"""Through relays the answer is that of nodes asked directly, and each node asks few."""

from __future__ import annotations

from collections import Counter

import pytest

from libgomd.model import Caller, Role
from libgomd.wire.lines import Request
from tests.tree_cluster import TreeCluster, node_of
from tests.unit.protocols.talk import a_process
from tests.unit.verbs.branches.relays import LOADS, relays

ADA = Caller(Role.USER, "ada", 1000, "unix")


@pytest.mark.parametrize(
    "words",
    ["load", "load 3", "nodes", "ps", "ps 77", "get /proc/hpc/admin/stay", "get /proc/4711/stat",
     "ls /proc/hpc", "where 4711", "where 99", "events", "status", "ps --top 2 --sort cpu", "measures",
     "history 3 load"],
)  # fmt: skip
@pytest.mark.parametrize("as_json", [False, True])
def test_the_answer_is_that_of_nodes_asked_directly(words: str, as_json: bool) -> None:
    """Lines, errors and order; a node that is down is counted, one that is dead is named."""

    def answer(fan_out: int) -> tuple[int, str, list[str]]:
        cluster = TreeCluster(
            12, fan_out, lambda node: [a_process(4711, node=node, home=node), a_process(node, node=node)]
        )
        for daemon in cluster.daemons.values():
            daemon.members.known[13] = node_of(13, up=False)
        cluster.wires.dead = {5}
        code, text, lines, _seconds = cluster.answer(f"@all {words}", as_json)
        assert bool(relays(cluster)) is (fan_out == 3)
        return code, text, lines

    assert answer(3) == answer(100)


def test_few_nodes_are_asked_as_ever(ten: TreeCluster) -> None:
    """As many as `fan_out` beside this one: no relay is asked."""
    for daemon in ten.daemons.values():
        daemon.members.known = {each: daemon.members.known[each] for each in (1, 2, 3, 4)}
    assert ten.answer("@all load")[2] == LOADS[:4]
    assert [(to, request.verb) for _, to, request in ten.wires.asked] == [
        (2, "load"),
        (3, "load"),
        (4, "load"),
    ]


def test_each_daemon_asks_few_and_each_node_is_asked_once() -> None:
    """Also where a branch has to be divided again."""
    cluster = TreeCluster(100, fan_out=4)
    assert cluster.answer("@all load")[2] == [f"{number}: {number}" for number in range(1, 101)]
    asked = Counter(sender for sender, _, _ in cluster.wires.asked)
    assert max(asked.values()) <= 4, asked
    assert Counter(to for _, to, _ in cluster.wires.asked) == dict.fromkeys(range(2, 101), 1)


def test_each_end_decides_for_itself_what_the_caller_may() -> None:
    """A node that takes nothing from admins of others answers as ever, and may be a relay all the same."""
    processes = [a_process(5, uid=1000), a_process(6, uid=0, user="root")]
    cluster = TreeCluster(10, 3, lambda _node: processes)
    straight = TreeCluster(10, 30, lambda _node: processes)
    for each in (cluster, straight):
        for node in (3, 4):
            each.daemons[node].trust.admins = False
    for words in ("@all jobs", "@all ps", "@all get /proc/6/io"):
        for caller in (None, ADA):
            assert cluster.answer(words, caller=caller)[2] == straight.answer(words, caller=caller)[2], words
    assert 3 in relays(cluster)


def test_the_caller_travels_to_the_ends(ten: TreeCluster) -> None:
    """With role, uid and name; a reader is a reader everywhere."""
    seen: list[tuple[int, Caller]] = []
    for number, daemon in ten.daemons.items():
        whole = daemon.heard

        async def heard(
            sender: int, request: Request, caller: Caller, json: bool, at: int = number, whole: object = whole
        ) -> object:
            seen.append((at, caller))
            return await whole(sender, request, caller, json)  # type: ignore[operator]

        daemon.heard = heard  # type: ignore[method-assign,assignment]
    ten.answer("@all load", caller=ADA)
    assert {at for at, _ in seen} == set(range(2, 11))
    assert {(caller.role, caller.uid, caller.user) for _, caller in seen} == {(Role.USER, 1000, "ada")}
