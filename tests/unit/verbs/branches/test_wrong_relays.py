"""Relays that send something else than they should, know less, or are of an older version."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, Sequence

import pytest

from gomd.verbs.branch_rows import BranchReader
from libgomd.errors import MalformedReply
from libgomd.wire.lines import Request
from tests.tree_cluster import TreeCluster
from tests.unit.verbs.branches.relays import LOADS, relays, sending


@pytest.mark.parametrize(
    "rows",
    [["9:66"], ["2:2", "2:3"], ["2:2", "2!502 no"], ["1:0"], ["junk"], ["99999:5"], [""],
     ["2:2", "77.", "4:9"]],
)  # fmt: skip
def test_a_relay_that_lies(ten: TreeCluster, rows: list[str]) -> None:
    """Rows of nodes that it was not asked about, or a second one, are dropped, and it is believed no more."""
    ten.wires.lie[3] = sending(rows, ten, 0.01)
    _, _, lines, seconds = ten.answer("@all load")
    assert lines == LOADS
    assert seconds < 5.0


def test_the_lines_of_one_node_are_bounded() -> None:
    """Beyond the limit nothing more of the relay is used; what is not complete is counted."""
    reader = BranchReader(frozenset({2, 3}), most=3)
    assert list(reader.feed(["2=ab", "3.", "2=cd"])) == [(3, [], "")]
    assert reader.held == 4
    assert list(reader.feed(["2:e"])) == [(2, ["ab", "cd", "e"], "")]
    assert reader.held == 0
    with pytest.raises(MalformedReply, match="more than 3 lines of node 4"):
        list(BranchReader(frozenset({4}), most=3).feed(["4=x"] * 5))


def test_a_relay_that_leaves_nodes_out(ten: TreeCluster) -> None:
    """They are asked otherwise."""

    async def rows(_request: Request) -> AsyncGenerator[Sequence[str], None]:
        yield ["3:3"]

    ten.wires.lie[3] = rows
    assert ten.answer("@all load")[2] == LOADS


def test_older_versions_are_asked_directly(ten: TreeCluster) -> None:
    """A few or all of them: no answer is lost, and it is remembered who does not know the verb."""
    ten.wires.old = {3, 6}
    assert ten.answer("@all load")[2] == LOADS
    ten.wires.old = set(range(2, 11))
    assert ten.answer("@all load")[2] == LOADS
    ten.wires.asked.clear()
    assert ten.answer("@all load")[2] == LOADS
    assert Counter(to for _, to, _ in ten.wires.asked)[3] == 1
    assert 3 not in relays(ten)


def test_a_relay_that_knows_or_reaches_fewer_nodes(ten: TreeCluster) -> None:
    """What it does not know, or cannot reach, this node asks itself."""
    [relay, *_] = (ten.answer("@all load"), relays(ten))[1]
    assert relay == 3
    del ten.daemons[3].members.known[4]
    ten.wires.cut = {(3, 2)}
    ten.wires.asked.clear()
    assert ten.answer("@all load")[2] == LOADS
    assert {(1, 2), (1, 4)} <= {
        (sender, to) for sender, to, request in ten.wires.asked if request.verb == "load"
    }
