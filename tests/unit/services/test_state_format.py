"""The format of STATE: written once, and a newer or damaged one refused in a sentence."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gomd.services.state_format import FORMAT, check_format, sign_format
from libgomd.errors import ConfigError
from libgomd.version import VERSION


def test_a_state_without_it_is_from_before(tmp_path: Path) -> None:
    """It can be used, and then it says by whom; a second start writes nothing."""
    check_format(str(tmp_path))
    sign_format(str(tmp_path))
    file = tmp_path / "format"
    assert file.read_text() == f"{FORMAT} {VERSION}\n"
    assert file.stat().st_mode & 0o777 == 0o600
    written = file.stat().st_ino
    sign_format(str(tmp_path))
    assert file.stat().st_ino == written
    check_format(str(tmp_path))


def test_an_older_version_s_is_written_anew(tmp_path: Path) -> None:
    """Whatever format it had."""
    (tmp_path / "format").write_text("0 0.0.1\n")
    check_format(str(tmp_path))
    sign_format(str(tmp_path))
    assert (tmp_path / "format").read_text() == f"{FORMAT} {VERSION}\n"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (f"{FORMAT + 1} 9.9.9\n".encode(), "install gomd 9.9.9 again"),
        (f"{FORMAT} 1.0\nmore".encode(), "is damaged"),
        (b"1 " + b"9" * 500 + b"\n", "is damaged"),
        (b"one 1.0\n", "is damaged"),
        (b"", "is damaged"),
    ],
)
def test_others_are_refused(tmp_path: Path, content: bytes, said: str) -> None:
    """With what to do."""
    (tmp_path / "format").write_bytes(content)
    with pytest.raises(ConfigError) as refused:
        check_format(str(tmp_path))
    [mistake] = refused.value.mistakes
    assert said in mistake


def test_a_link_and_a_directory_are_refused(tmp_path: Path) -> None:
    """Neither is followed or waited for."""
    os.symlink("/etc/passwd", tmp_path / "format")
    with pytest.raises(ConfigError, match="cannot be read"):
        check_format(str(tmp_path))
    (tmp_path / "format").unlink()
    os.mkfifo(tmp_path / "format")
    with pytest.raises(ConfigError, match="cannot be read"):
        check_format(str(tmp_path))
