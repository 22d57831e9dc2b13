"""What a job of `gom run` begins with, and commands that cannot be started."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.integration.daemon import PATIENCE, Daemon
from tests.integration.jobs import GOM, gom, jobs

pytestmark = pytest.mark.usefixtures("run_program")


def test_the_surroundings_come_along(daemon: Daemon, tmp_path: Path) -> None:
    """Directory, environment and umask are the caller's."""
    script = "import os; print(os.getcwd(), os.environ['COLOUR'], os.umask(0))"
    done = gom(
        daemon, "run", "python3", "-c", script, env={"COLOUR": "blä\udcff"}, cwd=tmp_path, umask=0o27
    )  # fmt: skip
    assert done.stdout == os.fsencode(f"{tmp_path} blä\udcff {0o27}\n")


@pytest.mark.parametrize(
    ("command", "status", "sentence"),
    [
        (["no-such-command"], 127, b"gom: no-such-command: command not found\n"),
        (["/etc/passwd"], 126, b"gom: /etc/passwd: Permission denied\n"),
        (["/no/such"], 127, b"gom: /no/such: command not found\n"),
    ],
)
def test_a_command_that_cannot_be_started(
    daemon: Daemon, command: list[str], status: int, sentence: bytes
) -> None:
    """127 and 126 as in a shell, with one sentence."""
    done = gom(daemon, "run", *command)
    assert (done.returncode, done.stdout, done.stderr) == (status, b"", sentence)
    assert jobs(daemon) == []


def test_a_directory_that_is_gone_is_said(daemon: Daemon, tmp_path: Path) -> None:
    """No job runs in a directory that is not the caller's."""
    gone = tmp_path / "gone"
    gone.mkdir()
    script = f'rmdir {gone}; exec "$@"'
    done = subprocess.run(
        ["sh", "-c", script, "sh", *GOM, "-c", daemon.unix, "run", "true"],
        cwd=gone, capture_output=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert b"director" in done.stderr


@pytest.mark.one_program
def test_a_command_has_nothing_of_the_daemons(daemon: Daemon) -> None:
    """No open file but its three streams, every signal at its default."""
    script = "ls /proc/self/fd | wc -l; grep SigIgn /proc/self/status"
    files, _name, ignored = gom(daemon, "run", "sh", "-c", script).stdout.split()
    assert files == b"4"
    assert int(ignored, 16) & 0x7FFFFFFF == 0  # 32 and 33 are the C library's own
