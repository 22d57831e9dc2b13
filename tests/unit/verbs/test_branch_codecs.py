"""What a relay is told and what it sends: any bytes give a value or one named error."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as some

from gomd.verbs.branch_rounds import JOINED_BYTES, BranchCutter, joined_bytes
from gomd.verbs.branch_rows import BranchReader, answer_rows
from gomd.verbs.branches import MAX_BRANCH, divide, ids_in, ids_text, parse_branch
from gomd.verbs.node_rounds import NodeRound
from libgomd.errors import GomdError, MalformedReply, MalformedRequest

IDS = some.lists(some.integers(1, 65535), max_size=MAX_BRANCH, unique=True).map(sorted)


@given(IDS)
def test_ids_are_read_as_they_were_written(ids: list[int]) -> None:
    """In ascending order, each once."""
    assert ids_in(ids_text(ids), 0) == tuple(ids)


@given(some.lists(some.integers(), max_size=900), some.integers(1, 64))
def test_a_division_keeps_every_node_once(nodes: list[int], most: int) -> None:
    """In order; no part is empty or too long."""
    parts = divide(nodes, most)
    assert [node for part in parts for node in part] == nodes
    assert all(0 < len(part) <= MAX_BRANCH for part in parts)


@given(some.lists(some.text("0123456789-,. ax", max_size=12), min_size=4, max_size=6))
def test_any_request_is_read_or_refused(words: list[str]) -> None:
    """With a sentence."""
    try:
        asked = parse_branch(words, 7)
    except MalformedRequest:
        return
    assert 7 not in asked.nodes
    assert list(asked.nodes) == sorted(set(asked.nodes))


@given(some.lists(some.text(max_size=20) | some.from_regex(r"\A[0-9]{1,5}[=:.!].{0,9}\Z"), max_size=20))
def test_any_rows_are_read_or_refused(rows: list[str]) -> None:
    """No node that was not asked for comes out, and none twice."""
    reader, found = BranchReader(frozenset(range(100)), 5), list[int]()
    try:
        found += [node for node, _, _ in reader.feed(rows)]
    except MalformedReply:
        pass
    assert len(set(found)) == len(found)
    assert set(found) <= set(range(100))


@given(some.dictionaries(some.integers(1, 99), some.lists(some.text(max_size=9), max_size=5)))
def test_answers_are_read_as_they_were_written(answers: dict[int, list[str]]) -> None:
    """Whatever the lines look like."""
    rows = [row for node, lines in answers.items() for row in answer_rows(node, lines)]
    reader = BranchReader(frozenset(range(100)), 5)
    assert {node: lines for node, lines, _ in reader.feed(rows)} == answers
    assert reader.held == 0


@given(
    some.lists(
        some.binary(max_size=44)
        | some.sampled_from([b"3*5\r\n", b"+\r\n", b"12345", b"4!502 x\r\n", b"*1 22\r\n", b"*2 50\r\n"])
    )
)
def test_any_bytes_are_cut_or_refused(pieces: list[bytes]) -> None:
    """Nothing but the errors of gomd comes of them."""
    cutter = BranchCutter()
    try:
        for piece in pieces:
            for _node, data, _why in cutter.feed(piece):
                assert data is None or len(data.data if isinstance(data, NodeRound) else data) < 10**9
    except GomdError:
        pass


@given(
    some.dictionaries(
        some.integers(1, 65535),
        some.tuples(
            some.integers(0, 3), some.integers(0, 1 << 33), some.none() | some.floats(allow_nan=False)
        ),
        max_size=MAX_BRANCH,
    )
)
def test_joined_rounds_are_read_as_they_were_written(
    rounds: dict[int, tuple[int, int, float | None]],
) -> None:
    """With what the relay says of each."""
    written = {
        node: NodeRound(b'{"pid": 1, "round": 1, "rows": %d}\r\n' % count * count, None, count, matched, rank)
        for node, (count, matched, rank) in rounds.items()
    }
    data = b"".join(joined_bytes(written.items(), lambda each: each.rank))
    read = {
        node: (each.data, each.count, each.matched(), each.rank, len(each.rows()))
        for node, each, _ in BranchCutter().feed(data)
        if isinstance(each, NodeRound)
    }
    assert read == {
        node: (each.data, each.count, min(each.matched(), (1 << 32) - 1), each.rank, each.count)
        for node, each in written.items()
    }


def test_much_is_joined_in_pieces() -> None:
    """So that whoever reads them keeps little that is not whole."""
    large = NodeRound(b"x" * (JOINED_BYTES // 3), None, 1)
    pieces = list(joined_bytes([(node, large) for node in range(1, 8)], lambda each: None))
    assert [[node for node, _, _ in BranchCutter().feed(each)] for each in pieces] == [
        [1, 2, 3, 4],
        [5, 6, 7],
    ]
