"""Who may see which process of then, and which rates."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tests.unit.protocols.talk import Talk
from tests.unit.verbs.past.remembering import ADA, OWN, READER, Remembering, said


def test_who_may_see_processes_then(node: Remembering) -> None:
    """The rules of now: rates for the owner, others only where /proc hides nothing, neither now nor then."""

    def shown(**who: Any) -> list[tuple[int, Any]]:
        return [(row["pid"], row["read_rate"]) for row in said(node, "ps --at 59m", **who)[1]]

    assert shown() == [(5, 10.0), (6, 7.0)]
    assert shown(**ADA) == [(5, 10.0), (6, None)]
    assert shown(**READER) == [(5, None), (6, None)]
    node.history.hidden = True  # type: ignore[attr-defined]
    assert shown(**ADA) == [(5, 10.0)]
    assert shown(**READER) == []
    assert shown() == [(5, 10.0), (6, 7.0)]
    node.history.hidden, node.hides = False, True  # type: ignore[attr-defined]
    assert shown(**ADA) == [(5, 10.0)]
    assert Talk(node, **ADA).say("ps 6 --at 59m").startswith("404 ")  # type: ignore[arg-type]


def test_an_owner_on_another_node_has_the_same_name(node: Remembering) -> None:
    """A uid alone may be somebody else's there."""
    there = replace(OWN, node=3, home=3, user="eve", identity="3-5-100")
    node.history.tables[3] = (there,)  # type: ignore[attr-defined]
    [row] = said(node, "@3 ps --at 59m", **ADA)[1]
    assert row["read_rate"] is None
    node.history.hidden = True  # type: ignore[attr-defined]
    assert said(node, "@3 ps --at 59m", **ADA)[1] == []


def test_hidden_rates_do_not_rank_then(node: Remembering) -> None:
    """`--sort io` is by what the caller may see; the selection is that of `ps`."""
    assert [row["pid"] for row in said(node, "ps --at 59m --sort io --top 1", **ADA)[1]] == [5]
    first, rows = said(node, "ps --at 59m --fields pid,command --match SECRET")
    assert (rows, first[:8]) == ([{"pid": 6, "command": "./secret"}], "201 1 of")
    assert [row["pid"] for row in said(node, "ps --at 59m --jobs")[1]] == [5]
