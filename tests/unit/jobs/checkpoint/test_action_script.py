"""The script by which criu asks, and what is left of one."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from gomd.jobs.checkpoint.action_script import DUMPED, ActionScript


def test_pipes_that_were_left_are_replaced(tmp_path: Path) -> None:
    """A child that got ready to freeze the job and was killed left them; the next one must do without it."""
    for name in ("ask", "answer"):
        os.mkfifo(tmp_path / name)
    left = os.stat(tmp_path / "ask").st_ino
    holder = os.open(tmp_path / "ask", os.O_RDWR)  # keeps its inode from being used again
    script = ActionScript(str(tmp_path), {DUMPED: lambda _pid: None})
    try:
        made = os.stat(tmp_path / "ask")
        assert stat.S_ISFIFO(made.st_mode)
        assert made.st_ino != left
    finally:
        script.close()
        os.close(holder)
    assert os.listdir(tmp_path) == []
