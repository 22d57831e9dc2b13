"""Sets of nodes as clush has them: what they stand for, and the shortest text for many names."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libgomd.errors import MalformedRequest
from libgomd.node_sets import expand, fold


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("alpha", "alpha"),
        ("alpha,beta", "alpha beta"),
        ("node[1-3,12]", "node1 node2 node3 node12"),
        ("node[08-10]", "node08 node09 node10"),
        ("node[1-9/4]", "node1 node5 node9"),
        ("r[1-2]n[1-2]", "r1n1 r1n2 r2n1 r2n2"),
        ("rack[1,2]-b", "rack1-b rack2-b"),
        ("1-3,7", "1 2 3 7"),
        ("@all", "alpha beta gamma"),
        ("@all!beta", "alpha gamma"),
        ("@all&[1-2],gamma", "gamma"),
        ("a,b,a", "a b"),
        ("a,b,c&b,c", "b c"),
        (" alpha , beta ", "alpha beta"),
    ],
)
def test_a_set_stands_for_names(text: str, names: str) -> None:
    """Operators are read from left to right; a name stands once, where it was first."""
    assert expand(text, lambda: ("alpha", "beta", "gamma")) == names.split()


@pytest.mark.parametrize(
    "text",
    ["", ",", "a,", ",a", "a!", "a&&b", "node[1-", "node1-3]", "node[]", "node[a]", "node[3-1]",
     "node[1-5/0]", "node[1,,2]", "node[[1]]", "a b", "node[1-99999999]", "node[1-9999999]",
     "r[1-999]n[1-999]", "[1--2]"],
)  # fmt: skip
def test_what_is_no_set_is_refused_in_a_sentence(text: str) -> None:
    """Nothing is guessed, and no expression makes millions of names."""
    with pytest.raises(MalformedRequest) as refused:
        expand(text)
    assert str(refused.value)


@pytest.mark.parametrize(
    ("names", "text"),
    [
        ("alpha", "alpha"),
        ("beta alpha", "alpha,beta"),
        ("node2 node1 node3 node12", "node[1-3,12]"),
        ("node7", "node7"),
        ("node01 node02", "node[01-02]"),
        ("a1 b1", "a1,b1"),
        ("n1-x n2-x", "n[1-2]-x"),
        ("3 1 2", "1-3"),
    ],
)
def test_names_are_folded(names: str, text: str) -> None:
    """As `nodeset -f` folds them."""
    assert fold(names.split()) == text


_NAMES = st.lists(st.from_regex(r"[a-z]{0,2}[0-9]{0,3}(-[a-z])?", fullmatch=True).filter(bool), max_size=30)


@given(_NAMES)
def test_what_is_folded_stands_for_the_same_names(names: list[str]) -> None:
    """Folding loses no name and makes none up."""
    assert not names or sorted(expand(fold(names))) == sorted(set(names))


@given(st.text(alphabet="an1209[],-/!&@ ", max_size=20))
def test_any_text_is_a_set_or_refused(text: str) -> None:
    """Nothing else than MalformedRequest comes of any text."""
    try:
        assert all(name and "," not in name for name in expand(text))
    except MalformedRequest:
        pass
