"""An upgrade below a running daemon: it never mixes two versions, says what to do, and loses no job."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.integration.daemon import Daemon
from tests.integration.jobs import gom

ROOT = Path(__file__).parents[2]
REPLACED = "the files of gomd were replaced after this daemon had started: restart it"


class Installed(Daemon):
    """A daemon that runs from a copy of gomd, which can be upgraded."""

    def install(self, place: Path) -> None:
        """Copy gomd there, and run from it."""
        self.place = place
        for name in ("gomd", "libgomd", "twisted"):
            shutil.copytree(ROOT / name, place / name, ignore=shutil.ignore_patterns("__pycache__"))

    def command(self) -> Sequence[str]:
        """See `Daemon.command`."""
        return ("env", f"PYTHONPATH={self.place}", *super().command())

    def upgrade(self) -> None:
        """Replace a file by another version, as a package manager does."""
        file = self.place / "gomd" / "jobs" / "service.py"
        new = file.with_suffix(".new")
        new.write_text(f"{file.read_text()}# another version\n")
        new.rename(file)


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Installed]:
    installed = Installed(tmp_path / "home", "--set", "history.kind=none")
    installed.install(tmp_path / "installed")
    installed.start()
    try:
        yield installed
    finally:
        installed.stop()


def test_what_was_not_loaded_yet_waits_for_a_restart(daemon: Installed) -> None:
    """A first job and a reload are refused; everything else goes on, and after a restart these do too."""
    daemon.upgrade()
    refused = gom(daemon, "run", "true")
    assert refused.returncode == 1
    assert REPLACED in refused.stderr.decode()
    daemon.signal(signal.SIGHUP)
    daemon.wait_for(f"the configuration stays as it was: {REPLACED}")
    assert gom(daemon, "load").returncode == 0
    assert gom(daemon, "jobs").returncode == 0
    daemon.stop()
    daemon.start()
    assert gom(daemon, "run", "true").returncode == 0


def test_a_daemon_that_has_had_a_job_runs_more(daemon: Installed) -> None:
    """What runs jobs is loaded as a whole, and stays the version it was."""
    assert gom(daemon, "run", "true").returncode == 0
    daemon.upgrade()
    assert gom(daemon, "run", "true").returncode == 0
    assert REPLACED not in daemon.log
