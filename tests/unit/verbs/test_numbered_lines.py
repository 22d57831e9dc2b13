"""Rows of a round: every viewer gets the bytes as if each line were made for that viewer alone."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from gomd.verbs.numbered_lines import ByteLines, NumberedLines, SharedPiece
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


@given(st.lists(st.dictionaries(ANY, ANY, min_size=1), max_size=5), st.integers(1, 10**6))
def test_rows_that_are_bytes_are_as_if_they_were_text(rows: list[dict[str, str]], number: int) -> None:
    lines = [json.dumps(row) for row in rows]
    same = ByteLines([line[:-1].encode() for line in lines])
    assert list(same) == lines
    assert list(same[1:]) == lines[1:]
    end = f', "round": {number}, "rows": {len(rows)}}}'
    found = NumberedLines(SharedPiece(same), end)
    assert list(found) == found[:] == [line[:-1] + end for line in lines]
    assert found.encoded() == NumberedLines(SharedPiece(lines), end).encoded()
