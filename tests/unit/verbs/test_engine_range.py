"""Which engine is for how many nodes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gomd.verbs.engine_range import FIRST_CHOICE, LARGEST, engine_finding
from libgomd.model import FindingState

PAGE = Path(__file__).parents[3] / "docs" / "membership.md"


@pytest.mark.parametrize(
    ("engines", "nodes", "state", "text"),
    [
        (("heartbeat",), 3, FindingState.GOOD, "engine heartbeat, 3 nodes"),
        (("heartbeat",), 151, FindingState.GOOD, "swim is another choice"),
        (("heartbeat",), 1000, FindingState.GOOD, "engine heartbeat, 1000 nodes"),
        (("heartbeat",), 1001, FindingState.WARN, "is for up to 1000 nodes, and 1001 are listed"),
        (("map",), 1001, FindingState.WARN, "engine map, which"),
        (("swim",), 9000, FindingState.GOOD, "engine swim, 9000 nodes"),
        (("serf",), 9000, FindingState.GOOD, "engine serf, 9000 nodes"),
        (
            ("heartbeat", "serf"),
            9000,
            FindingState.GOOD,
            "heartbeat and serf, 9000 nodes; two",
        ),
    ],
)
def test_the_finding(engines: tuple[str, ...], nodes: int, state: FindingState, text: str) -> None:
    """A cluster that has outgrown its engine is told which ones are for it, and how it gets there."""
    found = engine_finding(engines, nodes)
    assert (found.state, found.value) == (state, nodes)
    assert text in found.text
    assert ("swim or serf" in found.mend) == (state is FindingState.WARN)


def test_the_table_of_the_page_has_the_same_numbers() -> None:
    """docs/membership.md begins with it."""
    table = re.findall(r"^\| (.*) \| (.*) \|$", PAGE.read_text("utf-8"), re.MULTILINE)[:6]
    assert table[2] == (f"2 to {FIRST_CHOICE} nodes", "`heartbeat`, the default")
    assert table[3][0] == f"to {LARGEST['heartbeat']:,} nodes"
    assert f"to {LARGEST['map']:,}" in table[5][0]
