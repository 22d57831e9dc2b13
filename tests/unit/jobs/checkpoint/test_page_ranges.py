"""Tables of pages: what is kept is found, and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gomd.jobs.checkpoint.page_ranges import Overlap, PageRange, PageRanges

PAGE = 4096
_PIECES = st.lists(st.tuples(st.integers(0, 60), st.integers(1, 9), st.integers(0, 2)), max_size=30)


@given(pieces=_PIECES, first=st.integers(0, 60), pages=st.integers(1, 30))
def test_each_page_is_where_it_was_put(pieces: list[tuple[int, int, int]], first: int, pages: int) -> None:
    """As a dictionary of single pages would have it; nothing is kept twice."""
    ranges, model, sizes = PageRanges(PAGE), {}, [0, 0, 0]
    for start, count, store in pieces:
        wanted = range(start, start + count)
        if any(page in model for page in wanted):
            with pytest.raises(Overlap):
                ranges.add(start * PAGE, count, store, sizes[store])
            continue
        ranges.add(start * PAGE, count, store, sizes[store])
        model.update({page: (store, sizes[store] + number * PAGE) for number, page in enumerate(wanted)})
        sizes[store] += count * PAGE
    found = {}
    for part in ranges.parts(first * PAGE, pages):
        for number in range(part.pages):
            place = (part.store, part.offset + number * PAGE) if part.store >= 0 else None
            found[part.address // PAGE + number] = place
    assert found == {page: model.get(page) for page in range(first, first + pages)}
    assert ranges.has(first * PAGE, pages) == all(page in model for page in found)
    assert [each.address for each in ranges] == sorted(each.address for each in ranges)


def test_what_follows_in_both_is_one_range() -> None:
    """So that a table is as long as the memory is scattered, and no longer."""
    ranges = PageRanges(PAGE)
    ranges.add(0, 2, 0, 0)
    ranges.add(2 * PAGE, 3, 0, 2 * PAGE)
    ranges.add(5 * PAGE, 1, 1, 5 * PAGE)
    assert list(ranges) == [PageRange(0, 5, 0, 0), PageRange(5 * PAGE, 1, 1, 5 * PAGE)]
    assert len(ranges) == 2
