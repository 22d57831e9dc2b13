"""The journal: what was put is there again, whatever happened to the last line."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
from hypothesis import given

from gomd.jobs.journal import COMPACT_AT, Journal, replay

Changes = list[tuple[int, dict[str, Any] | None]]
changes = st.lists(
    st.tuples(st.integers(1, 5), st.none() | st.dictionaries(st.text(max_size=3), st.integers(), max_size=2)),
    max_size=12,
)


def _lines(made: Changes) -> list[bytes]:
    return [json.dumps([key, value]).encode() + b"\n" for key, value in made]


def _expected(made: Changes) -> dict[int, dict[str, Any]]:
    values: dict[int, dict[str, Any]] = {}
    for key, value in made:
        if value is None:
            values.pop(key, None)
        else:
            values[key] = value
    return values


@given(changes, st.integers(0, 200))
def test_a_torn_last_line_costs_that_line_only(made: Changes, cut: int) -> None:
    """Whatever a crash leaves of the last line, everything before it counts."""
    lines = _lines(made)
    if lines:
        torn = lines[-1][: min(cut, len(lines[-1]) - 2)]
        assert replay([*lines[:-1], torn]) == _expected(made[:-1])
    assert replay(lines) == _expected(made)


@given(st.lists(st.binary(max_size=30), max_size=6))
def test_any_bytes_are_read(lines: list[bytes]) -> None:
    """Nothing is raised."""
    assert isinstance(replay(lines), dict)


def test_what_was_put_is_there_after_a_crash(tmp_path: Path) -> None:
    """Without a close, and with half a line at the end."""
    journal = Journal(str(tmp_path / "jobs" / "journal"))
    journal.open()
    journal.put(1, {"state": "running"})
    journal.put(2, {"state": "running"})
    journal.put(1, {"state": "done"})
    journal.put(2, None)
    with open(tmp_path / "jobs" / "journal", "ab") as file:
        file.write(b'[3, {"state": "run')
    again = Journal(str(tmp_path / "jobs" / "journal"))
    again.open()
    assert again.values == {1: {"state": "done"}}
    again.put(4, {"state": "starting"})
    third = Journal(str(tmp_path / "jobs" / "journal"))
    third.open()
    assert third.values == {1: {"state": "done"}, 4: {"state": "starting"}}
    for each in (journal, again, third):
        each.close()


def test_it_does_not_grow_for_ever(tmp_path: Path) -> None:
    """Superseded lines go."""
    path = tmp_path / "journal"
    journal = Journal(str(path))
    journal.open()
    for number in range(2 * COMPACT_AT + 10):
        journal.put(1, {"number": number})
    assert path.read_bytes().count(b"\n") <= COMPACT_AT + 1
    assert journal.values == {1: {"number": 2 * COMPACT_AT + 9}}
    journal.close()


def test_a_full_disk_is_counted_and_not_raised(tmp_path: Path) -> None:
    """The daemon goes on with what it knows."""
    path = tmp_path / "journal"
    journal = Journal(str(path))
    journal.open()
    journal.close()
    full = os.open("/dev/full", os.O_WRONLY)
    journal._file = full
    journal.put(1, {"state": "running"})
    assert journal.failed == 1
    assert journal.values == {1: {"state": "running"}}
    os.close(full)
