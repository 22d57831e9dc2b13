"""Of which nodes of a large cluster a node keeps the past."""

from __future__ import annotations

import pytest

from gomd.history.nearby import MAX_RECORDED, nearby
from libgomd.model import Node, Status

_UP = Status.CONFIGURED | Status.UP


def nodes(ids: range) -> list[Node]:
    """Return nodes with these ids."""
    return [Node(each, f"node{each}", "10.0.0.1", _UP) for each in ids]


def test_a_thousand_nodes_are_all_recorded() -> None:
    """By each of them."""
    all_of_them = nodes(range(1, MAX_RECORDED + 1))
    assert nearby(7, all_of_them) == all_of_them


@pytest.mark.parametrize(
    ("own", "expected"),
    [(50, [47, 48, 49, 50]), (4, [1, 2, 3, 4]), (2, [1, 2, 99, 100]), (100, [97, 98, 99, 100])],
)
def test_of_more_the_ones_before_it(own: int, expected: list[int]) -> None:
    """In the ring of ids, itself included, and in order."""
    assert [node.id for node in nearby(own, nodes(range(1, 101)), 4)] == expected


def test_every_node_is_recorded_as_often_as_any_other() -> None:
    """By as many nodes as each records."""
    everybody = nodes(range(5, 300, 3))
    found = [node.id for own in everybody for node in nearby(own.id, everybody, 10)]
    assert {found.count(node.id) for node in everybody} == {10}
