"""Rows of a round: every viewer gets the bytes as if each line were made for that viewer alone."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from gomd.verbs.node_feeds import _whole_round
from gomd.verbs.numbered_lines import NumberedLines, SharedPiece
from libgomd.wire.lines import EOL, encode_block
from libgomd.wire.text import printable

ANY = st.text(max_size=30)


def slowly(line: str) -> bytes:
    """Encode one line as the protocol says it: what is not printable escaped, a leading dot doubled."""
    line = printable(line)
    return (f".{line}" if line.startswith(".") else line).encode("utf-8", "backslashreplace") + EOL


@given(st.lists(ANY))
def test_a_block_is_its_lines_one_by_one(lines: list[str]) -> None:
    assert encode_block(lines) == b"".join(map(slowly, lines))


@given(st.lists(st.dictionaries(ANY, ANY, min_size=1), max_size=5), st.integers(1, 10**6))
def test_numbered_lines_are_the_lines_of_one_viewer(rows: list[dict[str, str]], number: int) -> None:
    shared = SharedPiece([json.dumps(row, ensure_ascii=False) for row in rows])
    end = f', "round": {number}, "rows": {len(rows)}}}'
    for _viewer in range(2):
        found = NumberedLines(shared, end)
        expected = [line[:-1] + end for line in shared.lines]
        assert list(found) == found[:] == [found[at] for at in range(len(found))] == expected
        assert found.encoded() == encode_block(expected)


@given(st.lists(st.dictionaries(ANY, ANY, min_size=1), min_size=1, max_size=5), st.integers(1, 10**6))
def test_a_round_that_came_whole_is_read_at_once(rows: list[dict[str, str]], number: int) -> None:
    lines = [json.dumps(row | {"round": number, "rows": len(rows)}) for row in rows]
    found = _whole_round(lines)
    assert found is not None
    assert [json.loads(f'{{{fields}"x": 0}}') for fields in found] == [row | {"x": 0} for row in rows]


def test_what_is_no_whole_round_is_read_line_by_line() -> None:
    row, last = '{"a": 1, "round": 3, "rows": 2}', '{"a": 1, "round": 4, "rows": 2}'
    for lines in (
        [],
        [row],
        [row, row, row],
        [last, row],
        ['{"round": 3, "rows": 0}'],
        ["x", row],
        ['{"code": 1}'],
    ):
        assert _whole_round(lines) is None
    assert _whole_round([row, row]) == ['"a": 1, ', '"a": 1, ']
