"""STATE of somebody else, and links in it: the daemon writes where it is told to, and nowhere else."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.conftest import StartDaemon
from tests.integration.daemon import QUIET, run
from tests.integration.jobs import gom
from tests.integration.test_start import refusal

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root's daemon could write where others want")


class Precious:
    """A file and a directory of root's that a link leads to."""

    def __init__(self, home: Path) -> None:
        self.file, self.directory = home / "file", home / "directory"
        self.file.write_text("precious\n")
        self.file.chmod(0o640)
        self.directory.mkdir(0o750)
        self._before = self._look()

    def _look(self) -> tuple[object, ...]:
        places = (self.file, self.directory)
        modes = [(found.st_mode, found.st_uid) for found in (os.stat(place) for place in places)]
        return self.file.read_text(), sorted(os.listdir(self.directory)), *modes

    def plant(self, path: Path, directory: bool) -> None:
        """Make a link at ``path`` that leads here."""
        path.parent.mkdir(0o700, exist_ok=True, parents=True)
        path.symlink_to(self.directory if directory else self.file)

    def check(self) -> None:
        """Check that nothing here has changed."""
        assert self._look() == self._before


@root_only
def test_roots_daemon_refuses_the_state_of_a_user(tmp_path: Path) -> None:
    """Whatever that user has put there: nothing is written through it, and one sentence says why."""
    precious = Precious(tmp_path)
    state = tmp_path / "state"
    state.mkdir(0o700)
    for name in ("lock", "gomd.sock", "jobs", "spool", "samples"):
        precious.plant(state / name, directory=name in ("jobs", "spool", "samples"))
    for path in (state, *state.iterdir()):
        os.chown(path, 65534, 65534, follow_symlinks=False)
    sentence = refusal(run(tmp_path, "--state-dir", str(state)))
    assert f"STATE {state} belongs to another user, 65534" in sentence
    assert "state_dir" in sentence
    precious.check()


@root_only
def test_roots_daemon_refuses_a_state_below_a_users_directory(tmp_path: Path) -> None:
    """The directory itself is root's, but the user may put another one in its place."""
    home = tmp_path / "home"
    home.mkdir()
    (home / "state").mkdir(0o700)
    os.chown(home, 65534, 65534)
    assert f"{home} on the way to it belongs" in refusal(run(tmp_path, "--state-dir", str(home / "state")))


@pytest.mark.parametrize(
    ("name", "directory"), [("lock", False), ("spool", True), ("spool/log", False), ("jobs/journal", False)]
)
def test_no_link_in_state_is_written_through(
    start_daemon: StartDaemon, tmp_path: Path, name: str, directory: bool
) -> None:
    """At any depth and at every name: the start is refused until it is gone."""
    precious = Precious(tmp_path)
    home = tmp_path / "daemon"
    state = home / "state"
    state.mkdir(0o700, parents=True)
    precious.plant(state / name, directory)
    (home / "gomd.ini").write_text(QUIET)
    sentence = refusal(run(home, "--state-dir", str(state)))
    assert f"{name} is a symbolic link" in sentence or name == "lock"
    precious.check()
    (state / name).unlink()
    daemon = start_daemon(home=home)  # and now what came there while it ran
    if name.startswith(("jobs/", "spool/")) and not (state / name).exists():
        precious.plant(state / name, directory)
    gom(daemon, "run", "--detach", "true")
    assert daemon.stop() in (0, -15)
    assert "Traceback" not in daemon.log
    precious.check()


@root_only
@pytest.mark.skipif(shutil.which("setpriv") is None, reason="setpriv (util-linux) is not installed")
def test_root_changes_no_tokens_over_a_users_link(tmp_path: Path) -> None:
    """`gom token add` in the STATE of a daemon that runs as somebody else."""
    secret, tokens = tmp_path / "secret", tmp_path / "tokens"
    secret.write_text("# root's own\n")
    secret.chmod(0o600)
    tokens.symlink_to(secret)
    os.chown(tokens, 65534, 65534, follow_symlinks=False)
    done = subprocess.run(
        [sys.executable, "-c", "import sys; from gom.command import run; sys.exit(run())",
         "token", "add", "ann", "user", "--file", str(tokens)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert "symbolic link of user 65534" in done.stderr
    assert secret.read_text() == "# root's own\n"


def test_the_directory_of_a_socket_is_open_to_all(start_daemon: StartDaemon, tmp_path: Path) -> None:
    """A daemon that is started with umask 077 makes /run/gomd, or another, so that users get in."""
    mask = os.umask(0o077)
    try:
        daemon = start_daemon("--telnet", f"tcp:127.0.0.1:0,unix:{tmp_path}/run/sock")
    finally:
        os.umask(mask)
    assert stat.S_IMODE((tmp_path / "run").stat().st_mode) == 0o755
    assert stat.S_IMODE((tmp_path / "run" / "sock").stat().st_mode) == 0o666
    assert stat.S_IMODE(daemon.state.stat().st_mode) == 0o700


@root_only
def test_a_socket_in_a_users_directory_is_refused(tmp_path: Path) -> None:
    """Its user could put another daemon's socket there, and be told the secrets of those who come."""
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    os.chown(theirs, 65534, 65534)
    options = ("--state-dir", str(tmp_path / "state"), "--telnet", f"unix:{theirs}/sock")
    assert "belongs to user 65534" in refusal(run(tmp_path, *options))
