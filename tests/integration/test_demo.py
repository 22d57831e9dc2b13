"""The programs in demo/, as somebody who tries them sees them."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.daemon import Daemon

DEMO = Path(__file__).parents[2] / "demo"
OPTIONS = ("--name", "alpha", "--node-id", "1", "--source", "memory")


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon that plays a script."""
    with Daemon(tmp_path_factory.mktemp("gomd"), *OPTIONS) as running:
        yield running


class Terminal:
    """A program on a terminal of its own, and what it drew."""

    def __init__(self, *command: str) -> None:
        self.near, far = pty.openpty()
        self.resize(24, 100)
        self.before = termios.tcgetattr(far)
        self._far = far
        self.drawn = ""
        self.process = subprocess.Popen(command, stdin=far, stdout=far, stderr=far, start_new_session=True)

    def resize(self, rows: int, columns: int) -> None:
        """Change the window's size."""
        fcntl.ioctl(self.near, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def wait_for(self, pattern: str) -> str:
        """Read until ``pattern`` was drawn; return all up to there and begin anew behind it."""
        deadline = time.monotonic() + 30
        while not (found := re.search(pattern, self.drawn, re.DOTALL)):
            assert time.monotonic() < deadline, f"{pattern!r} was not drawn: {self.drawn[-3000:]!r}"
            if select.select([self.near], [], [], 0.1)[0]:
                self.drawn += os.read(self.near, 65536).decode(errors="replace")
        text, self.drawn = self.drawn[: found.end()], self.drawn[found.end() :]
        return text

    def ended(self) -> tuple[int, bool]:
        """Return the exit status, and whether the terminal is as it was."""
        status = self.process.wait(10)
        return status, termios.tcgetattr(self._far) == self.before

    def close(self) -> None:
        """End the program, whatever happened."""
        self.process.kill()
        self.process.wait()
        os.close(self.near)
        os.close(self._far)


@pytest.fixture
def terminal(daemon: Daemon) -> Iterator[Terminal]:
    """The monitor, drawing."""
    running = Terminal(sys.executable, str(DEMO / "monitor.py"), daemon.tcp)
    yield running
    running.close()


def test_the_monitor_draws_and_gives_the_terminal_back(terminal: Terminal) -> None:
    """Node, load and processes; another order at a key; another size at once; q ends it."""
    terminal.wait_for(r"\x1b\[\?1049h")
    screen = terminal.wait_for(r"node 1  alpha.*COMMAND.*now by processor time")
    assert "load" in screen
    os.write(terminal.near, b"m")
    terminal.wait_for("now by memory")
    terminal.resize(10, 40)
    terminal.process.send_signal(signal.SIGWINCH)
    terminal.wait_for(r"q quit   c by processor time   m by me\x1b")
    os.write(terminal.near, b"q")
    terminal.wait_for(r"\x1b\[\?25h\x1b\[\?1049l")
    assert terminal.ended() == (0, True)


def test_ctrl_c_gives_the_terminal_back_too(terminal: Terminal) -> None:
    """No traceback, no other screen left."""
    terminal.wait_for("COMMAND")
    terminal.process.send_signal(signal.SIGINT)
    assert "Traceback" not in terminal.wait_for(r"\x1b\[\?25h\x1b\[\?1049l")
    assert terminal.ended() == (0, True)


def test_the_monitor_waits_for_a_daemon_that_went_away(tmp_path: Path) -> None:
    """It says so, and goes on when there is one again."""
    options = (*OPTIONS, "--telnet", "unix:")
    with Daemon(tmp_path / "gomd", *options) as daemon:
        terminal = Terminal(sys.executable, str(DEMO / "monitor.py"), daemon.unix)
        try:
            terminal.wait_for("node 1  alpha")
            daemon.stop()
            terminal.wait_for("; trying again|no daemon at")
            terminal.drawn = ""
            daemon.start()
            terminal.wait_for("now by processor time")
        finally:
            terminal.close()


def test_a_monitor_without_a_terminal_says_what_else_there_is() -> None:
    """A script that calls it by mistake is told of gom."""
    done = subprocess.run(
        [sys.executable, str(DEMO / "monitor.py")],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "gom watch node" in done.stderr


def test_ten_lines_print_the_busiest(daemon: Daemon) -> None:
    """A heading with the load, ten processes, and no traceback at Ctrl-C."""
    with subprocess.Popen(
        [sys.executable, str(DEMO / "ten_lines.py"), daemon.tcp],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as program:  # fmt: skip
        assert program.stdout is not None
        assert program.stdout.readline() == "\n"
        assert re.fullmatch(r"alpha: \d+ processes, load \d+\n", program.stdout.readline())
        assert re.match(r" +\d+ +[\d.]+% \S", program.stdout.readline())
        program.send_signal(signal.SIGINT)
        assert program.communicate(timeout=10)[1] == ""
