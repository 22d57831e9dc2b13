"""`gom do` ends as the command did."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gom.exitstatus import FAILED, ExitStatus


def status(lines: list[str], as_json: bool = False, everywhere: bool = False) -> int:
    """Return the status after these lines, which have to come through unchanged."""
    ended = ExitStatus(as_json, everywhere)
    assert list(ended.follow(lines)) == lines
    return ended.status


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["hello", "exit 0"], 0), (["exit 3"], 3), (["exit 5", "exit 0"], 0), (["exit 137"], 137),
        (["exit 0", "exit 5"], 5), (["hello"], FAILED), ([], FAILED), (["exit 5 of them"], FAILED),
    ],
)  # fmt: skip
def test_the_last_line_is_the_daemons(lines: list[str], expected: int) -> None:
    """Whatever the command itself prints."""
    assert status(lines) == expected
    rows = [json.dumps({"line": line, "exit": None}) for line in lines[:-1]]
    if lines and lines[-1].removeprefix("exit ").isdigit():
        rows.append(json.dumps({"line": None, "exit": int(lines[-1].removeprefix("exit "))}))
        assert status(rows, as_json=True) == expected


def test_of_many_nodes_the_first_that_failed_counts() -> None:
    """One that could not run it counts as well; 0 is all of them."""
    assert status(["1: up", "1: exit 0", "2: exit 0"], everywhere=True) == 0
    assert status(["1: exit 0", "2: exit 4", "3: exit 5"], everywhere=True) == 4
    assert status(["1: exit 0", "2: 404 there is no command no"], everywhere=True) == FAILED
    rows = [{"from": 1, "line": None, "exit": 0}, {"from": 2, "line": "x", "exit": None},
            {"from": 2, "line": None, "exit": 143}, {"from": 3, "code": 504, "error": "late"}]  # fmt: skip
    assert status([json.dumps(row) for row in rows], as_json=True, everywhere=True) == 143
    assert status([json.dumps(rows[0]), json.dumps(rows[3])], as_json=True, everywhere=True) == FAILED


@given(st.lists(st.text()), st.booleans(), st.booleans())
def test_any_lines_give_some_status(lines: list[str], as_json: bool, everywhere: bool) -> None:
    """Whatever a daemon answers."""
    assert 0 <= status(lines, as_json, everywhere) <= 999
