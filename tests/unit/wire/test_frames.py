"""Frames: every value whole, byte by byte, and any other bytes."""

from __future__ import annotations

import itertools
import json
import tracemalloc
from collections.abc import Iterable

import hypothesis.strategies as st
import pytest
from hypothesis import given

from libgomd.wire import frames
from libgomd.wire.frames import Frame, FrameParser, MalformedFrame, Piece

kinds = st.sampled_from(sorted(frames.KINDS))
some_frames = st.lists(st.tuples(kinds, st.binary(max_size=40)), max_size=8)


@given(some_frames)
def test_frames_come_out_as_they_went_in(made: list[tuple[int, bytes]]) -> None:
    """Whole, and byte by byte."""
    data = b"".join(frames.encode(kind, payload) for kind, payload in made)
    expected = [Frame(kind, payload) for kind, payload in made]
    assert list(FrameParser().feed(data)) == expected
    parser = FrameParser()
    assert [frame for at in range(len(data)) for frame in parser.feed(data[at : at + 1])] == expected
    assert not parser.inside


def joined(found: Iterable[Frame | Piece]) -> list[tuple[int, bytes]]:
    """Return frames, with the output of each kind that came in a row as one."""
    rows: list[tuple[int, bytes]] = []
    for kind, payload in found:
        data = bytes(payload)
        if kind in frames.OUTPUT_KINDS and rows and rows[-1][0] == kind:
            rows[-1] = (kind, rows[-1][1] + data)
        elif data or kind not in frames.OUTPUT_KINDS:
            rows.append((kind, data))
    return rows


@given(some_frames, st.lists(st.tuples(st.integers(1, 30), st.booleans()), min_size=1))
def test_output_comes_in_pieces_and_all_else_whole(
    made: list[tuple[int, bytes]], reads: list[tuple[int, bool]]
) -> None:
    """However the bytes come, and whether pieces are asked for at each read or only at some."""
    data = b"".join(frames.encode(kind, payload) for kind, payload in made)
    parser, found, at = FrameParser(), [], 0
    for size, pieces in itertools.cycle(reads):
        if at >= len(data):
            break
        feed = parser.feed_pieces if pieces else parser.feed
        found += list(feed(data[at : at + size]))
        at += size
    assert joined(found) == joined(Frame(*each) for each in made)
    assert not parser.inside


def test_a_piece_comes_before_its_frame_is_whole() -> None:
    """Whoever passes output on does not wait for the rest of a frame, and copies nothing."""
    parser, data = FrameParser(), frames.encode(frames.STDOUT, b"first and rest")
    [piece] = parser.feed_pieces(data[:10])
    assert piece == (frames.STDOUT, b"first")
    assert parser.inside
    assert list(parser.feed_pieces(data[10:])) == [(frames.STDOUT, b" and rest")]
    assert not parser.inside


def test_a_frame_that_comes_byte_by_byte_takes_no_more_memory_than_it_has() -> None:
    """A caller could otherwise make a daemon keep fifty times what it sent."""
    parser, data = FrameParser(), frames.encode(frames.STDIN, bytes(200_000))
    tracemalloc.start()
    try:
        for at in range(len(data) - 1):
            assert not list(parser.feed(data[at : at + 1]))
        used, _peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert used < 500_000
    assert list(parser.feed(data[-1:])) == [Frame(frames.STDIN, bytes(200_000))]


@given(st.binary(max_size=200))
def test_any_bytes_are_pieces_or_one_error(data: bytes) -> None:
    """As with whole frames."""
    try:
        found = list(FrameParser().feed_pieces(data))
    except MalformedFrame:
        return
    assert sum(len(payload) for _kind, payload in found) <= len(data)


@given(st.binary(max_size=200))
def test_any_bytes_are_frames_or_one_error(data: bytes) -> None:
    """Nothing else is raised, and no more is kept than came."""
    parser = FrameParser()
    try:
        found = list(parser.feed(data))
    except MalformedFrame:
        return
    assert sum(5 + len(frame.payload) for frame in found) <= len(data)


def test_a_length_that_is_too_much_is_refused_at_once() -> None:
    """Nobody can make the other end wait for a gigabyte."""
    with pytest.raises(MalformedFrame):
        list(FrameParser().feed(bytes((frames.STDOUT,)) + (frames.MAX_PAYLOAD + 1).to_bytes(4, "big")))
    with pytest.raises(MalformedFrame):
        list(FrameParser().feed_pieces(bytes((frames.STDOUT,)) + (frames.MAX_PAYLOAD + 1).to_bytes(4, "big")))


@given(st.sampled_from((frames.STDIN, frames.STDOUT, frames.STDERR)), st.integers(0, 2**64 - 1))
def test_acknowledgements(stream: int, position: int) -> None:
    """A stream and a position, and the value is what the bytes are."""
    [frame] = FrameParser().feed(frames.encode_ack(stream, position))
    assert frame == frames.ack(stream, position)
    assert frames.decode_ack(frame.payload) == (stream, position)


@given(st.binary(max_size=12))
def test_payloads_that_are_none(payload: bytes) -> None:
    """Each decoder gives a value or its one error."""
    for decode in (frames.decode_ack, frames.decode_signal, frames.decode_winsize, frames.decode_json):
        try:
            decode(payload)
        except MalformedFrame:
            pass


def test_signals_and_sizes() -> None:
    """Both travel as they are."""
    [signal] = FrameParser().feed(frames.encode_signal(15, True))
    assert frames.decode_signal(signal.payload) == (15, True)
    [size] = FrameParser().feed(frames.encode_winsize(50, 132))
    assert frames.decode_winsize(size.payload) == (50, 132)


def test_text_that_is_no_unicode_survives() -> None:
    """An argument is bytes to the kernel, whatever they are."""
    word = b"\xff\xfe bl\xc3\xa4".decode("utf-8", "surrogateescape")
    [frame] = FrameParser().feed(frames.encode_json(frames.SPEC, {"argv": [word]}))
    assert (
        frames.decode_json(frame.payload)["argv"][0].encode("utf-8", "surrogateescape")
        == b"\xff\xfe bl\xc3\xa4"
    )


@pytest.mark.parametrize("said", [
    {"stdout": "7"}, {"stdout": None}, {"stderr": [1]}, {"stdout": 1.5}, {"stdout": True}, {"stderr": -1},
    {"stdout": 1 << 63}, {"stdout": float("inf")}, {"n": "1"}, {"n": {}}, {"detach": 1},
])  # fmt: skip
def test_an_attach_that_is_none(said: dict[str, object]) -> None:
    """A caller who says it is cut off; the supervisor that hears of it goes on."""
    with pytest.raises(frames.MalformedFrame):
        frames.decode_attach(json.dumps(said).encode())


@pytest.mark.parametrize("said", [
    {}, {"stdin": 1}, {"stdin_taken": 1}, {"stdin": "1", "stdin_taken": 0}, {"stdin": True, "stdin_taken": 0},
    {"stdin": 1, "stdin_taken": -1}, {"stdin": 1 << 63, "stdin_taken": 0}, {"stdin": 1.5, "stdin_taken": 0},
])  # fmt: skip
def test_an_attached_that_is_none(said: dict[str, object]) -> None:
    """It has both positions of the input, or it is refused."""
    with pytest.raises(frames.MalformedFrame):
        frames.decode_attached(json.dumps(said).encode())


def test_attacheds() -> None:
    """The positions are told by name; what else is said is not looked at."""
    said = {"stdin": 9, "stdin_taken": 4, "stdout": 0, "later": "x"}
    assert frames.decode_attached(json.dumps(said).encode()) == frames.InputPositions(received=9, taken=4)


def test_attaches() -> None:
    """All that `gom` says; names that are not known are passed over."""
    for said in ({}, {"detach": True}, {"stdout": 0, "stderr": (1 << 63) - 1, "n": 3, "stops": True}):
        told = json.dumps({**said, "later": "x"}).encode()
        wanted = frames.AttachRequest(**said)
        assert frames.decode_attach(told) == wanted
        [sent] = frames.FrameParser().feed(frames.encode_attach(wanted))
        assert frames.decode_attach(sent.payload) == wanted


def test_another_guard_is_asked_about_a_spec_on_its_way() -> None:
    """With the next bytes, and not when all of it is in memory; the answer may be another one by then."""
    parser = FrameParser(admits_long_spec=lambda _size: True)
    assert not list(parser.feed(frames.head(frames.SPEC, 1 << 23) + b"[1, "))
    asked: list[int] = []

    def admits(size: int) -> bool:
        asked.append(size)
        return True

    parser.admits_long_spec = admits
    assert not list(parser.feed(b"2, "))
    assert not list(parser.feed(b"3, "))
    assert asked == [1 << 23]
    parser.admits_long_spec = None
    with pytest.raises(MalformedFrame):
        list(parser.feed(b"4, "))
