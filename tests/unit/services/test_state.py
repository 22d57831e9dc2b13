"""STATE: private, and one daemon's at a time."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from gomd.services.state import StateDirectory
from libgomd.errors import ConfigError


def test_it_is_made_and_private(tmp_path: Path) -> None:
    """With all directories above it, whatever the umask."""
    path = tmp_path / "var" / "lib" / "gomd"
    state = StateDirectory(str(path))
    state.take()
    assert stat.S_IMODE(path.stat().st_mode) == 0o700
    assert stat.S_IMODE((path / "lock").stat().st_mode) == 0o600
    state.release()


def test_only_one_has_it(tmp_path: Path) -> None:
    """The second is told who; released, the next may have it."""
    first, second = StateDirectory(str(tmp_path)), StateDirectory(str(tmp_path))
    tmp_path.chmod(0o700)
    first.take()
    first.sign()
    with pytest.raises(ConfigError, match=rf"pid {os.getpid()}\)"):
        second.take()
    first.release()
    second.take()
    second.release()


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o707])
def test_one_that_others_may_write_is_refused(tmp_path: Path, mode: int) -> None:
    """They could put a socket of their own there."""
    tmp_path.chmod(mode)
    with pytest.raises(ConfigError, match="written by others"):
        StateDirectory(str(tmp_path)).take()


def test_what_is_no_directory_is_refused(tmp_path: Path) -> None:
    """One sentence that names the setting."""
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "state"):
        with pytest.raises(ConfigError, match="--state-dir"):
            StateDirectory(str(path)).take()


def test_a_lock_that_points_elsewhere_is_not_followed(tmp_path: Path) -> None:
    """What it points at stays as it is."""
    precious = tmp_path / "precious"
    precious.write_text("keep")
    (tmp_path / "state").mkdir(0o700)
    (tmp_path / "state" / "lock").symlink_to(precious)
    with pytest.raises(ConfigError, match="cannot be used"):
        StateDirectory(str(tmp_path / "state")).take()
    assert precious.read_text() == "keep"
