"""What is checked of the database of the history before a start, and by `gom doctor`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gomd.config import Config, Environment, load
from gomd.tap.checking import mistakes_in_files
from gomd.tap.databases import check_database
from gomd.tap.examining import Examining
from libgomd.errors import ConfigError
from libgomd.installation import installation


def config_of(directory: Path, *more: str) -> Config:
    around = Environment(cwd=str(directory), uid=0, environ={}, hostname="alpha")
    settings = (
        "history.kind=postgresql",
        "history.database=dbname=gomd",
        f"node.state_dir={directory}/state",
    )
    return load(None, (*settings, *more), around)


@pytest.mark.parametrize(
    ("content", "mode", "word"),
    [
        (b"hunter2\n", 0o640, "chmod 600"),
        (b"hunter2\n", 0o604, "others may use it"),
        (b"\nhunter2\n", 0o600, "its first line must be the password"),
        (b"hunter2" * 200, 0o600, "its first line must be the password"),
        (b"hunter2\xff\n", 0o600, "its first line must be the password"),
        (None, 0o600, "No such file"),
    ],
)
def test_a_password_file_that_cannot_be_used(
    content: bytes | None, mode: int, word: str, tmp_path: Path
) -> None:
    """`--check` and `gom doctor` say what to do, and never the password."""
    file = tmp_path / "password"
    if content is not None:
        file.write_bytes(content)
        file.chmod(mode)
    config = config_of(tmp_path, f"history.password_file={file}")
    [told] = [each for each in mistakes_in_files(config) if "password_file" in each]
    assert word in told
    assert "hunter2" not in told
    [found] = [each for each in Examining(lambda: config, tuple).examine(True) if each.check == "password"]
    assert word in found.text
    assert "hunter2" not in f"{found}{config}"


def test_a_symbolic_link_and_a_stranger_are_refused(tmp_path: Path) -> None:
    """A file that somebody else may change decides nothing."""
    file, link = tmp_path / "password", tmp_path / "link"
    file.write_text("hunter2\n")
    file.chmod(0o600)
    link.symlink_to(file)
    with pytest.raises(ConfigError, match="symbolic link"):
        check_database(config_of(tmp_path, f"history.password_file={link}"))
    if os.geteuid() == 0:
        os.chown(file, 65534, -1)
        with pytest.raises(ConfigError, match="belongs to user 65534"):
            check_database(config_of(tmp_path, f"history.password_file={file}"))
        os.chown(file, 0, -1)
    check_database(config_of(tmp_path, f"history.password_file={file}"))


def test_without_psycopg() -> None:
    """The start is refused with what to install."""
    code = (
        "import sys; sys.modules['psycopg'] = None\n"
        "from gomd.config import Environment, load\n"
        "from gomd.tap.databases import check_database\n"
        "around = Environment(cwd='/', uid=0, environ={}, hostname='alpha')\n"
        "check_database(load(None, ['history.kind=postgresql', 'history.database=dbname=gomd'], around))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert installation().libraries("postgresql") in done.stderr


def test_nothing_is_checked_where_nothing_is_collected(tmp_path: Path) -> None:
    """A password file that is left from a try does not refuse the start."""
    check_database(config_of(tmp_path, "history.kind=sqlite", "history.password_file=/nonexistent"))
