"""`watch --most N @all ps` on node 1 of three: the first rows of all nodes, chosen where they are merged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from gomd.verbs.schemas import watch_schema
from tests.unit.protocols.talk import Talk
from tests.unit.verbs.test_merged_watch import Watched, in_json, rows
from tests.unit.verbs.three_nodes import GAMMA, UP

FIELDS = "--fields=cpu_percent,identity,node,home,pid"


@pytest.fixture
def node() -> Watched:
    """Node 1 of three, all of which are up; its own processes use less than the others."""
    made = Watched()
    made.members.known = [each for each in made.members.known if each.id != 3] + [replace(GAMMA, status=UP)]
    made.jobs.away = []
    return made


def processes(node: int, *percents: float | None) -> list[dict[str, Any]]:
    """Rows of a node, ordered as it orders them."""
    return [
        {"cpu_percent": percent, "identity": f"{node}-{at}-7", "node": node, "home": node, "pid": at}
        for at, percent in enumerate(percents, 100)
    ]


def shown(heard: str) -> list[tuple[int, Any]]:
    return [(row["from"], row.get("pid", row.get("error"))) for row in rows(heard)]


def others(heard: str) -> list[tuple[int, Any]]:
    return [each for each in shown(heard) if each[0] != 1]


def test_the_first_of_all(node: Watched) -> None:
    """Those of one node stand together, and each says how many there are in all."""
    talk = in_json(node)
    said = talk.say(f"watch -n 1 --most 3 @all ps --top 4 {FIELDS}")
    assert said == "201 watching ps of @all every 1 s: send a line to stop\r\n"
    assert [each.request.arguments for each in node.asked] == [("-n", "1", "ps", "--top", "4", FIELDS)] * 2
    node.asked[0].round(1, *processes(2, 190.0, 150.0, 1.0, None), matched=40)
    node.asked[1].round(1, *processes(3, 170.0, 160.0), matched=2)
    heard = talk.heard()
    assert shown(heard) == [(2, 100), (3, 100), (3, 101)]
    found = rows(heard)
    own = found[0]["total"] - 42
    assert own > 0
    assert {(row["rows"], row["total"], row["rows_age"]) for row in found} == {(3, own + 42, 0)}
    assert [row["matched"] for row in found] == [40, 2, 2]


def test_a_process_that_is_looked_at_is_shown_wherever_it_ranks(node: Watched) -> None:
    """Whether its node or its home tells of it; once."""
    talk = in_json(node)
    talk.say(f"watch -n 1 --most 1 --with 2-102-7@3,3-101-7,9-9-9 @all ps --top 9 {FIELDS}")
    node.asked[0].round(1, *processes(2, 190.0, 150.0, 1.0))
    node.asked[1].round(1, *processes(3, 180.0, 160.0))
    assert shown(talk.heard()) == [(2, 100), (2, 102), (3, 101)]


def test_watches_of_other_sizes_share_the_streams(node: Watched) -> None:
    """To look at more rows asks no node anew."""
    few, many, everything = in_json(node), in_json(node), in_json(node)
    words = f"@all ps --top 4 {FIELDS}"
    few.say(f"watch -n 1 --most 1 {words}")
    node.asked[0].round(1, *processes(2, 190.0, 150.0))
    node.asked[1].round(1, *processes(3, 180.0))
    assert others(few.heard()) == [(2, 100)]
    assert others(many.say(f"watch -n 1 --most 3 {words}")) == [(2, 100), (2, 101), (3, 100)]
    assert others(everything.say(f"watch -n 1 {words}")) == [(2, 100), (2, 101), (3, 100)]
    assert len(node.asked) == 2
    few.say("load")
    node.clock.advance(1.0)
    many.say("load")
    assert not node.asked[0].closed
    everything.say("load")
    assert node.asked[0].closed


@pytest.mark.parametrize(
    ("sort", "values", "first"),
    [
        ("cpu", {"cpu_percent": [1, 2]}, 3), ("rss", {"rss": [7, 6]}, 2),
        ("time", {"cpu_seconds": [1, 2]}, 3), ("start", {"start_time": [1, 2]}, 3),
        ("pid", {"pid": [8, 9]}, 2), ("pid", {"pid": [9, 8]}, 3),
        ("io", {"read_rate": [1, None], "write_rate": [2, 4.5]}, 3), ("rss", {"rss": [None, 1]}, 3),
        ("rss", {"rss": [1, "x"]}, 2), ("cpu", {"cpu_percent": ["NaN", 0.5]}, 3),
    ],
)  # fmt: skip
def test_each_key_decides(node: Watched, sort: str, values: dict[str, Sequence[Any]], first: int) -> None:
    """The smallest pid comes first, of all others the largest; what is not known comes last."""
    node.members.known = [each for each in node.members.known if each.id != node.members.own_id]
    talk = in_json(node)
    talk.say(f"watch -n 1 --most 1 @all ps --top 4 --sort {sort}")
    for at, each in enumerate(node.asked):
        each.round(1, {name: both[at] for name, both in values.items()})
    assert [row["from"] for row in rows(talk.heard())] == [first]


def test_a_node_without_rows_is_always_told(node: Watched) -> None:
    """Which nodes do not answer must not depend on who is busy."""
    node.refuse = {3}
    talk = in_json(node)
    talk.say(f"watch -n 1 --most 1 @all ps --top 4 {FIELDS}")
    node.asked[0].round(1, *processes(2, 190.0))
    assert [(each, type(what)) for each, what in shown(talk.heard())] == [(2, int), (3, str)]


@pytest.mark.parametrize(
    "rows_of_3",
    [
        ['{"cpu_percent": 99, "node": 3, "from": 2, '],
        ['{"cpu_percent": 99, "node": 3, "\\u0066rom": 2, '],
        ['{"cpu_percent": 99, "node": 2, "home": 2, '],
        ['{"cpu_percent": 99, "total": 1, '],
        ['{"cpu_percent": 99, "command": "\x1b[2J", '],
        ['{"cpu_percent": 99, "command": "a\nb", '],
        ['{"cpu_percent": 99, "command": "é", '],
        ['{"cpu_percent": 99, "x": [1}, '],
        ['{"cpu_percent": 99, "x": ' + 2000 * "[" + 2000 * "]" + ", "],
        ['{"cpu_percent": 99, "x": 1} {, '],
        ['{"cpu_percent": 99, ', '["cpu_percent": 99, '],
    ],
)
@pytest.mark.parametrize("most", ["--most 3 ", ""])
def test_rows_that_pretend_are_not_passed_on(node: Watched, rows_of_3: list[str], most: str) -> None:
    """The node is listed with an error; the rows of others are shown all the same."""
    talk = in_json(node)
    talk.say(f"watch -n 1 {most}@all ps --top 4")
    node.asked[0].round(1, *processes(2, 190.0))
    node.asked[1].lines(*(f'{row}"round": 1, "rows": {len(rows_of_3)}}}' for row in rows_of_3))
    found = {row["from"]: row for row in rows(talk.heard())}
    assert found[2]["pid"] == 100
    assert "node 3" in found[3]["error"] or "a row" in found[3]["error"] or "process" in found[3]["error"]
    assert node.asked[1].closed
    node.clock.pump([0.5] * 4)
    assert len(node.asked) == 3  # it is asked again


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        ("watch --most 3 @all load", "for processes"), ("watch --most 3 @all ps", "needs an order"),
        ("watch --most 0 @all ps --top 3", "--most"), ("watch --most x @all ps --top 3", "--most"),
        ("watch --most 3 ps --top 3", "of several nodes"), ("watch --most", "--most needs a value"),
        ("watch --most 3 @all ps --top 3 --fields pid", "name it in --fields"),
        ("watch --with 1-2-3 @all ps --top 3", "adds to --most"),
        ("watch --most 1 --with 1-2 @all ps --top 3", "takes identities"),
        ("watch --most 1 --with 1-2-3 @all ps --top 3 --fields cpu_percent", "selects by identity"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_said_in_a_sentence(node: Watched, words: str, hint: str) -> None:
    """400, with what to do."""
    said = in_json(node).say(words)
    assert said.startswith("400 "), said
    assert hint in said
    assert not node.asked


def test_text_has_no_ranks(node: Watched) -> None:
    """It is said to ask for JSON."""
    assert "say `format json` first" in Talk(node).say("watch --most 3 @all ps --top 3")


def test_what_a_node_remembers_of_another_one_is_passed_on(node: Watched) -> None:
    """It does not pretend to have these processes."""
    talk = in_json(node)
    talk.say("watch -n 1 @all ps --at 15m --of 3")
    node.asked[0].round(1, {"node": 3, "home": 3, "pid": 7})
    node.asked[1].round(1)
    node.clock.advance(2.0)
    assert (2, 7) in shown(talk.heard())


def test_the_schema_names_what_a_row_has(node: Watched) -> None:
    """Beside the values of `ps`."""
    talk = in_json(node)
    talk.say(f"watch -n 1 --most 3 @all ps --top 4 {FIELDS}")
    node.asked[0].round(1, *processes(2, 190.0), matched=40)
    node.asked[1].round(1, *processes(3, 170.0), matched=1)
    known = watch_schema()["properties"]
    for row in rows(talk.heard()):
        more = row.keys() - {"cpu_percent", "identity", "node", "home", "pid"}
        assert more == {"from", "matched", "round", "rows", "rows_age", "total"}
        for name in more:
            assert type(row[name]) in {"integer": (int,), "number": (int, float)}[known[name]["type"]]
