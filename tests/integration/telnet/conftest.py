"""A daemon for the tests of the telnet line, on this machine's /proc."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.daemon import Daemon
from tests.integration.line import Line

COMMANDS = """
[commands]
greet = /bin/echo hello there
fail = /bin/sh -c 'echo oops >&2; exit 3'
dots = /bin/echo .
killed = /bin/sh -c 'kill -9 $$'
wait = /bin/sh -c 'echo $$; exec /bin/sleep 600'
flood = /usr/bin/yes
[node]
command_timeout = 20
"""


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    """One daemon for the tests that leave it as it was; its unix socket is for every user."""
    with tempfile.TemporaryDirectory(prefix="gomd-test-") as directory:
        Path(directory).chmod(0o755)
        program = Path(directory, "vanished")
        program.write_text("#!/bin/sh\n")
        program.chmod(0o755)
        ini = COMMANDS.replace("[commands]", f"[commands]\nvanished = {program}")
        with Daemon(
            Path(directory), "--telnet", f"tcp:127.0.0.1:0,unix:{directory}/sock", ini=ini
        ) as running:
            program.unlink()
            running.socket = Path(directory, "sock")
            yield running


@pytest.fixture
def line(daemon: Daemon) -> Iterator[Line]:
    """A connection over tcp."""
    with daemon.connect() as connected:
        yield connected


@pytest.fixture
def admin(daemon: Daemon) -> Iterator[Line]:
    """A connection over the unix socket."""
    with daemon.connect_unix() as connected:
        yield connected


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """A process of ours that sleeps."""
    with subprocess.Popen(["/bin/sleep", "600"]) as process:
        yield process
        process.kill()
