"""The format of a tree of files: every value whole, byte by byte, and any other bytes."""

from __future__ import annotations

from collections.abc import Sequence

import hypothesis.strategies as st
import pytest
from hypothesis import given

from gomd.jobs.checkpoint import file_tree_codec as codec
from gomd.jobs.checkpoint.file_tree_codec import (
    Chunk,
    Directory,
    DirectoryEnd,
    End,
    Fifo,
    FileEnd,
    HardLink,
    Link,
    MalformedTree,
    Record,
    RegularFile,
    TreeDecoder,
    TreeLimits,
    TreeTooLarge,
)
from gomd.jobs.checkpoint.file_tree_rules import TreeRules
from gomd.jobs.checkpoint.open_beneath import is_name

names: st.SearchStrategy[bytes] = st.binary(min_size=1, max_size=20).filter(lambda name: is_name(name))
ids = st.integers(0, 2**32 - 2)
modes = st.integers(0, codec.MODE_MASK)
times = st.integers(-(2**63), 2**63 - 1)
flags = st.integers(0, 1)
targets = st.binary(min_size=1, max_size=30).filter(lambda target: b"\0" not in target)
records: st.SearchStrategy[Record] = st.one_of(
    st.builds(Directory, ids, ids, modes, names),
    st.builds(DirectoryEnd, times),
    st.builds(RegularFile, ids, ids, modes, flags, names),
    st.builds(Chunk, st.integers(0, 2**62), st.binary(min_size=1, max_size=50)),
    st.builds(FileEnd, st.integers(0, 2**63 - 1), times),
    st.builds(Link, ids, ids, times, names, targets),
    st.builds(Fifo, ids, ids, modes, flags, times, names),
    st.builds(HardLink, st.integers(0, 2**64 - 1), names),
)
NOTHING = Directory(1000, 1000, 0o755, b"d")
FILE = RegularFile(1000, 1000, 0o644, 1, b"f")


def stream(found: Sequence[Record], entries: int = 0) -> bytes:
    """Return the bytes of a stream that may be in no sensible order."""
    return codec.PREAMBLE + b"".join(map(codec.encode, [*found, End(entries)]))


def check_all(limits: TreeLimits, order: list[Record]) -> None:
    """Check records one after the other."""
    rules = TreeRules(limits)
    for record in order:
        rules.check(record)


@given(st.lists(records, max_size=8))
def test_records_come_out_as_they_went_in(made: list[Record]) -> None:
    """Whole, and byte by byte."""
    data = stream(made)
    assert list(TreeDecoder().feed(data)) == [*made, End(0)]
    decoder = TreeDecoder()
    assert [record for at in range(len(data)) for record in decoder.feed(data[at : at + 1])] == [
        *made,
        End(0),
    ]
    assert decoder.complete


@given(st.lists(records, max_size=4), st.data())
def test_a_cut_stream_is_not_complete(made: list[Record], data: st.DataObject) -> None:
    """Whoever receives it can tell that something is missing."""
    whole = stream(made)
    decoder = TreeDecoder()
    list(decoder.feed(whole[: data.draw(st.integers(0, len(whole) - 1))]))
    assert not decoder.complete


@given(st.binary(max_size=200), st.booleans())
def test_any_bytes_are_records_or_one_error(data: bytes, begun: bool) -> None:
    """Nothing else is raised, and no more is kept than came."""
    try:
        list(TreeDecoder().feed(codec.PREAMBLE + data if begun else data))
    except MalformedTree:
        pass


@given(st.integers(0, 255), st.binary(max_size=60))
def test_any_payload_is_a_record_or_one_error(number: int, payload: bytes) -> None:
    """A record that is accepted has the bytes that it came with."""
    try:
        record = codec.decode(number, payload)
    except MalformedTree:
        return
    assert codec.encode(record)[5:] == payload


@given(st.lists(records, max_size=30))
def test_any_order_is_a_tree_or_one_error(made: list[Record]) -> None:
    """The rules raise nothing else."""
    rules = TreeRules(TreeLimits(entries=5, size=100, depth=3, path=60))
    try:
        for record in made:
            rules.check(record)
    except (MalformedTree, TreeTooLarge):
        return
    assert rules.entries <= 5
    assert rules.size <= 100
    assert len(rules.path) <= 3


@pytest.mark.parametrize("name", [b"", b".", b"..", b"/", b"/etc", b"a/b", b"../x", b"a\0b", b"x" * 256])
def test_a_name_that_leads_elsewhere_is_refused(name: bytes) -> None:
    """An entry is always in the directory that was entered, whatever kind it is."""
    for record in (
        Directory(0, 0, 0, name), RegularFile(0, 0, 0, 0, name), Link(0, 0, 0, name, b"x"),
        Fifo(0, 0, 0, 0, 0, name), HardLink(0, name),
    ):  # fmt: skip
        with pytest.raises(MalformedTree):
            list(TreeDecoder().feed(stream([record])))


@pytest.mark.parametrize(
    "record",
    [
        RegularFile(0, 0, 0o4755, 0, b"f"),
        RegularFile(0, 0, 0o2755, 0, b"f"),
        Directory(0, 0, 0o2755, b"d"),
        RegularFile(2**32 - 1, 0, 0, 0, b"f"),
        RegularFile(0, 0, 0, 2, b"f"),
        Link(0, 0, 0, b"l", b""),
        Link(0, 0, 0, b"l", b"a\0b"),
        Link(0, 0, 0, b"l", b"x" * 4096),
        Chunk(0, b""),
        Chunk(2**63, b"x"),
        FileEnd(2**63, 0),
    ],
)
def test_fields_that_no_file_has_are_refused(record: Record) -> None:
    """Set-id bits, nobody's ids, sizes that would be negative, targets that the kernel does not take."""
    with pytest.raises(MalformedTree):
        list(TreeDecoder().feed(stream([record])))


def test_the_version_and_the_end_are_exact() -> None:
    """Another version, another program's bytes and bytes behind the end are refused at once."""
    for data in (codec.MAGIC + b"\2", b"PK\3\4", b"gomdtreX"):
        with pytest.raises(MalformedTree):
            list(TreeDecoder().feed(data))
    with pytest.raises(MalformedTree):
        list(TreeDecoder().feed(stream([]) + b"x"))
    with pytest.raises(MalformedTree):
        list(TreeDecoder().feed(codec.PREAMBLE + bytes((4,)) + (codec.MAX_RECORD + 1).to_bytes(4, "big")))


@pytest.mark.parametrize(
    "order",
    [
        [DirectoryEnd(0)],
        [Chunk(0, b"x")],
        [FileEnd(0, 0)],
        [FILE, NOTHING],
        [FILE, End(1)],
        [FILE, Chunk(5, b"x"), Chunk(5, b"y")],
        [FILE, Chunk(5, b"x"), FileEnd(5, 0)],
        [NOTHING, End(1)],
        [End(1)],
        [End(0), NOTHING],
        [HardLink(0, b"x")],
        [NOTHING, HardLink(0, b"x")],
        [RegularFile(0, 0, 0, 0, b"f"), FileEnd(0, 0), HardLink(0, b"x")],
        [FILE, FileEnd(0, 0), HardLink(1, b"x")],
    ],
)
def test_an_order_that_is_no_walk_is_refused(order: list[Record]) -> None:
    """Out of the top, contents of nothing, overlapping contents, a hard link to what is no earlier file."""
    with pytest.raises(MalformedTree):
        check_all(TreeLimits(), order)


@pytest.mark.parametrize(
    ("limits", "order", "limit"),
    [
        (TreeLimits(entries=1), [NOTHING, FILE], "entries"),
        (TreeLimits(size=3), [FILE, Chunk(0, b"abcd")], "size"),
        (TreeLimits(depth=1), [NOTHING, NOTHING], "depth"),
        (TreeLimits(path=4), [NOTHING, Directory(0, 0, 0, b"abc")], "path"),
    ],
)
def test_each_limit_is_named(limits: TreeLimits, order: list[Record], limit: str) -> None:
    """What is too much is an error of its own, so that a caller can name the setting."""
    with pytest.raises(TreeTooLarge) as caught:
        check_all(limits, order)
    assert caught.value.limit == limit


def test_a_path_is_shown_in_one_line() -> None:
    """Names come from other people: control characters and bytes that are no text are shown as such."""
    assert codec.shown([b"a\n", b"\xff\x1b["]) == "a\\x0a/\\xff\\x1b["
