"""What a running daemon does at a signal: log rotation, and strays that must not end it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.conftest import StartDaemon
from tests.integration.daemon import PATIENCE, TWISTD, Daemon

#: A program of root's: it is not in everybody's PATH.
LOGROTATE = shutil.which("logrotate", path=os.environ.get("PATH", os.defpath) + ":/usr/sbin")
CONTRIB = Path(__file__).parents[2] / "contrib"


class LoggingDaemon(Daemon):
    """A daemon that logs to a file: ``log_file``."""

    @property
    def log_file(self) -> Path:
        """Where its log is."""
        return self.home / "gomd.log"

    def command(self) -> list[str]:
        """What starts it."""
        return [TWISTD, "-n", "--logfile", str(self.log_file), "gomd", *self._options]

    def start(self) -> Daemon:
        """Start it and wait until it answers."""
        self.process = subprocess.Popen(
            self.command(), cwd=self.home, stdin=subprocess.DEVNULL, text=True
        )  # fmt: skip
        self.wait_for_text(self.log_file, "the telnet line is at")
        return self

    def wait_for_text(self, path: Path, text: str) -> None:
        """Wait until ``text`` stands in the file at ``path``."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            if path.exists() and text in path.read_text():
                return
            assert self.process.poll() is None, f"the daemon has ended: {self.process.returncode}"
            time.sleep(0.02)
        raise AssertionError(f"{text!r} never stood in {path}")


@pytest.fixture
def logging(tmp_path: Path) -> Iterator[LoggingDaemon]:
    """A daemon that logs to a file."""
    with LoggingDaemon(tmp_path / "daemon") as daemon:
        assert isinstance(daemon, LoggingDaemon)
        yield daemon


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGHUP])
def test_after_rotation_it_writes_to_the_new_file(logging: LoggingDaemon, number: signal.Signals) -> None:
    """The log was moved away: the signal makes it begin a new one, and HUP reads gomd.ini into that."""
    moved = logging.log_file.with_suffix(".log.1")
    for _round in range(3):
        logging.log_file.rename(moved)
        before = moved.read_text()
        logging.signal(number)
        if number == signal.SIGUSR1:
            deadline = time.monotonic() + PATIENCE
            while not logging.log_file.exists() and time.monotonic() < deadline:
                time.sleep(0.02)
            assert logging.log_file.exists()
            logging.configure("[node]\nlog_level = info\n")
            logging.signal(signal.SIGHUP)
        logging.wait_for_text(logging.log_file, "configuration read again")
        assert moved.read_text() == before
    with logging.connect_unix() as line:
        assert line.ask("load").code == 200


def test_a_log_that_cannot_be_opened_anew_is_kept(logging: LoggingDaemon) -> None:
    """The daemon goes on, in the file it has, and says so there."""
    moved = logging.log_file.with_suffix(".log.1")
    logging.log_file.rename(moved)
    logging.log_file.mkdir()
    logging.signal(signal.SIGUSR1)
    logging.wait_for_text(moved, "cannot be reopened")
    logging.log_file.rmdir()
    logging.signal(signal.SIGUSR1)
    logging.configure("[telnet]\nanonymous = none\n")
    logging.signal(signal.SIGHUP)
    logging.wait_for_text(logging.log_file, "changed: telnet.anonymous")


@pytest.mark.skipif(LOGROTATE is None, reason="logrotate is not installed")
def test_the_shipped_logrotate_configuration(logging: LoggingDaemon) -> None:
    """`logrotate` with contrib/gomd.logrotate moves the log and leaves the daemon writing to the new one."""
    pid_file = logging.home / "gomd.pid"
    pid_file.write_text(f"{logging.process.pid}\n")
    text = (CONTRIB / "gomd.logrotate").read_text()
    text = text.replace("/var/log/gomd.log", str(logging.log_file)).replace("/run/gomd.pid", str(pid_file))
    if os.geteuid() != 0:
        text = text.replace("create 0600 root root", "create 0600")
    configuration = logging.home / "logrotate.conf"
    configuration.write_text(text)
    configuration.chmod(0o644)
    logging.home.chmod(0o755)
    before = logging.log_file.read_text()
    assert LOGROTATE is not None
    command = [LOGROTATE, "--force", "--state", str(logging.home / "status"), str(configuration)]
    subprocess.run(command, check=True, timeout=PATIENCE)
    logging.signal(signal.SIGHUP)
    logging.wait_for_text(logging.log_file, "configuration read again")
    assert logging.log_file.with_suffix(".log.1").read_text() == before


STRAYS = [
    number
    for number in range(1, signal.SIGRTMAX + 1)
    if number not in (32, 33)  # the C library's own
    and number
    not in (
        signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGKILL, signal.SIGSTOP, signal.SIGTSTP,
        signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGABRT, signal.SIGTRAP,
        signal.SIGSYS,
    )
]  # fmt: skip


def test_no_stray_signal_ends_it(start_daemon: StartDaemon) -> None:
    """Only TERM, INT and QUIT do (and what stands for a crash); USR1 without a log file is nothing."""
    daemon = start_daemon()
    for number in STRAYS:
        os.kill(daemon.process.pid, number)
    with daemon.connect() as line:
        assert line.ask("load").code == 200
    daemon.signal(signal.SIGQUIT)
    assert daemon.wait() == 0
    daemon.wait_for("stopping: signal QUIT")
    assert not daemon.socket.exists()


def test_jobs_inherit_no_ignored_or_blocked_signal(start_daemon: StartDaemon) -> None:
    """What the daemon does with strays is its own: a command starts with every signal at its default."""
    daemon = start_daemon(ini="[commands]\nstatus = /bin/grep ^Sig /proc/self/status\n")
    with daemon.connect_unix() as line:
        block = line.ask("do status").block
    assert block is not None
    masks = dict(text.split(":\t") for text in block if text.startswith("Sig"))
    assert int(masks["SigBlk"], 16) == 0
    c_library = 0b11 << 31  # 32 and 33, its own; some environments ignore them
    assert int(masks["SigIgn"], 16) & ~c_library == 0
