"""The daemon as process 1 of a container, where there is no init beside it."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.daemon import PATIENCE, QUIET, TWISTD
from tests.integration.hosts import child_of
from tests.integration.jobs import GOM
from tests.integration.line import Line

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="namespaces need root"),
    pytest.mark.skipif(shutil.which("unshare") is None, reason="unshare (util-linux) is not installed"),
]


class Container:
    """A daemon that is process 1. :ivar pid: its process id out here. :ivar socket: its unix socket."""

    def __init__(self, home: Path) -> None:
        leaves = "leaves = /bin/sh -c 'sleep 0.2 & echo left'"
        (home / "gomd.ini").write_text(f"{QUIET}[commands]\n{leaves}\n")
        self.socket = home / "state" / "gomd.sock"
        self.process = subprocess.Popen(
            ["unshare", "--pid", "--mount", "--net", "--fork", "--kill-child", "--mount-proc",
             TWISTD, "-n", "gomd", "--state-dir", str(home / "state"), "--telnet", "unix:"],
            cwd=home, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        deadline = time.monotonic() + PATIENCE
        while not self.answers():
            assert time.monotonic() < deadline, "the daemon does not answer"
            time.sleep(0.05)
        self.pid = child_of(self.process.pid)

    def answers(self) -> bool:
        """Whether it listens."""
        try:
            with Line(str(self.socket)) as line:
                return line.ask("load").code == 200
        except OSError:
            return False

    def run(self, *command: str) -> None:
        """Run a job to its end."""
        subprocess.run(
            [*GOM, "-c", f"unix:{self.socket}", "run", *command], check=True, timeout=PATIENCE,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip

    def zombies(self) -> list[str]:
        """The names of processes in it that have ended and that nobody has waited for."""
        inside = os.stat(f"/proc/{self.pid}/ns/pid").st_ino
        found = []
        for directory in Path("/proc").glob("[0-9]*"):
            try:
                stat = (directory / "stat").read_text(errors="replace")
                same = os.stat(directory / "ns" / "pid").st_ino == inside
            except OSError:
                continue
            name, _, rest = stat.partition("(")[2].rpartition(")")
            if rest.split()[0] == "Z" and (same or int(rest.split()[1]) == self.pid):
                found.append(name)
        return found

    def end(self) -> None:
        """End all of it."""
        self.process.kill()
        self.process.wait()


@pytest.fixture
def container(tmp_path: Path) -> Iterator[Container]:
    """A daemon that is process 1 and runs."""
    started = Container(tmp_path)
    try:
        yield started
    finally:
        started.end()


def test_jobs_that_are_over_leave_no_zombies(container: Container) -> None:
    """Ten jobs, one with a child that outlives it: when they are over no process is left of them."""
    for _ in range(9):
        container.run("true")
    container.run("sh", "-c", "sleep 0.1 & exit 0")
    deadline = time.monotonic() + PATIENCE
    while zombies := container.zombies():
        assert time.monotonic() < deadline, zombies
        time.sleep(0.05)


def test_what_commands_leave_in_the_background_neither(container: Container) -> None:
    """It falls to the daemon, which waits for it within some seconds."""
    for _ in range(3):
        with Line(str(container.socket)) as line:
            assert line.ask("do leaves").code == 201
    time.sleep(0.5)
    deadline = time.monotonic() + PATIENCE
    while zombies := container.zombies():
        assert time.monotonic() < deadline, zombies
        time.sleep(0.2)
