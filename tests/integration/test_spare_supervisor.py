"""Between two jobs a supervisor waits for the next one: it shows through nowhere, and delays no unmount."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from tests.integration.daemon import Daemon
from tests.integration.jobs import gom, until

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root's jobs have namespaces")


class Apart(Daemon):
    """A daemon with a mount namespace of its own, which shares no mounts with what it starts."""

    def command(self) -> Sequence[str]:
        return ("unshare", "--mount", "--propagation", "private", "--", *super().command())

    def mount(self, *words: str) -> int:
        """Run a command in its mount namespace; return the exit status."""
        inside = ("nsenter", f"--target={self.process.pid}", "--mount", *words)
        return subprocess.run(inside, check=False, capture_output=True).returncode

    def spares(self) -> list[int]:
        """Return the process ids of the supervisors that wait."""
        namespace = os.readlink(f"/proc/{self.process.pid}/ns/net")
        found = []
        for name in os.listdir("/proc"):
            with suppress(OSError):
                if name.isdigit() and Path(f"/proc/{name}/comm").read_bytes() == b"gomd-spare\n":
                    parent = Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()[1]
                    owner = Path(f"/proc/{parent}/stat").read_text().rpartition(")")[2].split()[1]
                    if int(owner) == self.process.pid and os.readlink(f"/proc/{name}/ns/net") == namespace:
                        found.append(int(name))
        return found


def test_a_supervisor_waits_for_the_next_job(tmp_path: Path) -> None:
    """One, from the first job on; a mount that comes later is in the next job, and one that goes is gone."""
    place = tmp_path / "disk"
    place.mkdir()
    daemon = Apart(tmp_path / "home")
    with daemon:
        assert daemon.spares() == []
        assert gom(daemon, "run", "true").returncode == 0
        [first] = until(daemon.spares)
        told = gom(daemon, "run", "sh", "-c", "readlink /proc/self/ns/pid; cat /proc/1/comm")
        assert told.stdout.decode().splitlines()[1] == "gomd-job"
        [second] = until(lambda: [pid for pid in daemon.spares() if pid != first])
        assert daemon.mount("mount", "-t", "tmpfs", "disk", str(place)) == 0
        assert daemon.mount("touch", str(place / "there")) == 0
        until(lambda: second not in daemon.spares())
        assert gom(daemon, "run", "--shared-tmp", "ls", str(place)).stdout == b"there\n"
        [third] = until(daemon.spares)
        assert daemon.mount("umount", str(place)) == 0
        until(lambda: third not in daemon.spares())
        assert gom(daemon, "run", "--shared-tmp", "ls", str(place)).stdout == b""


def test_one_that_is_killed(tmp_path: Path) -> None:
    """The next job starts as without it; and none outlives the daemon, however that ends."""
    daemon = Apart(tmp_path / "home")
    with daemon:
        assert gom(daemon, "run", "true").returncode == 0
        [spare] = until(daemon.spares)
        os.kill(spare, signal.SIGKILL)
        until(lambda: daemon.spares() == [])
        assert gom(daemon, "run", "echo", "fine").stdout == b"fine\n"
        [spare] = until(daemon.spares)
        daemon.process.kill()
        daemon.wait()
        until(lambda: not os.path.exists(f"/proc/{spare}"))
