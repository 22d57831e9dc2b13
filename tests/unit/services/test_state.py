"""STATE: private, and one daemon's at a time."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from gomd.services.state import StateDirectory, check_directory
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
    with pytest.raises(ConfigError, match="no plain file"):
        StateDirectory(str(tmp_path / "state")).take()
    assert precious.read_text() == "keep"


#: What a daemon makes in STATE, and more.
NAMES = (
    "anything", "gomd.sock", "tokens", "speed.json", "settings.json", "ssh_host_ed25519_key", "key",
    "samples",
    "samples/node", "jobs", "jobs/journal", "jobs/journal.new", "jobs/migrations", "spool", "spool/log",
    "spool/moving", "tls", "speed.json.new",
)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_link_in_it_is_refused(tmp_path: Path, name: str) -> None:
    """Wherever it leads: it may have been made when STATE was others' to write."""
    state = tmp_path / "state"
    state.mkdir(0o700)
    precious = tmp_path / "precious"
    precious.write_text("keep")
    link = state / name
    link.parent.mkdir(exist_ok=True, parents=True)
    for target in (precious, tmp_path, tmp_path / "none"):
        link.symlink_to(target)
        with pytest.raises(ConfigError, match=f"{name} is a symbolic link"):
            StateDirectory(str(state)).take()
        link.unlink()
    assert precious.read_text() == "keep"
    assert not (tmp_path / "none").exists()
    taken = StateDirectory(str(state))
    taken.take()
    taken.release()


def test_links_of_a_jobs_are_its_own(tmp_path: Path) -> None:
    """A job's private /tmp in its directory may have any."""
    state = tmp_path / "state"
    (state / "spool" / "1-7" / "tmp").mkdir(parents=True)
    state.chmod(0o700)
    (state / "spool" / "1-7" / "tmp" / "link").symlink_to("/etc/passwd")
    taken = StateDirectory(str(state))
    taken.take()
    taken.release()


def test_a_link_of_ones_own_to_it_is_followed(tmp_path: Path) -> None:
    """An administrator has put STATE on another disk."""
    (tmp_path / "disk").mkdir(0o700)
    (tmp_path / "state").symlink_to(tmp_path / "disk")
    state = StateDirectory(str(tmp_path / "state"))
    state.take()
    assert (tmp_path / "disk" / "lock").exists()
    state.release()


@pytest.mark.parametrize("kind", ["fifo", "directory"])
def test_a_lock_that_is_no_file_is_refused(tmp_path: Path, kind: str) -> None:
    """It is not waited for either."""
    tmp_path.chmod(0o700)
    os.mkfifo(tmp_path / "lock") if kind == "fifo" else (tmp_path / "lock").mkdir()
    with pytest.raises(ConfigError):
        StateDirectory(str(tmp_path)).take()


def test_a_spool_elsewhere_is_a_directory_of_its_own(tmp_path: Path) -> None:
    """It is made later; a link is not followed, for old files in it are removed."""
    check_directory("[jobs] spool", str(tmp_path / "none"))
    (tmp_path / "spool").mkdir(0o755)
    check_directory("[jobs] spool", str(tmp_path / "spool"))
    (tmp_path / "spool").chmod(0o1777)
    with pytest.raises(ConfigError, match="others may write to it"):
        check_directory("[jobs] spool", str(tmp_path / "spool"))
    assert stat.S_IMODE((tmp_path / "spool").stat().st_mode) == 0o1777
    (tmp_path / "spool").chmod(0o755)
    (tmp_path / "link").symlink_to("spool")
    with pytest.raises(ConfigError, match=r"^\[jobs\] spool .*link cannot be used \(it is a symbolic link\)"):
        check_directory("[jobs] spool", str(tmp_path / "link"))


root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give directories away")


@root_only
@pytest.mark.parametrize("what", ["state", "above", "entry", "link", "link above"])
def test_what_belongs_to_another_user_is_refused(tmp_path: Path, what: str) -> None:
    """STATE, a directory above it, something in it, a link on the way: they decide where root would write."""
    (tmp_path / "above").mkdir()
    state = tmp_path / "above" / "state"
    state.mkdir(0o700)
    (state / "tokens").write_text("")
    (tmp_path / "link").symlink_to(state)
    (tmp_path / "link above").symlink_to("above")
    path = {"link": tmp_path / "link", "link above": tmp_path / "link above" / "state"}.get(what, state)
    theirs = {"above": state.parent, "entry": state / "tokens", "state": state}.get(what, tmp_path / what)
    before = StateDirectory(str(path))
    before.take()
    before.release()
    os.chown(theirs, 12345, 12345, follow_symlinks=False)
    with pytest.raises(ConfigError, match="another user, 12345"):
        StateDirectory(str(path)).take()


@root_only
def test_a_spool_of_another_user_is_refused(tmp_path: Path) -> None:
    """Also below a directory of theirs."""
    (tmp_path / "theirs" / "spool").mkdir(parents=True)
    os.chown(tmp_path / "theirs", 12345, 12345)
    for path in (tmp_path / "theirs", tmp_path / "theirs" / "spool"):
        with pytest.raises(ConfigError, match="12345"):
            check_directory("[jobs] spool", str(path))


@root_only
def test_root_trusts_no_directory_that_everybody_writes_to(tmp_path: Path) -> None:
    """Unless it is as /tmp is: there nobody can rename what is another's."""
    above = tmp_path / "above"
    above.mkdir()
    above.chmod(0o777)
    with pytest.raises(ConfigError, match=r"everybody may write to .*above: chmod"):
        StateDirectory(str(above / "state")).take()
    above.chmod(0o1777)
    state = StateDirectory(str(above / "state"))
    state.take()
    state.release()
