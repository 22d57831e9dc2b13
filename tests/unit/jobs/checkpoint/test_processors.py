"""Processors of a thread on nodes that have more, fewer or others."""

from __future__ import annotations

import pytest

from gomd.jobs.checkpoint.processors import bound, mapped


@pytest.mark.parametrize(("allowed", "here", "expected"), [
    ({0, 1, 2, 3}, {0, 1, 2, 3}, ()),  # all of them: not bound
    ({0, 1, 2, 3}, {0, 2}, ()),  # a container has fewer
    ({3, 1}, {0, 1, 2, 3}, (1, 3)),
    ({0}, {0}, ()),  # the only one there is
])  # fmt: skip
def test_bound(allowed: set[int], here: set[int], expected: tuple[int, ...]) -> None:
    """Who may use all that there are is bound to none."""
    assert bound(allowed, here) == expected


@pytest.mark.parametrize(("wanted", "here", "expected"), [
    ((), {0, 1}, {0, 1}),  # it may use all
    ((1,), {0, 1}, {1}),  # the same number
    ((1, 9), {0, 1}, {1}),  # as far as there are such
    ((8, 9), {0, 1, 2}, {2, 0}),  # others in turn
    ((5,), {4, 7}, {7}),  # numbers with gaps
    ((7,), {0}, {0}),
])  # fmt: skip
def test_mapped(wanted: tuple[int, ...], here: set[int], expected: set[int]) -> None:
    """A thread is never left without a processor."""
    assert mapped(wanted, here) == expected
