"""Letters between daemons: every value whole and byte by byte; anything else is one named error."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from gomd.jobs.checkpoint.images import MAX_IMAGES
from gomd.jobs.checkpoint.requirements import MAX_FILES, FileRequirement, Requirements
from gomd.jobs.migration.messages import (
    LOOK,
    MAX_FILES_SIZE,
    MAX_NEEDS,
    MAX_REASON,
    SEEN,
    WORDS,
    MessageReader,
    MigrationId,
    MigrationMessage,
    decode_needs,
    encode_letter,
    encode_needs,
    one_line,
)
from gomd.jobs.migration.protocol import MessageKind
from libgomd.wire import frames
from libgomd.wire.frames import MAX_PAYLOAD, Frame, FrameParser, MalformedFrame

ID = "1-7-2-0123abcd"
NEEDS = Requirements(
    50 << 20, "x86_64", "6.1.0", 1000, "ann", ("avx", "sse"), ("/home/ann", "/b\udcff"),
    (FileRequirement("/lib/libc.so.6", 100, "aa", 5), FileRequirement("/log", 7, "", 9, True)),
    ("it uses io_uring",),
)  # fmt: skip
_ids = st.builds(
    "{}-{}-{}-{:08x}".format,
    st.integers(1, 65535), st.integers(1, 10**10 - 1), st.integers(1, 10**9 - 1), st.integers(0, 2**32 - 1),
)  # fmt: skip
_files = st.dictionaries(st.from_regex(r"[a-z][a-z0-9.-]{0,20}", fullmatch=True), st.binary(max_size=60))
_letters = st.builds(
    MigrationMessage, _ids, st.sampled_from([*WORDS, LOOK, SEEN]), st.integers(1, 65535),
    st.text().map(one_line),
    st.dictionaries(st.text(max_size=9), st.integers() | st.lists(st.text(max_size=9))), _files,
)  # fmt: skip


def read(data: bytes, reader: MessageReader | None = None) -> list[MigrationMessage]:
    """Return the letters in ``data``."""
    reader = reader or MessageReader()
    return [letter for frame in FrameParser().feed(data) for letter in reader.feed(frame)]


def head(**values: Any) -> Frame:
    """Return the first frame of a good letter, with some values of another kind; None leaves one out."""
    good = {"migration": ID, "word": "go", "from": 2, "reason": "", "more": {}, "files": []}
    return Frame(frames.LETTER, json.dumps({**good, **values}).encode())


def refused(*made: Frame) -> str:
    """Feed frames that are no letter; return why."""
    reader = MessageReader()
    for frame in made[:-1]:
        assert list(reader.feed(frame)) == []
    with pytest.raises(MalformedFrame) as caught:
        list(reader.feed(made[-1]))
    return str(caught.value)


@settings(max_examples=30)
@given(st.lists(_letters, max_size=4))
def test_letters_come_out_as_they_went_in(made: list[MigrationMessage]) -> None:
    """Whole, and byte by byte, whatever stands behind them."""
    data = b"".join(map(encode_letter, made))
    assert read(data) == made
    parser, reader = FrameParser(), MessageReader()
    found = [
        letter
        for at in range(len(data))
        for frame in parser.feed(data[at : at + 1])
        for letter in reader.feed(frame)
    ]
    assert found == made


def test_every_message_has_its_word() -> None:
    """Questions beside the state machine are no messages of it."""
    for word, message in WORDS.items():
        assert MigrationMessage(ID, word, 2).message is message
    assert set(WORDS.values()) == set(MessageKind)
    assert MigrationMessage(ID, LOOK, 2).message is None


def test_a_large_file_comes_in_pieces() -> None:
    """None of them is larger than a frame may be; files without a byte come too."""
    files = {"a.img": bytes(range(256)) * 10_000, "b.img": b"", "c.img": b"c", "d.img": b""}
    data = encode_letter(MigrationMessage(ID, "images", 2, files=files))
    assert max(len(frame.payload) for frame in FrameParser().feed(data)) == MAX_PAYLOAD
    [letter] = read(data)
    assert letter.files == files


def test_trailing_junk() -> None:
    """A letter that is whole has been taken; what stands behind it ends the connection."""
    data, reader = encode_letter(MigrationMessage(ID, "go", 2)), MessageReader()
    [frame] = FrameParser().feed(data)
    assert [letter.word for letter in reader.feed(frame)] == ["go"]
    for kind in frames.KINDS - {frames.LETTER}:
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
    Frame, st.sampled_from(sorted(frames.KINDS)) | st.just(frames.LETTER),
    st.binary(max_size=30) | _heads.map(lambda value: json.dumps(value).encode())
    | _values.map(lambda value: json.dumps(value).encode()),
)  # fmt: skip


@settings(max_examples=100)
@given(st.lists(_frames, min_size=1, max_size=4))
def test_any_frames_are_letters_or_one_error(made: list[Frame]) -> None:
    """Nothing else is raised, whatever another node sends."""
    reader = MessageReader()
    try:
        for frame in made:
            for letter in reader.feed(frame):
                MigrationId.parse(letter.migration)
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
        {"files": [["a", MAX_FILES_SIZE + 1]]}, {"files": [["a", MAX_FILES_SIZE], ["b", 1]]},
        {"files": [[f"f{number}", 0] for number in range(MAX_IMAGES + 1)]}, {"files": 5},
    ],
)  # fmt: skip
def test_what_is_no_letter(values: dict[str, Any]) -> None:
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
    assert [letter.files for letter in reader.feed(Frame(frames.PIECE, b"c"))] == [{"a": b"abc"}]


def test_a_reason_is_one_line_of_bounded_length() -> None:
    """Both where it is written and where it is read: it ends up on terminals and in replies."""
    long = "\x1b[2J\n" + "x" * (2 * MAX_PAYLOAD)
    [sent] = read(encode_letter(MigrationMessage(ID, "refused", 2, long)))
    assert len(sent.reason) == MAX_REASON
    assert sent.reason.startswith("?[2J?x")
    assert sent.reason.endswith("x...")
    [letter] = MessageReader().feed(head(reason="a\r\nb\x00"))
    assert letter.reason == "a??b?"


@given(_ids)
def test_ids(text: str) -> None:
    """They say whose job it is, and how often it has moved then."""
    found = MigrationId.parse(text)
    assert text.startswith(f"{found.home}-{found.job}-{found.times}-")
    assert found.name == f"{found.home}-{found.job}"


def test_needs_come_out_as_they_went_in() -> None:
    """With names that are no Unicode."""
    assert decode_needs(encode_needs(NEEDS)) == NEEDS


def _with(change: Callable[[dict[str, Any]], object]) -> bytes:
    values = json.loads(encode_needs(NEEDS))
    change(values)
    return json.dumps(values).encode()


@pytest.mark.parametrize(
    "change",
    [
        {"memory": -1}, {"memory": True}, {"memory": 1.5}, {"memory": None}, {"memory": 1 << 63},
        {"uid": -1}, {"uid": "0"}, {"uid": 1 << 33}, {"user": None}, {"user": "a\0"}, {"machine": 5},
        {"kernel": []}, {"flags": [5]}, {"flags": None}, {"flags": 5}, {"directories": ["/\0"]},
        {"directories": ["/a"] * (MAX_FILES + 1)}, {"stays": [None]}, {"more": 1}, {"files": None},
        {"files": [{}]}, {"files": ["a"]}, {"files": [{"path": "/a", "size": 1, "x": 1}]},
        {"files": [{"path": "a", "size": 1}]}, {"files": [{"path": "/a\0", "size": 1}]},
        {"files": [{"path": 5, "size": 1}]}, {"files": [{"path": "/a", "size": -1}]},
        {"files": [{"path": "/a", "size": 1, "inode": "5"}]},
        {"files": [{"path": "/a", "size": 1, "build_id": None}]},
        {"files": [{"path": "/a", "size": 1, "written": 1}]},
        {"files": [{"path": "/a", "size": 1}] * (MAX_FILES + 1)},
    ],
)  # fmt: skip
def test_what_are_no_needs(change: dict[str, Any]) -> None:
    """Each field has its type and its bounds."""
    with pytest.raises(MalformedFrame):
        decode_needs(_with(lambda values: values.update(change)))


def test_a_limit_of_memory_is_told_of_only_where_there_is_one() -> None:
    """A node that knows of none takes other jobs, and refuses this one."""
    assert b"memory_max" not in encode_needs(NEEDS)
    limited = replace(NEEDS, memory_max=1 << 30)
    assert decode_needs(encode_needs(limited)) == limited
    for wrong in (-1, True, "1G", 1 << 63):
        with pytest.raises(MalformedFrame):
            decode_needs(json.dumps({**asdict(NEEDS), "memory_max": wrong}).encode())


def test_each_field_has_to_be_there() -> None:
    """Needs of an older kind are refused, not guessed."""
    for name in ("memory", "machine", "kernel", "uid", "user", "flags", "directories", "files", "stays"):
        with pytest.raises(MalformedFrame):
            decode_needs(_with(lambda values, name=name: values.pop(name)))  # type: ignore[misc]


_junk = st.binary(max_size=60) | _values.map(lambda value: json.dumps(value).encode())
_changed = st.tuples(st.sampled_from(sorted(json.loads(encode_needs(NEEDS)))), _values).map(
    lambda change: _with(lambda values: values.update([change]))
)


@settings(max_examples=150)
@given(_junk | _changed | st.just(b"[" * 100_000) | st.just(b'{"files":' * 9000))
def test_any_bytes_are_needs_or_one_error(data: bytes) -> None:
    """Nothing else is raised, and what comes out can be looked for on a disk."""
    try:
        needs = decode_needs(data)
    except MalformedFrame:
        return
    assert encode_needs(needs)
    assert not any("\0" in path for path in needs.directories)


def test_needs_are_not_read_beyond_their_bound() -> None:
    """Before anything is parsed."""
    with pytest.raises(MalformedFrame, match="at most"):
        decode_needs(b" " * MAX_NEEDS + encode_needs(NEEDS))
