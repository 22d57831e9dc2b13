"""Lists of nodes as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gomd.jobs.nodelist import MAX_TEXT, parse_node_list
from libgomd.errors import MalformedRequest


def test_numbers_and_ranges() -> None:
    """Both ends of a range belong to it; naming a node twice changes nothing."""
    assert parse_node_list("1-4,7") == {1, 2, 3, 4, 7}
    assert parse_node_list("2780") == {2780}
    assert parse_node_list("5-5,5,65535") == {5, 65535}


@pytest.mark.parametrize(
    "text",
    [
        "",
        ",",
        "1,",
        "0",
        "65536",
        "1-",
        "-3",
        "1-2-3",
        "a",
        "+1",
        "1 2",
        "٣",
        "4-1",
        "1" * 6,
        "1," * MAX_TEXT + "1",
    ],
)
def test_anything_else_is_said_to_be_wrong(text: str) -> None:
    """One sentence, and never a part of the list."""
    with pytest.raises(MalformedRequest):
        parse_node_list(text)


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="0123456789-, x", max_size=30) | st.text(max_size=10))
def test_any_text_gives_nodes_or_one_error(text: str) -> None:
    """Nothing else escapes, and what comes out are node ids."""
    try:
        found = parse_node_list(text)
    except MalformedRequest:
        return
    assert found
    assert all(1 <= number <= 65535 for number in found)
