"""The rounds in the bytes of another node's watch, however they come."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gomd.verbs.node_rounds import MAX_ROUND_ROWS, NodeRound, RoundCutter, checked, whole_round
from libgomd.errors import MalformedReply, NodeError, NotPossible, RequestError, TimedOut


def lines(number: int, *rows: dict[str, object]) -> bytes:
    """Return a round as a node sends it."""
    made = [json.dumps({**row, "round": number, "rows": len(rows)}) for row in rows]
    return "".join(f"{each}\r\n" for each in made or [json.dumps({"round": number, "rows": 0})]).encode()


ROUNDS: list[list[dict[str, object]]] = [
    [{"pid": 1}, {"pid": 2, "command": 'x", "rows": 3}'}],
    [],
    [{"pid": 3}],
    [{"pid": 4}] * 40,
]
DATA = b"".join(lines(at, *rows) for at, rows in enumerate(ROUNDS, 1))


def read(found: list[NodeRound]) -> list[list[dict[str, object]]]:
    return [[json.loads(b"{" + row[:-2] + b"}") for row in each.rows()] for each in found]


@pytest.mark.parametrize("size", [1, 2, 7, 40, 1000, len(DATA)])
def test_rounds_come_whole(size: int) -> None:
    """Whatever pieces the network makes of them."""
    cutter = RoundCutter()
    found: list[NodeRound] = []
    for at in range(0, len(DATA), size):
        found += cutter.feed(DATA[at : at + size])
    assert read(found) == ROUNDS
    assert [each.count for each in found] == [2, 0, 1, 40]


def test_each_round_in_one_piece() -> None:
    """The usual way, and the shortest."""
    cutter = RoundCutter()
    assert read([each for at, rows in enumerate(ROUNDS) for each in cutter.feed(lines(at, *rows))]) == ROUNDS


def test_how_many_there_are() -> None:
    """Said by the node, or as many as it sends."""
    [told] = RoundCutter().feed(lines(1, {"pid": 1, "matched": 312}))
    [plain] = RoundCutter().feed(lines(1, {"pid": 1}))
    assert (told.matched(), plain.matched()) == (312, 1)


@given(st.lists(st.binary(max_size=80) | st.sampled_from([DATA, lines(1, {"a": 1}), b"\r\n", b"."])))
def test_any_bytes_give_rounds_or_an_error(pieces: list[bytes]) -> None:
    """And each row that may be passed on is an object of plain text."""
    cutter = RoundCutter()
    try:
        for piece in pieces:
            for found in cutter.feed(piece):
                for row in found.rows():
                    passed = checked(row, 1, False)
                    assert isinstance(json.loads(b"{" + passed[:-2] + b"}"), dict)
                    assert passed.isascii()
                    assert not set(passed) & set(range(32))
    except (MalformedReply, RequestError, NodeError):
        pass


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b".\r\n", TimedOut),
        (b'{"code": 504, "error": "late"}\r\n', TimedOut),
        (b'{"round": 1, "rows": %d}\r\n' % (MAX_ROUND_ROWS + 1), NotPossible),
        (b"x" * (33 << 20), NotPossible),
        (b'{"a": 1, "round": 1, "rows": 2}\n{"a": 1, "round": 1, "rows": 2}\r\n', MalformedReply),
    ],
)
def test_what_is_no_round(data: bytes, error: type[Exception]) -> None:
    """Is one error, with what was wrong."""
    with pytest.raises(error):
        [each.rows() for each in RoundCutter().feed(data)]


def test_rows_of_another_round_among_them() -> None:
    """What ends otherwise is not of this round."""
    cutter = RoundCutter()
    mixed = b'{"a": 1, "round": 1, "rows": 2}\r\n{"a": 1, "round": 2, "rows": 2}\r\n'
    with pytest.raises(MalformedReply):
        [each.rows() for each in cutter.feed(mixed)]


@pytest.mark.parametrize(("node", "home"), [(3, 3), (3, 9), (9, 3)])
def test_processes_that_a_node_may_tell_of(node: int, home: int) -> None:
    """What runs there, and what was started there."""
    row = b'"node": %d, "home": %d, ' % (node, home)
    assert checked(row, 3, True) == row
    with pytest.raises(MalformedReply):
        checked(row, 5, True)


@pytest.mark.parametrize(
    "row", [b'"load": NaN, ', b'"load": Infinity, ', b'"load": 1', b'"load": , ', b'"from": 1, ']
)
def test_rows_that_are_not_passed_on(row: bytes) -> None:
    """Other languages would refuse the whole answer; and only the asked daemon says whose a row is."""
    with pytest.raises(MalformedReply):
        checked(row, 3, False)


def test_a_round_that_a_relay_has_cut_out() -> None:
    """It ends as a round does; a wrong number of rows is noticed when they are used."""
    row = b'{"pid": 1, "round": 7, "rows": 2}\r\n'
    found = whole_round(row + row)
    assert (found.count, found.rows()) == (2, [b'"pid": 1, ', b'"pid": 1, '])
    for lying in (row, row * 3):
        with pytest.raises(MalformedReply, match="several rounds"):
            whole_round(lying).rows()
    for data in (b"", b"x", row[:-1], row + b".\r\n", b'{"pid": 1}\r\n'):
        with pytest.raises(MalformedReply):
            whole_round(data)
    with pytest.raises(NotPossible):
        whole_round(b'{"round": 1, "rows": 100001}\r\n')
