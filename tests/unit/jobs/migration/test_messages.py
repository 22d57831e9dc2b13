"""Messages between daemons: every value whole and byte by byte; anything else is one named error."""

from __future__ import annotations

import json
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings

from gomd.jobs.checkpoint.images import MAX_IMAGES
from gomd.jobs.migration.details import (
    LOOK,
    MAX_REASON_LENGTH,
    SEEN,
    OfferDetails,
    ReadyDetails,
    RunningDetails,
    SeenDetails,
    SettledDetails,
    WaitingSignal,
    one_line,
)
from gomd.jobs.migration.messages import (
    MAX_FILES_BYTES,
    WORDS,
    MessageReader,
    MigrationId,
    MigrationMessage,
    encode_message,
)
from gomd.jobs.migration.protocol import MessageKind
from libgomd.wire import frames
from libgomd.wire.frames import MAX_PAYLOAD, Frame, FrameParser, MalformedFrame

ID = "1-7-2-0123abcd"
_ids = st.builds(
    "{}-{}-{}-{:08x}".format,
    st.integers(1, 65535), st.integers(1, 10**10 - 1), st.integers(1, 10**9 - 1), st.integers(0, 2**32 - 1),
)  # fmt: skip
_files = st.dictionaries(st.from_regex(r"[a-z][a-z0-9.-]{0,20}", fullmatch=True), st.binary(max_size=60))
_signals = st.lists(st.builds(WaitingSignal, st.integers(1, 64), st.booleans()), max_size=4).map(tuple)
_details = {
    "offer": st.builds(OfferDetails, st.booleans(), st.none() | st.integers(1, 2**31 - 1)),
    "ready": st.builds(ReadyDetails, st.integers(1, 65535)),
    "running": st.none() | st.builds(RunningDetails, st.integers(1, 2**31 - 1)),
    "settled": st.builds(SettledDetails, _signals),
    SEEN: st.builds(SeenDetails, st.lists(st.text().map(one_line), max_size=4).map(tuple)),
}
_messages = st.sampled_from([*WORDS, LOOK, SEEN]).flatmap(
    lambda word: st.builds(
        MigrationMessage, _ids, st.just(word), st.integers(1, 65535), st.text().map(one_line),
        _details.get(word, st.none()), _files,
    )
)  # fmt: skip


def read(data: bytes, reader: MessageReader | None = None) -> list[MigrationMessage]:
    """Return the messages in ``data``."""
    reader = reader or MessageReader()
    return [message for frame in FrameParser().feed(data) for message in reader.feed(frame)]


def head(**values: Any) -> Frame:
    """Return the first frame of a good message, with some values of another kind; None leaves one out."""
    good = {"migration": ID, "word": "go", "from": 2, "reason": "", "more": {}, "files": []}
    return Frame(frames.MESSAGE, json.dumps({**good, **values}).encode())


def refused(*made: Frame) -> str:
    """Feed frames that are no message; return why."""
    reader = MessageReader()
    for frame in made[:-1]:
        assert list(reader.feed(frame)) == []
    with pytest.raises(MalformedFrame) as caught:
        list(reader.feed(made[-1]))
    return str(caught.value)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(_messages, max_size=4))
def test_messages_come_out_as_they_went_in(made: list[MigrationMessage]) -> None:
    """Whole, and byte by byte, whatever stands behind them."""
    data = b"".join(map(encode_message, made))
    assert read(data) == made
    parser, reader = FrameParser(), MessageReader()
    found = [
        message
        for at in range(len(data))
        for frame in parser.feed(data[at : at + 1])
        for message in reader.feed(frame)
    ]
    assert found == made


def test_every_message_has_its_word() -> None:
    """Questions beside the state machine are no messages of it."""
    for word, kind in WORDS.items():
        assert MigrationMessage(ID, word, 2).kind is kind
    assert set(WORDS.values()) == set(MessageKind)
    assert MigrationMessage(ID, LOOK, 2).kind is None


def test_a_large_file_comes_in_pieces() -> None:
    """None of them is larger than a frame may be; files without a byte come too."""
    files = {"a.img": bytes(range(256)) * 10_000, "b.img": b"", "c.img": b"c", "d.img": b""}
    data = encode_message(MigrationMessage(ID, "images", 2, files=files))
    assert max(len(frame.payload) for frame in FrameParser().feed(data)) == MAX_PAYLOAD
    [message] = read(data)
    assert message.files == files


def test_trailing_junk() -> None:
    """A message that is whole has been taken; what stands behind it ends the connection."""
    data, reader = encode_message(MigrationMessage(ID, "go", 2)), MessageReader()
    [frame] = FrameParser().feed(data)
    assert [message.word for message in reader.feed(frame)] == ["go"]
    for kind in frames.KINDS - {frames.MESSAGE}:
        with pytest.raises(MalformedFrame):
            list(MessageReader().feed(Frame(kind, b"x")))
    with pytest.raises(MalformedFrame):
        list(reader.feed(Frame(frames.PIECE, b"x")))


_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12) | st.just(ID),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=3,
)
_heads = st.fixed_dictionaries(
    {},
    optional={
        "migration": _values | _ids, "word": _values | st.sampled_from(sorted(WORDS)), "from": _values,
        "reason": _values, "more": _values, "files": _values | st.lists(st.tuples(_values, _values)),
    },
)  # fmt: skip
_frames = st.builds(
    Frame, st.sampled_from(sorted(frames.KINDS)) | st.just(frames.MESSAGE),
    st.binary(max_size=30) | _heads.map(lambda value: json.dumps(value).encode())
    | _values.map(lambda value: json.dumps(value).encode()),
)  # fmt: skip


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(_frames, min_size=1, max_size=4))
def test_any_frames_are_messages_or_one_error(made: list[Frame]) -> None:
    """Nothing else is raised, whatever another node sends."""
    reader = MessageReader()
    try:
        for frame in made:
            for message in reader.feed(frame):
                MigrationId.parse(message.migration)
    except MalformedFrame:
        pass


@pytest.mark.parametrize(
    "values",
    [
        {"migration": "0-7-2-0123abcd"}, {"migration": "65536-7-2-0123abcd"}, {"migration": "1-7-0123abcd"},
        {"migration": "1-7-2-0123abcd\n"}, {"migration": "../7-2-0123abcd"}, {"migration": ["1"]},
        {"migration": "1-0-2-0123abcd"}, {"migration": "1-7-2-0123ABCD"}, {"migration": None},
        {"word": "gone"}, {"word": []}, {"word": {}}, {"word": None},
        {"from": 0}, {"from": -1}, {"from": 65536}, {"from": True}, {"from": "2"}, {"from": 2.0},
        {"reason": 5}, {"reason": None}, {"more": []}, {"more": None},
        {"files": [["../a", 1]]}, {"files": [["A.img", 1]]}, {"files": [["", 1]]}, {"files": [["a" * 72, 1]]},
        {"files": [["a\n", 1]]}, {"files": [[["a"], 1]]}, {"files": [["a", 1], ["a", 1]]},
        {"files": [["a", -1]]}, {"files": [["a", True]]}, {"files": [["a", 1.5]]}, {"files": [["a"]]},
        {"files": [["a", MAX_FILES_BYTES + 1]]}, {"files": [["a", MAX_FILES_BYTES], ["b", 1]]},
        {"files": [[f"f{number}", 0] for number in range(MAX_IMAGES + 1)]}, {"files": 5},
    ],
)  # fmt: skip
def test_what_is_no_message(values: dict[str, Any]) -> None:
    """Each field has its bounds: ids, words, nodes, names, numbers and sizes of files."""
    assert refused(head(**values))


def test_a_file_of_another_length() -> None:
    """More than was said, nothing at all, or a frame of another kind in its place."""
    begin = head(files=[["a", 3]])
    for piece in (Frame(frames.PIECE, b"four"), Frame(frames.PIECE, b""), head(), Frame(frames.STDOUT, b"x")):
        assert "not as long" in refused(begin, piece)
    reader = MessageReader()
    assert list(reader.feed(begin)) == []
    assert list(reader.feed(Frame(frames.PIECE, b"ab"))) == []
    assert [message.files for message in reader.feed(Frame(frames.PIECE, b"c"))] == [{"a": b"abc"}]


def test_a_reason_is_one_line_of_bounded_length() -> None:
    """Both where it is written and where it is read: it ends up on terminals and in replies."""
    long = "\x1b[2J\n" + "x" * (2 * MAX_PAYLOAD)
    [sent] = read(encode_message(MigrationMessage(ID, "refused", 2, long)))
    assert len(sent.reason) == MAX_REASON_LENGTH
    assert sent.reason.startswith("?[2J?x")
    assert sent.reason.endswith("x...")
    [message] = MessageReader().feed(head(reason="a\r\nb\x00"))
    assert message.reason == "a??b?"


@given(_ids)
def test_ids(text: str) -> None:
    """They say whose job it is, and how often it has moved then."""
    found = MigrationId.parse(text)
    assert text.startswith(f"{found.home}-{found.job}-{found.times}-")
    assert found.name == f"{found.home}-{found.job}"
