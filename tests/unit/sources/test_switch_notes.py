"""Why switches are set: kept over restarts, whatever became of the file meanwhile."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from gomd.sources.switch_notes import SwitchNotes
from libgomd.model import MAX_REASON, Switch

NOTE = Switch("block", True, 1_700_000_000.5, "ada", "the disk is replaced, 日曜日")


def test_notes_are_there_again(tmp_path: Path) -> None:
    """The newest of each switch, in a file of the daemon's alone."""
    notes = SwitchNotes(str(tmp_path / "state"))
    assert notes.notes() == {}
    notes.write(Switch("block", False, 1.0))
    notes.write(NOTE)
    notes.write(Switch("stay", True, 2.0))
    expected = {"block": NOTE, "stay": Switch("stay", True, 2.0)}
    assert notes.notes() == expected
    assert SwitchNotes(str(tmp_path / "state")).notes() == expected
    assert stat.S_IMODE(os.stat(tmp_path / "state" / "switches.json").st_mode) == 0o600


@pytest.mark.parametrize("text", [b"", b"[]", b"\xff", b'{"block": 3}', b"{" * 70000])
def test_a_damaged_file_is_no_note(tmp_path: Path, text: bytes) -> None:
    """And the next note replaces it."""
    (tmp_path / "switches.json").write_bytes(text)
    notes = SwitchNotes(str(tmp_path))
    assert notes.notes() == {}
    notes.write(NOTE)
    assert SwitchNotes(str(tmp_path)).notes() == {"block": NOTE}


def test_only_what_is_right_is_taken(tmp_path: Path) -> None:
    """Of an edited file: no other switches, no other types, no long texts."""
    fields = {"switch": "stay", "set": True, "since": 5, "by": "ada", "reason": "r"}
    (tmp_path / "switches.json").write_text(json.dumps({
        "stay": {**fields, "by": 7, "reason": "x" * (MAX_REASON + 1)}, "rm": fields,
        "lstay": {**fields, "since": 1e300}, "quiet": {**fields, "set": 1}, "block": fields,
    }))  # fmt: skip
    assert SwitchNotes(str(tmp_path)).notes() == {
        "stay": Switch("stay", True, 5.0), "block": Switch("block", True, 5.0, "ada", "r"),
    }  # fmt: skip


def test_a_full_disk_loses_the_note_with_the_daemon_only(tmp_path: Path) -> None:
    """The switch is set already, so this is no failure."""
    (tmp_path / "state").write_text("no directory")
    notes = SwitchNotes(str(tmp_path / "state"))
    notes.write(NOTE)
    assert notes.notes() == {"block": NOTE}
