"""The disk of [jobs] spool hangs when the first job comes: that job waits, and nothing else does."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.integration.daemon import PATIENCE, Daemon
from tests.integration.jobs import begin, gom, jobs, until
from tests.integration.test_hanging_disk import Disk, disk

__all__ = ["disk"]


class _SpoolInside(Daemon):
    """A daemon whose spool is on the disk, which only a mount namespace of another process has."""

    def __init__(self, disk: Disk, home: Path) -> None:
        super().__init__(home, "--set", f"jobs.spool={disk.path}/spool")
        self._inside = disk.pid

    def command(self) -> Sequence[str]:
        """What starts it, in its home."""
        there = ("nsenter", "-t", str(self._inside), "-m", "sh", "-c", 'cd "$0" && exec "$@"')
        return (*there, str(self.home), *super().command())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts a file system")
def test_the_first_job_waits_and_nobody_else(disk: Disk, tmp_path: Path) -> None:
    """Its directory cannot be made; when the disk answers again it runs."""
    with _SpoolInside(disk, tmp_path / "home") as daemon:
        with disk.hangs():
            waiting = begin(daemon, "run", "sh", "-c", "echo ran")
            until(lambda: any(row["state"] == "starting" for row in jobs(daemon)))
            with daemon.connect_unix() as line:
                for _ in range(5):
                    for request in ("load", "nodes", "jobs", "ps"):
                        assert line.ask(request).code in (200, 201)
            assert waiting.poll() is None
        out, err = waiting.communicate(timeout=PATIENCE)
        assert (waiting.returncode, out, err) == (0, b"ran\n", b"")


def test_a_pipe_in_the_place_of_its_log(tmp_path: Path) -> None:
    """Nobody reads it: the job is refused in one sentence, and the daemon answers."""
    with Daemon(tmp_path / "home") as daemon:
        spool = daemon.state / "spool"
        spool.mkdir(mode=0o700, exist_ok=True)
        os.mkfifo(spool / "log")
        outcome = gom(daemon, "run", "true")
        assert outcome.returncode == 1
        assert b"the file log in it cannot be used" in outcome.stderr
        with daemon.connect_unix() as line:
            assert line.ask("load").code == 200
        (spool / "log").unlink()
        assert gom(daemon, "run", "true").returncode == 0
