"""Whose memory is asked about another node: its own, this node's, or that of the nodes behind it."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from libgomd.model import Role
from libgomd.testing import START_TIME
from libgomd.wire.lines import Request
from tests.unit.verbs.past.remembering import OWN, Remembered, Remembering, said


def test_a_node_that_is_up_is_asked_itself(node: Remembering) -> None:
    """It knows more of itself; the moments are sent as seconds."""
    node.peers.answer = lambda number, request: (201, "60 rows of node 2 beta")
    assert said(node, "history beta busy_percent --since 1h --points 7")[0] == "201 60 rows of node 2 beta"
    [(asked, request, _caller)] = node.peers.asked
    assert (asked, request.verb) == (2, "history")
    assert request.arguments == (
        "2", "busy_percent", f"--since={START_TIME - 3600:.3f}", f"--until={START_TIME:.3f}", "--points=7"
    )  # fmt: skip


def test_one_that_keeps_nothing_is_answered_for(node: Remembering) -> None:
    """What this node heard of it is better than nothing."""
    node.peers.answer = lambda number, request: (405, "this node keeps no history")
    first, rows = said(node, "history 2 load")
    assert first == "201 1 rows of node 2 beta, as node 1 alpha remembers them"
    assert rows[0]["by"] == 1


def test_a_node_that_is_down_is_answered_for(node: Remembering) -> None:
    """The answer says whose memory it is, whichever way the node is named, forgotten ones too."""
    for line in ("history gamma load", "@3 history 3 load"):
        first, rows = said(node, line)
        assert first == "201 1 rows of node 3 gamma, as node 1 alpha remembers them"
        assert [row["node"] for row in rows] == [3]
    assert said(node, "history delta load")[0] == "201 1 rows of node 9 delta, as node 1 alpha remembers them"


def test_processes_of_a_node_that_is_down(node: Remembering) -> None:
    """From this node's memory, else from that of the nodes behind it; about now it stays an error."""
    node.history.tables[3] = (replace(OWN, node=3, home=3, identity="3-5-100"),)  # type: ignore[attr-defined]
    first, rows = said(node, "@gamma ps --at 59m --top 3")
    assert first.startswith("201 1 of 1 processes of node 3 gamma at 2001-09-09T00:47:40Z, as node 1 alpha ")
    assert [(row["pid"], row["node"], row["age"]) for row in rows] == [(5, 3, 60.0)]
    assert said(node, "@gamma ps")[0].startswith("502 ")
    del node.history.tables[3]  # type: ignore[attr-defined]
    node.peers.answer = lambda number, request: (
        201,
        "4 processes of node 3 gamma, as node 2 beta remembers them",
    )
    assert said(node, "@gamma ps --top 3 --at 59m --match x")[0].endswith("as node 2 beta remembers them")
    asked, request, _caller = node.peers.asked[-1]
    assert (asked, request.arguments) == (2, (
        "--top", "3", "--match", "x", f"--at={START_TIME - 59 * 60:.3f}", "--of=3"
    ))  # fmt: skip
    node.peers.answer = lambda number, request: (201, "0 processes of node 3 gamma")
    assert said(node, "@gamma ps --at 59m")[0].startswith("201 0 processes of node 3 gamma at ")


def answering(code: int, text: str, number: int, request: Request) -> tuple[int, str]:
    """Answer for another node."""
    return code, text


def test_a_machine_that_has_come_by_the_id_of_another_one(node: Remembering) -> None:
    """It knows nothing of the time before: that is answered from memory, and what it knows is its own."""
    history = node.history
    assert isinstance(history, Remembered)
    memory = ", as node 1 alpha remembers them"
    history.tables[2] = (replace(OWN, node=2, home=2, identity="2-5-100"),)
    for line, text in (
        ("history beta load --since 1h", "0 rows of node 2 beta"),
        ("@2 history 2 load --since 1h", "0 rows of node 2 beta"),
        ("@2 ps --at 59m", "0 processes of node 2 beta at 2001-09-09T00:47:40Z"),
    ):
        for code, heard in ((201, text), (405, "this node keeps no history that can be read")):
            node.peers.answer = partial(answering, code, heard)
            first, rows = said(node, line)
            assert (first.endswith(memory), len(rows)) == (True, 1), (line, code)
    for line, text in (
        ("@2 ps --at 59m --match nothing", "0 of 312 processes of node 2 beta at 2001-09-09T00:47:40Z"),
        ("@2 ps --at 3d", "0 processes of node 2 beta at 2001-09-06T01:46:40Z"),
        (f"history 2 load --since {START_TIME + 9}", "0 rows of node 2 beta"),
        ("@2 ps", "0 processes"),
    ):
        node.peers.answer = partial(answering, 201, text)
        assert said(node, line) == (f"201 {text}", [])
    node.peers.answer = lambda number, request: (405, "it keeps none")
    del history.tables[2]
    assert said(node, "@2 ps --at 59m")[0] == "405 it keeps none"


def test_a_daemon_that_is_asked_asks_no_further(node: Remembering) -> None:
    """Two nodes that remember nothing do not ask each other for ever."""
    said(node, "ps --at 59m --of 3", role=Role.READ, user="", uid=None, via="node 2")
    assert node.peers.asked == []
