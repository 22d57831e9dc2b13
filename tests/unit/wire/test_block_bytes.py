"""Blocks passed on as the bytes that came: nothing reaches the client that would not line by line."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from libgomd.errors import MalformedReply
from libgomd.wire.block_bytes import MAX_LINES, BlockBytes, pieces_of
from libgomd.wire.lines import (
    BLOCK,
    BLOCK_END,
    BlockEnd,
    BlockLine,
    BlockPiece,
    ReplyParser,
    StatusLine,
    encode_block,
    encode_status,
)

#: Bytes that a daemon, or one that lies, may send: line ends, dots, control characters, UTF-8 and none.
_CLAUSES = st.sampled_from(
    [b"\r\n", b"\n", b"\r", b".", b"..", b"a", b"row 1", b"\x1b[2J", b"\t", "é".encode(), b"\xff"]
)
_STREAMS = st.lists(_CLAUSES | st.sampled_from([b"201 x\r\n", b"200 y\r\n"]), max_size=30).map(b"".join)


def _events(data: bytes, cuts: Sequence[int], in_pieces: bool) -> tuple[list[object], bool]:
    """Return what a parser makes of ``data`` that comes cut at ``cuts``, and whether it was malformed."""
    parser, found = ReplyParser(), list[object]()
    ends = sorted({min(cut, len(data)) for cut in cuts} | {len(data)})
    start = 0
    try:
        for end in ends:
            for event in parser.feed(data[start:end]):
                if isinstance(event, StatusLine):
                    parser.in_pieces = in_pieces
                found.append(event)
            start = end
    except MalformedReply:
        return found, True
    return found, False


def _by_lines(events: list[object]) -> list[object]:
    """Return events with the pieces as lines."""
    lines = list[object]()
    for event in events:
        if isinstance(event, BlockPiece):
            for piece in pieces_of(event.data):
                lines += map(BlockLine, piece)
        else:
            lines.append(event)
    return lines


@given(_STREAMS, st.lists(st.integers(0, 100), max_size=5))
def test_pieces_are_the_same_lines(data: bytes, cuts: list[int]) -> None:
    """However the bytes are cut, and whatever they are; also what follows the block."""
    data = b"201 rows\r\n" + data
    by_lines, by_pieces = _events(data, cuts, False), _events(data, cuts, True)
    assert (_by_lines(by_pieces[0]), by_pieces[1]) == by_lines


@given(st.lists(_CLAUSES, max_size=20).map(lambda clauses: b"".join(clauses) + b"\n"))
def test_what_is_passed_on_is_what_the_lines_would_be_encoded_as(data: bytes) -> None:
    """Control characters and single dots of another node reach no terminal and end no block."""
    assert BlockBytes(data).encoded() == encode_block(list(BlockBytes(data)))


def test_what_needs_nothing_is_passed_on_as_it_is() -> None:
    """No line of it is taken apart."""
    data = b"PID USER\r\n  1 root\r\n\r\n"
    assert BlockBytes(data).encoded() is data
    assert list(BlockBytes(data)) == ["PID USER", "  1 root", ""]
    assert BlockBytes(data)[-2:] == ["  1 root", ""]


def test_a_piece_has_so_many_lines_at_most() -> None:
    """Short lines do not make a turn of the reactor long."""
    data = encode_block(map(str, range(3 * MAX_LINES + 1)))
    pieces = list(pieces_of(data))
    assert [len(piece) for piece in pieces] == [MAX_LINES] * 3 + [1]
    assert b"".join(piece.encoded() for piece in pieces) == data


@given(
    st.lists(st.lists(st.text(max_size=5), max_size=5), max_size=4), st.lists(st.integers(0, 200), max_size=5)
)
def test_blocks_that_follow_each_other(blocks: list[list[str]], cuts: list[int]) -> None:
    """Each ends where it ends."""
    sent = b"".join(encode_status(BLOCK, "b") + encode_block(block) + BLOCK_END for block in blocks)
    events, malformed = _events(sent, cuts, True)
    assert not malformed
    data = [event.data if isinstance(event, BlockPiece) else type(event) for event in events]
    joined = list[object]()
    for each in data:
        if isinstance(each, bytes) and joined and isinstance(joined[-1], bytes):
            joined[-1] += each
        else:
            joined.append(each)
    expected = list[object]()
    for block in blocks:
        expected += [StatusLine, *([encode_block(block)] if block else []), BlockEnd]
    assert joined == expected
