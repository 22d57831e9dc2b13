"""A disk under STATE that takes nothing for a while: jobs wait for it, nothing else does. A real one."""

from __future__ import annotations

import fcntl
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.integration.daemon import PATIENCE, Daemon
from tests.integration.jobs import begin, gom, jobs, until

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts a file system")
_FREEZE, _THAW = 0xC0045877, 0xC0045878


class _Inside(Daemon):
    """A daemon in the mount namespace of another process, its STATE there, its sockets outside."""

    def __init__(self, inside: int, state: Path, home: Path) -> None:
        super().__init__(home, "--set", f"jobs.spool={home}/spool", "--telnet",
                         f"tcp:127.0.0.1:0,unix:{home}/sock")  # fmt: skip
        self._inside = inside
        self._options = ("--state-dir", str(state), *self._options[2:])
        self.socket = home / "sock"

    def command(self) -> Sequence[str]:
        """What starts it, in its home."""
        there = ("nsenter", "-t", str(self._inside), "-m", "sh", "-c", 'cd "$0" && exec "$@"')
        return (*there, str(self.home), *super().command())


class Disk:
    """A small ext4 in a file, mounted for itself and those that are put beside it."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "disk"
        self.path.mkdir()
        image = directory / "image"
        with image.open("wb") as file:
            file.truncate(64 << 20)
        subprocess.run(["mkfs.ext4", "-q", "-F", str(image)], check=True)
        self._holder = subprocess.Popen(
            ["unshare", "-m", "--propagation", "private", "sh", "-c",
             'mount -o loop "$0" "$1" && echo mounted && exec cat', str(image), str(self.path)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self._holder.stdout is not None
        if self._holder.stdout.readline() != "mounted\n":
            pytest.skip("this machine mounts no file")
        self.pid = self._holder.pid

    @contextmanager
    def hangs(self) -> Iterator[None]:
        """Whoever writes to it waits until the end of the block."""
        root = os.open(f"/proc/{self.pid}/root{self.path}", os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.ioctl(root, _FREEZE, 0)
            try:
                yield
            finally:
                fcntl.ioctl(root, _THAW, 0)
        finally:
            os.close(root)

    def close(self) -> None:
        """The mount ends with its namespace."""
        self._holder.kill()
        self._holder.wait()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """A disk that can hang."""
    made = Disk(tmp_path)
    yield made
    made.close()


def _is_starting(daemon: Daemon) -> bool:
    return any(row["state"] == "starting" for row in jobs(daemon))


def _daemon(disk: Disk, home: Path) -> Daemon:
    return _Inside(disk.pid, disk.path / "state", home / "home")


def test_only_jobs_wait_for_the_disk(disk: Disk, tmp_path: Path) -> None:
    """Everything is answered while it hangs; a job is begun when the journal has it, and then known."""
    with _daemon(disk, tmp_path) as daemon:
        assert gom(daemon, "run", "true").returncode == 0
        with disk.hangs():
            waiting = begin(daemon, "run", "sh", "-c", "echo ran")
            until(lambda: _is_starting(daemon))
            with daemon.connect_unix() as line:
                for _ in range(5):
                    for request in ("load", "nodes", "jobs", "ps", "mem"):
                        assert line.ask(request).code in (200, 201)
            assert _is_starting(daemon)
            assert waiting.poll() is None
        out, err = waiting.communicate(timeout=PATIENCE)
        assert (waiting.returncode, out, err) == (0, b"ran\n", b"")
        daemon.kill()
        daemon.start()
        with daemon.connect_unix() as line:
            assert line.ask("format json").code == 200
            assert [row["exit"] for row in line.ask("jobs").rows] == [0, 0]
