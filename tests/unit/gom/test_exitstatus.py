"""`gom do` ends as the command did."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gom.exitstatus import FAILED, ExitStatus


def status(lines: list[str], as_json: bool = False) -> int:
    """Return the status after these lines, which have to come through unchanged."""
    ended = ExitStatus(as_json)
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


@given(st.lists(st.text()), st.booleans())
def test_any_lines_give_some_status(lines: list[str], as_json: bool) -> None:
    """Whatever a daemon answers."""
    assert 0 <= status(lines, as_json) <= 999
