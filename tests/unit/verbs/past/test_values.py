"""What a node tells of its own past: values, nodes and measures; and which questions are wrong."""

from __future__ import annotations

import json

import jsonschema
import pytest

from gomd.verbs.schemas import DIRECTORY
from libgomd.testing import START_TIME
from tests.unit.protocols.talk import Talk
from tests.unit.verbs.past.remembering import DOWN, THEN, Remembering, said
from tests.unit.verbs.three_nodes import BETA, ThreeNodes


def test_values_of_this_node(node: Remembering) -> None:
    """An hour in sixty rows unless said otherwise; a moment may begin with a minus."""
    first, rows = said(node, "history alpha load,mem")
    assert first == "201 1 rows of node 1 alpha"
    assert rows == [{"time": THEN, "field": "load", "min": 1, "mean": 2.5, "max": 4, "node": 1, "by": 1}]
    said(node, "history 1 load --since -90 --until 15s --points 5")
    said(node, f"history 1 load --since={THEN} --until 2001-09-09T01:46:40Z")
    assert node.history.asked == [  # type: ignore[attr-defined]
        (1, ("load", "mem"), START_TIME - 3600, START_TIME, 60),
        (1, ("load",), START_TIME - 90, START_TIME - 15, 5),
        (1, ("load",), THEN, START_TIME, 60),
    ]
    for row in rows:
        jsonschema.validate(row, json.loads((DIRECTORY / "history.json").read_text(encoding="utf-8")))


def test_nothing_known_is_an_empty_block(node: Remembering) -> None:
    """Never zeros."""
    node.history.rows = []  # type: ignore[attr-defined]
    assert said(node, "history 1 load --since 3d") == ("201 0 rows of node 1 alpha", [])
    assert said(node, f"history 1 load --since {START_TIME + 500}")[1] == []
    assert said(node, "history 1 load --since 5m --until 5m")[1] == []
    assert said(node, f"events --since {START_TIME + 500}")[1] == []
    assert said(node, "nodes --at 3d")[1] == []
    assert said(node, "ps --at 3d")[1] == []
    assert said(node, f"ps --at {START_TIME + 500}")[1] == []


@pytest.mark.parametrize(
    ("line", "code", "words"),
    [
        ("history", 400, "usage: history NODE FIELD"),
        ("history 1", 400, "usage: history NODE FIELD"),
        ("history 1 load mem", 400, "usage: history NODE FIELD"),
        ("history 1 laod", 400, "did you mean load?"),
        ("history 1 load,load", 400, "each once"),
        ("history 1 load --since yesterday", 400, "--since is a moment such as"),
        ("history 1 load --points 0", 400, "whole number from 1"),
        ("history 1 load --since", 400, "--since takes a value"),
        ("history 1 load --from 3", 400, "it has --since --until --points"),
        ("history 1 load --since 1 --since 2", 400, "given twice"),
        ("history 1 load --since 5m --until 10m", 400, "is later than --until"),
        ("events --since 5m --until 1h", 400, "give the earlier moment to --since"),
        ("measures fork_", 404, "did you mean forks?"),
        ("measures nosuch", 404, "`measures` lists what there is"),
        ("history 17 load", 404, "there is no node 17"),
        ("history gamma busy_percent", 404, "of other nodes only load,"),
        ("nodes 1", 400, "usage: nodes"),
        ("nodes --at 03:12", 400, "--at is a moment such as"),
        ("ps --at", 400, "--at takes a value"),
        ("ps --of 2", 400, "--of is for the past"),
        ("ps 4711 --at 1h", 404, "there was no process 4711"),
        ("events 3", 400, "events has no option 3: it has --kind --newest --since --until"),
    ],
)
def test_what_is_wrong_is_said(node: Remembering, line: str, code: int, words: str) -> None:
    """With the right way to say it."""
    heard = Talk(node).say(line)
    assert heard.startswith(f"{code} ")
    assert words in heard


def test_nodes_of_a_moment(node: Remembering) -> None:
    """As they were then."""
    first, rows = said(node, "nodes --at 59m")
    assert first.startswith("201 2 nodes, 2 up at 2001-09-09T00:47:40Z, as node 1 alpha remembers them")
    assert [(row["id"], row["up"], row["load"]) for row in rows] == [(1, True, 200), (3, True, 300)]


def test_without_a_history(node: Remembering) -> None:
    """The error says what to set; events since the start are known all the same."""
    none = ThreeNodes()
    none.publish(DOWN)
    for line in ("history 1 load", "nodes --at 1h", "ps --at 1h"):
        assert "set [history] kind = sqlite" in Talk(none).say(line)
    heard = Talk(none).say("events --since 2h")
    assert heard.startswith("201 1 events, only those since the start of this daemon")
    assert BETA.name not in heard


def test_measures(node: Remembering) -> None:
    """All, or those whose names begin so; their labels are an object."""
    first, rows = said(node, "measures")
    assert (first, len(rows)) == ("201 2 measures", 2)
    assert said(node, "measures file")[1] == [
        {"name": "filesystem_free_bytes", "labels": {"mountpoint": "/"}, "value": 7e9, "kind": "gauge",
         "text": "free space"}
    ]  # fmt: skip
    for row in rows:
        jsonschema.validate(row, json.loads((DIRECTORY / "measures.json").read_text(encoding="utf-8")))
    assert "mountpoint=/" in Talk(node).say("measures")
