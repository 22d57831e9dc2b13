"""What may be relayed, for whom, and how long the request is."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred

from gomd.verbs.branches import MAX_BRANCH, BranchRequest, divide, parse_branch
from libgomd.model import Caller, Role
from libgomd.wire.lines import MAX_LINE, Request, encode_request
from tests.tree_cluster import TreeCluster, node_of
from tests.unit.verbs.branches.relays import asked_by_first, relays


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        ("relay 2 20 1-3 load", "names node 2"), ("relay 2 20 5,5 load", "node 5 twice"),
        ("relay 2 20 5-7,6 load", "node 6 twice"), ("relay 4 20 5 load", "DEPTH"),
        ("relay 2 0 5 load", "SECONDS"), ("relay 2 20 0 load", "NODES"), ("relay 2 20 70000 load", "NODES"),
        ("relay 2 20 9-3 load", "NODES"), ("relay 2 20 1000-9000 load", "more than 400"),
        ("relay 2 20 5 moved 1-2 3 4", "not passed on"), ("relay 2 20 5 relay 1 2 6 load", "not passed on"),
        ("relay 2 20 5 shutdown", "not passed on"), ("relay 2 20 5", "usage: relay"),
        ("relay 2 20 5 @all", "not passed on"), ("relay 2 20 5 migration", "not passed on"),
    ],
)  # fmt: skip
def test_what_is_not_relayed(ten: TreeCluster, words: str, hint: str) -> None:
    """One sentence, and nobody is asked."""
    verb, *arguments = words.split()
    peers = ten.first.peers
    found: list[Any] = []
    Deferred.fromCoroutine(
        peers.ask(node_of(2), Request(verb, tuple(arguments)), Caller(Role.ADMIN, "root", 0, "unix"), False)
    ).addBoth(found.append)
    ten.clock.advance(1.0)
    code, text, rows = found[0]
    assert (code, rows) == (400, None)
    assert hint in text, text
    assert len(ten.wires.asked) == 1


def test_only_daemons_ask_for_a_relay(ten: TreeCluster) -> None:
    """Everybody else is refused, and it is not sent to another node either."""
    found: list[Any] = []
    for words in ("relay 2 20 2-3 load", "@3 relay 2 20 2 load", "@all relay 2 20 2 load"):
        ten.ask(words).addBoth(found.append)
    ten.clock.advance(0.1)
    assert [failure.value.code for failure in found] == [403, 405, 405]
    assert not ten.wires.asked


def test_verbs_that_change_something_are_asked_directly(ten: TreeCluster) -> None:
    """A node must not do them twice because a relay was lost."""
    ten.answer("@all block")
    assert not relays(ten)
    assert asked_by_first(ten) == set(range(2, 11))


def test_the_list_of_a_branch_is_short() -> None:
    """It fits into a request line, however many nodes there are and whatever their ids are."""
    nodes = tuple(range(1, 65536, 2))
    parts = divide(nodes, 32)
    assert sum(map(len, parts)) == len(nodes)
    assert max(map(len, parts)) <= MAX_BRANCH
    longest = BranchRequest(2, 20.0, tuple(parts[-1]), Request("load"))
    line = encode_request(longest.as_request())
    assert len(line) < MAX_LINE - 1000
    assert parse_branch(longest.as_request().arguments, 2) == longest
