"""The bytes of columns and scans: what goes in comes out, and any other bytes are one error."""

from __future__ import annotations

import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gomd.history.sqlite.columns import decode_column, encode_column
from gomd.history.sqlite.scans import busiest, encode_scan, join_scans, last_before, plain, scans_in
from tests.unit.history.contract import process

_WHOLE = st.one_of(st.none(), st.integers(-(2**52), 2**52).map(float))
_CENTS = st.one_of(st.none(), st.integers(-(10**9), 10**9).map(lambda cents: cents / 100))


@given(st.one_of(st.lists(_WHOLE, max_size=50), st.lists(_CENTS, max_size=50)))
def test_a_column_comes_back(values: list[float | None]) -> None:
    """Whole numbers and cents are exact, and what is not known stays unknown."""
    assert decode_column(encode_column(values)) == values


def test_a_steady_column_is_small() -> None:
    """Ten minutes of a counter that grows evenly take a few dozen bytes."""
    assert len(encode_column([1e12 + 4096 * at for at in range(600)])) < 60


def test_a_number_that_does_not_fit_is_unknown() -> None:
    """It costs itself only."""
    assert decode_column(encode_column([1.0, 1e30, 3.0])) == [1.0, None, 3.0]


@given(st.binary(max_size=200), st.booleans())
def test_other_bytes_are_one_error(data: bytes, compressed: bool) -> None:
    """Whatever is in a damaged file, the reader gets ValueError."""
    data = zlib.compress(data) if compressed else data
    for decode in (decode_column, lambda each: list(scans_in(each)), lambda each: last_before(each, 1.0)):
        try:
            decode(data)
        except ValueError:
            pass


def test_a_cut_column_is_damaged() -> None:
    """Half a block is no block."""
    whole = zlib.decompress(encode_column([1.0, 300.0, 5.0]))
    with pytest.raises(ValueError, match="damaged"):
        decode_column(zlib.compress(whole[:-1]))


def test_scans_come_back() -> None:
    """Every value of a process, unknown ones too, and the moment and who was hidden."""
    full = process(10, 12.34, threads=7, nice=-20, rss=1 << 40, read_rate=5.0, write_rate=6.0, lock=True)
    unknown = ("cpu_seconds", "rss", "vsize", "threads", "nice")
    nothing: dict[str, Any] = dict.fromkeys(unknown)
    bare = process(11, None, stuck=True, **nothing)
    block = join_scans([encode_scan(1.5, False, [(1, full)]), encode_scan(6.5, True, [(1, full), (2, bare)])])
    first, second = scans_in(block)
    assert (first.time, first.hidden, len(first.rows)) == (1.5, False, 1)
    assert second.hidden
    row = second.rows[0]
    assert (row.number, row.cpu_percent, row.rss, row.nice, row.lock, row.stuck) == (
        1, 12.34, 1 << 40, -20, True, False
    )  # fmt: skip
    assert (row.read_rate, row.write_rate, row.threads, row.state) == (5.0, 6.0, 7, "S")
    row = second.rows[1]
    assert [getattr(row, name) for name in (*unknown, "cpu_percent", "read_rate")] == [None] * 7
    assert row.stuck
    found = last_before(plain(block), 6.0)
    assert found is not None
    assert found.time == 1.5
    assert last_before(plain(block), 1.0) is None


def test_the_busiest_and_the_largest() -> None:
    """Each has its places, and no process takes two."""
    table = [process(each, float(each), rss=each) for each in range(100)]
    large = [process(200 + each, 0.0, rss=1000 + each) for each in range(3)]
    kept = {each.pid for each in busiest([*table, *large], 10, 3)}
    assert kept == {*range(93, 100), 200, 201, 202}
    assert busiest(table[:5], 10, 3) == table[:5]
