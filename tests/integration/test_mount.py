"""`gom mount`: the tree as a file system, for cat, echo and old programs."""

from __future__ import annotations

import errno
import os
import struct
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.daemon import PATIENCE, Daemon
from tests.integration.jobs import GOM, gom, until

pytestmark = pytest.mark.skipif(
    not os.access("/dev/fuse", os.R_OK | os.W_OK), reason="this user may not open /dev/fuse"
)


class Mounted:
    """`gom mount` that runs. A context manager that unmounts. :ivar at: where the tree is."""

    def __init__(self, daemon: Daemon, at: Path, *options: str) -> None:
        self.at = at
        at.mkdir()
        done = gom(daemon, "mount", *options, str(at))
        assert done.returncode == 0, done.stderr

    def __enter__(self) -> Path:
        return self.at

    def __exit__(self, *_error: object) -> None:
        subprocess.run(["umount", "-l", str(self.at)], check=True, timeout=PATIENCE)


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    """Node 1, alpha, on this machine's own processes."""
    with Daemon(tmp_path / "gomd", "--node-id", "1", "--name", "alpha") as running:
        with running.connect() as line:
            until(lambda: line.ask("load").code == 200)
        yield running


def shell(line: str) -> subprocess.CompletedProcess[str]:
    """Run a line of shell."""
    return subprocess.run(["sh", "-c", line], capture_output=True, text=True, timeout=PATIENCE, check=False)


def test_cat_echo_and_ls(daemon: Daemon, tmp_path: Path) -> None:
    """The files have what the line answers; echo sets a switch; a refusal is an error of the program."""
    with Mounted(daemon, tmp_path / "tree") as tree:
        assert {"hpc", "loadavg", "meminfo", str(os.getpid())} <= set(os.listdir(tree))
        assert set(os.listdir(tree / "hpc")) == {"admin", "info", "nodes", "remote"}
        assert shell(f"cat {tree}/hpc/nodes/1/speed").stdout.strip().isdigit()
        assert shell(f"cut -d' ' -f1 {tree}/{os.getpid()}/stat").stdout == f"{os.getpid()}\n"
        cmdline = (tree / str(os.getpid()) / "cmdline").read_bytes()
        assert cmdline == Path(f"/proc/{os.getpid()}/cmdline").read_bytes()
        assert (tree / str(os.getpid()) / "where").read_text() == "0\n"
        assert (tree / "hpc/admin/stay").read_text() == "0\n"
        done = shell(f"echo 1 >{tree}/hpc/admin/stay && cat {tree}/hpc/admin/stay")
        assert (done.stdout, done.stderr) == ("1\n", "")
        assert b"stay" in gom(daemon, "status").stdout
        assert shell(f"echo 1 >{tree}/hpc/nodes/1/load").returncode != 0
        assert shell(f"echo what >{tree}/hpc/admin/stay").returncode != 0
        assert shell(f"rm {tree}/loadavg; mkdir {tree}/x; touch {tree}/y").returncode != 0
        assert "No such file" in shell(f"cat {tree}/hpc/nodes/77/load").stderr
        assert shell(f"find {tree}/hpc -type f | wc -l").stdout.strip().isdigit()
    assert os.listdir(tmp_path / "tree") == []


def test_binary_files_as_openmosix_has_them(daemon: Daemon, tmp_path: Path) -> None:
    """Positions in info count nodes: the end is the highest id."""
    with Mounted(daemon, tmp_path / "tree") as tree:
        info = os.open(tree / "hpc/info/infos", os.O_RDONLY)
        try:
            assert os.lseek(info, 0, os.SEEK_END) == 1
            os.lseek(info, 0, os.SEEK_SET)
            load, speed, cpus, *_ = struct.unpack("<IHHHHQQQ", os.read(info, 36))
            assert load < 100_000
            assert speed > 0
            assert cpus == os.cpu_count()
            assert os.read(info, 36) == b""
        finally:
            os.close(info)
        assert shell(f"od -An -td8 {tree}/hpc/info/cpus").stdout.strip() == str(os.cpu_count())
        record = (tree / "hpc/admin/config").read_bytes()
        assert struct.unpack("<i", record[:4])[0] == 1
        assert record[8:12] == bytes([127, 0, 0, 1])


def test_a_daemon_that_is_away_hangs_nobody(daemon: Daemon, tmp_path: Path) -> None:
    """Stopped, it costs the timeout; ended, nothing; started again, the files are there again."""
    with Mounted(daemon, tmp_path / "tree", "--timeout", "0.5") as tree:
        (tree / "loadavg").read_text()
        daemon.process.send_signal(19)
        began = time.monotonic()
        with pytest.raises(OSError) as raised:  # noqa: PT011 - the number is what matters
            (tree / "loadavg").read_text()
        assert raised.value.errno in (errno.ETIMEDOUT, errno.EIO)
        assert time.monotonic() - began < 10
        daemon.process.send_signal(18)
        until(lambda: shell(f"cat {tree}/loadavg").returncode == 0)
        daemon.kill()
        with pytest.raises(OSError):  # noqa: PT011
            (tree / "loadavg").read_text()
        daemon.start()
        until(lambda: shell(f"cat {tree}/loadavg").returncode == 0)


def test_others_are_kept_out_or_may_only_read(daemon: Daemon, tmp_path: Path) -> None:
    """Without --allow-other nobody else gets in; with it others read as root, and never write."""
    if os.getuid():
        pytest.skip("another user is needed, so this test needs root")
    for parent in (tmp_path, *tmp_path.parents[:3]):
        parent.chmod(parent.stat().st_mode | 0o055)
    as_nobody = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "sh", "-c"]

    def nobody(line: str) -> int:
        return subprocess.run(
            [*as_nobody, line], capture_output=True, timeout=PATIENCE, check=False
        ).returncode

    with Mounted(daemon, tmp_path / "mine") as tree:
        assert nobody(f"cat {tree}/loadavg") != 0
    with Mounted(daemon, tmp_path / "ours", "--allow-other") as tree:
        assert nobody(f"cat {tree}/loadavg") == 0
        assert nobody(f"echo 1 >{tree}/hpc/admin/stay") != 0
        assert (tree / "hpc/admin/stay").read_text() == "0\n"


def test_what_cannot_be_mounted_is_said(daemon: Daemon, tmp_path: Path) -> None:
    """A directory that is missing, or not empty; no daemon."""
    assert b"make it first" in gom(daemon, "mount", str(tmp_path / "none")).stderr
    assert b"not empty" in gom(daemon, "mount", str(tmp_path)).stderr
    (tmp_path / "empty").mkdir()
    done = subprocess.run(
        [*GOM, "-c", f"unix:{tmp_path}/nothing", "mount", str(tmp_path / "empty")],
        capture_output=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert done.returncode == 3
    assert not os.path.ismount(tmp_path / "empty")
