"""twistd's pid file is written for scripts and refuses no start: the lock of STATE keeps daemons apart."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.conftest import StartDaemon
from tests.integration.daemon import PATIENCE, QUIET, TWISTD, Daemon, output_of
from tests.integration.line import Line


class PlainDaemon(Daemon):
    """A daemon started as the README says, without --pidfile."""

    def command(self) -> list[str]:
        """What starts it."""
        return [TWISTD, "-n", "gomd", *self._options]


@pytest.mark.parametrize(
    "text", ["1\n", f"{os.getpid()}\n", "no number\n", ""], ids=["init", "this", "text", "empty"]
)
def test_in_the_foreground_there_is_no_pid_file(tmp_path: Path, text: str) -> None:
    """A twistd.pid that names a running process (1 in a container) is neither read nor touched."""
    home = tmp_path / "daemon"
    home.mkdir()
    (home / "twistd.pid").write_text(text)
    with PlainDaemon(home) as daemon:
        with daemon.connect_unix() as line:
            assert line.ask("load").code == 200
        assert (home / "twistd.pid").read_text() == text
        daemon.stop()
    assert (home / "twistd.pid").read_text() == text
    (home / "twistd.pid").unlink()
    with PlainDaemon(home):
        assert not (home / "twistd.pid").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="namespaces need root")
@pytest.mark.skipif(shutil.which("unshare") is None, reason="unshare (util-linux) is not installed")
def test_in_a_container_it_starts_again_after_a_kill(tmp_path: Path) -> None:
    """As process 1 of a container, `twistd -n gomd` is killed and started again: it has the same number."""
    command = [
        "unshare", "--pid", "--mount", "--net", "--fork", "--kill-child", "--mount-proc",
        TWISTD, "-n", "gomd", "--state-dir", str(tmp_path / "state"), "--telnet", "unix:",
    ]  # fmt: skip
    (tmp_path / "gomd.ini").write_text(QUIET)
    for _start in range(3):
        process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        try:
            deadline = time.monotonic() + PATIENCE
            while True:
                assert process.poll() is None, process.stdout and process.stdout.read()
                assert time.monotonic() < deadline
                try:
                    with Line(str(tmp_path / "state" / "gomd.sock")) as line:
                        assert line.ask("load").code == 200
                    break
                except OSError:
                    time.sleep(0.05)
        finally:
            process.kill()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()


@pytest.fixture
def daemonised(tmp_path: Path) -> Iterator[Path]:
    """A directory for a daemon in the background; what runs by its pid file at the end is ended."""
    (tmp_path / "gomd.ini").write_text(QUIET)
    yield tmp_path
    pid_file = tmp_path / "twistd.pid"
    if pid_file.exists() and (tmp_path / "state" / "gomd.sock").exists():
        os.kill(int(pid_file.read_text()), signal.SIGTERM)


def in_the_background(home: Path, state: str = "state") -> subprocess.CompletedProcess[str]:
    """Run `twistd gomd` there."""
    return subprocess.run(
        [TWISTD, "gomd", "--state-dir", str(home / state), "--telnet", "unix:"],
        cwd=home, timeout=PATIENCE, check=False, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def test_in_the_background_a_stale_pid_file_is_replaced(daemonised: Path) -> None:
    """It names a process that runs, but another program's: this test."""
    pid_file = daemonised / "twistd.pid"
    pid_file.write_text(f"{os.getpid()}\n")
    outcome = in_the_background(daemonised)
    assert outcome.returncode == 0, outcome.stderr
    pid = int(pid_file.read_text())
    assert pid != os.getpid()
    with Line(str(daemonised / "state" / "gomd.sock")) as line:
        assert line.ask("load").code == 200
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + PATIENCE
    while pid_file.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not pid_file.exists()


def test_a_pid_file_that_is_older_than_its_process_is_stale(daemonised: Path) -> None:
    """Another twistd has got the number since: its file is not this one."""
    pid_file = daemonised / "twistd.pid"
    with sleeping_twistd(daemonised) as pid:
        pid_file.write_text(f"{pid}\n")
        os.utime(pid_file, (pid_file.stat().st_mtime - 86400,) * 2)
        outcome = in_the_background(daemonised)
    assert outcome.returncode == 0, outcome.stderr
    assert int(pid_file.read_text()) != pid


def test_the_pid_file_of_another_twistd_is_not_taken(daemonised: Path) -> None:
    """Two different daemons in one directory: one sentence names the option, and the file stays."""
    pid_file = daemonised / "twistd.pid"
    with sleeping_twistd(daemonised) as pid:
        pid_file.write_text(f"{pid}\n")
        outcome = in_the_background(daemonised)
        assert pid_file.read_text() == f"{pid}\n"
    assert outcome.returncode == 1
    assert f"pid {pid}" in outcome.stderr
    assert "--pidfile" in outcome.stderr
    assert len(outcome.stderr.splitlines()) == 1
    pid_file.unlink()


def test_a_refused_start_leaves_the_pid_file_of_the_one_that_runs(
    daemonised: Path, start_daemon: StartDaemon
) -> None:
    """The second daemon on one STATE is refused by the lock, and takes nothing from the first."""
    assert in_the_background(daemonised).returncode == 0
    pid = (daemonised / "twistd.pid").read_text()
    outcome = in_the_background(daemonised)
    assert outcome.returncode == 1
    assert f"pid {pid}" in outcome.stderr
    assert "uses STATE" in outcome.stderr
    assert (daemonised / "twistd.pid").read_text() == pid


class sleeping_twistd:
    """A process that looks like another twistd. A context manager that gives its pid."""

    def __init__(self, home: Path) -> None:
        program = home / "twistd"
        program.write_text("import time\ntime.sleep(600)\n")
        self._process = subprocess.Popen([sys.executable, str(program)])

    def __enter__(self) -> int:
        return self._process.pid

    def __exit__(self, *_error: object) -> None:
        self._process.kill()
        self._process.wait()


def test_twistds_own_help_is_as_it_was() -> None:
    """The option is still twistd's."""
    assert "--pidfile" in output_of([TWISTD, "--help"])
