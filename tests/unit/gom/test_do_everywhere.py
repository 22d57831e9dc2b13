"""`gom do NAME -n NODES`: what the words mean, which nodes they name, and how outputs are folded."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from gom import do_through
from gom.do_options import Everywhere, NodeTarget, parse, targets
from gom.folded import Kept, NodeOutput, failures, folded, worst
from libgomd.errors import MalformedRequest

NODES = [
    json.dumps({"id": 1, "name": "alpha", "up": True}),
    json.dumps({"id": 2, "name": "beta", "up": False}),
    json.dumps({"id": 3, "name": "node1", "up": True}),
    json.dumps({"id": 4, "name": "node2", "up": True}),
    json.dumps({"id": 9, "name": "alpha", "up": True}),
]


def output(node: int, *lines: str, status: int = 0, error: str = "", is_cut: bool = False) -> NodeOutput:
    """How the command ended on a node whose name is node and its id."""
    return NodeOutput(node, f"node{node}", lines, status, error, is_cut)


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ("uptime", None),
        ("uptime -n @all", Everywhere("uptime", "@all")),
        ("-n alpha uptime", Everywhere("uptime", "alpha")),
        ("uptime -nnode[1-2] -f8 -l", Everywhere("uptime", "node[1-2]", 8, True)),
        ("uptime -f 1 -n 1-4", Everywhere("uptime", "1-4", 1)),
    ],
)
def test_words_mean_a_command_and_nodes(words: str, wanted: Everywhere | None) -> None:
    """Options stand before or behind the name; without -n it is a request like any other."""
    assert parse(words.split()) == wanted


@pytest.mark.parametrize(
    "words",
    ["-n @all", "uptime -n", "uptime -n a -f 0", "uptime -n a -f x", "uptime -n a -f 999", "uptime -l",
     "up time -n a", "uptime -n a --fast"],
)  # fmt: skip
def test_wrong_words_are_refused(words: str) -> None:
    """One sentence, which says what is right."""
    with pytest.raises(MalformedRequest):
        parse(words.split())


def test_nodes_are_found_by_name_and_id() -> None:
    """@all are those that are up; one that is down and named is told of, not asked; each is asked once."""
    assert targets("node[1-2],1,alpha", NODES) == [
        NodeTarget(3, "node1"),
        NodeTarget(4, "node2"),
        NodeTarget(1, "alpha"),
    ]
    assert [each.node for each in targets("@all!node2", NODES)] == [1, 3]
    assert targets("beta", NODES) == [NodeTarget(2, "beta", "the node is down")]
    with pytest.raises(MalformedRequest, match="no node is called gamma"):
        targets("alpha,gamma", NODES)


def test_equal_outputs_are_shown_once() -> None:
    """The largest group is first; another exit status is another group."""
    outputs = [output(4, "b"), output(1, "a", "x"), output(2, "a", "x"), output(3, "a", "x", status=2)]
    rule = "-" * 15
    assert list(folded(outputs)) == [
        rule, "node[1-2] (2)", rule, "a", "x",
        rule, "node3 (1, exit 2)", rule, "a", "x",
        rule, "node4 (1)", rule, "b",
    ]  # fmt: skip


class _Rows:
    """The daemon's answer. :ivar closed: whether nobody wants more."""

    def __init__(self, *rows: dict[str, object]) -> None:
        self.closed = False
        self._rows = rows

    def rows(self, _timeout: float | None) -> Iterator[str]:
        yield from map(json.dumps, self._rows)

    def close(self) -> None:
        self.closed = True


def test_one_request_for_many_nodes() -> None:
    """Each node's rows are put together; one that is down, refuses, or has not ended is told with why."""
    asked = {node: NodeTarget(node, f"node{node}") for node in (1, 2, 3, 4)}
    rows = _Rows(
        {"from": 2, "line": "b", "exit": None}, {"from": 1, "line": "a", "exit": None},
        {"from": 1, "line": None, "exit": 3}, {"from": 3, "code": 404, "error": "there is no command x"},
        {"from": 9, "line": "a lie", "exit": None}, {"from": 4, "line": "", "exit": None},
        {"from": 4, "line": None, "exit": 0}, {"code": 500, "error": "a bug"},
    )  # fmt: skip
    told: list[tuple[str, str]] = []
    found = list(
        do_through._outputs(
            rows, asked, [NodeTarget(5, "node5", "it is down")], lambda *line: told.append(line)
        )
    )
    assert found == [
        output(5, status=1, error="it is down"), output(1, "a", status=3),
        output(3, status=1, error="there is no command x"), output(4, ""),
        output(2, "b", status=1, error="a bug"),
    ]  # fmt: skip
    assert told == [("node2", "b"), ("node1", "a"), ("node4", "")]
    assert rows.closed
    assert do_through._ids([1, 2, 3, 7]) == "1-3,7"


def test_failures_are_sentences_with_their_nodes() -> None:
    """They are not among the outputs, and make the exit status 1 at least."""
    outputs = [
        output(1, "a"),
        output(2, error="refused"),
        output(3, error="refused"),
        output(4, error="away"),
    ]
    assert list(failures(outputs)) == ["node[2-3]: refused", "node4: away"]
    assert "refused" not in "".join(folded(outputs))
    assert (worst(outputs), worst(outputs[:1]), worst([output(1, status=137), *outputs])) == (1, 0, 137)


def test_output_without_end_is_cut() -> None:
    """Memory is bounded, and the reader is told."""
    kept = Kept(limit=10)
    for line in ("12345", "678", "9"):
        kept.add(line)
    assert (kept.lines, kept.is_cut) == (["12345", "678"], True)
    assert "not kept" in list(folded([output(1, "x", is_cut=True)]))[-1]


def test_json_has_everything() -> None:
    """An exit status that nobody knows is null."""
    assert json.loads(output(2, "a", status=3).as_json()) == {
        "node": 2, "name": "node2", "lines": ["a"], "exit": 3, "error": None, "cut": False,
    }  # fmt: skip
    assert json.loads(output(2, error="away").as_json())["exit"] is None
    shown = output(2, "a\x9b2Jb\x7f\u202e").as_json()
    assert shown.isascii()
    assert shown.isprintable(), "what a terminal would obey"
