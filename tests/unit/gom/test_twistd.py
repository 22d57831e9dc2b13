"""Which program starts the daemon: twistd of this environment, or Debian's twistd3."""

from __future__ import annotations

from pathlib import Path

from gom.twistd import find_twistd


def program(path: Path) -> str:
    """An executable file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return str(path)


def test_the_one_beside_this_python_comes_first(tmp_path: Path) -> None:
    """A virtual environment's before any in PATH, and either name; one that cannot be run is none."""
    python, path = str(tmp_path / "venv" / "python"), str(tmp_path / "bin")
    assert find_twistd(python, path) is None
    debian = program(tmp_path / "bin" / "twistd3")
    assert find_twistd(python, path) == debian
    other = program(tmp_path / "bin" / "twistd")
    assert find_twistd(python, path) == other
    beside = program(tmp_path / "venv" / "twistd3")
    assert find_twistd(python, path) == beside
    own = program(tmp_path / "venv" / "twistd")
    assert find_twistd(python, path) == own
    Path(own).chmod(0o644)
    assert find_twistd(python, path) == beside
