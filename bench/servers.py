"""The two daemons that are compared: gomd, and a bare echo, both run by twistd."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

#: Seconds a daemon may take to listen, and to end.
STEP_TIMEOUT = 30.0
#: With a process id above it, the number of the clock of a process, as clock_getcpuclockid(3) gives it. /proc
#: tells hundredths of a second, five per cent of what an idle daemon uses in a minute.
_PROCESS_CLOCK: Final = 2

_TWISTD = (str(Path(sys.executable).with_name("twistd")), "-n", "--pidfile=")
_GOMD_PORT = re.compile(r"telnet line is at tcp:127\.0\.0\.1:(\d+)")
_ECHO_PORT = re.compile(r"starting on (\d+)")


class Server:
    """A running daemon. :ivar pid: its process id. :ivar port: its TCP port."""

    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self.pid = process.pid
        self.port = port

    def connect(self) -> socket.socket:
        """Return a connection."""
        connection = socket.create_connection(("127.0.0.1", self.port), STEP_TIMEOUT)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def cpu_seconds(self) -> float:
        """Return the processor time it has used, in seconds."""
        return cpu_seconds_of(self.pid)

    def memory(self) -> int:
        """Return its resident memory, in bytes."""
        return memory_of(self.pid)


def cpu_seconds_of(pid: int) -> float:
    """Return the processor time that a process has used, in seconds, as precisely as the kernel has it."""
    return time.clock_gettime(~pid << 3 | _PROCESS_CLOCK)


def memory_of(pid: int) -> int:
    """Return the resident memory of a process, in bytes."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@contextmanager
def gomd(*options: str) -> Iterator[Server]:
    """Run gomd with default settings, in a STATE and at a port of its own."""
    with tempfile.TemporaryDirectory(prefix="gomd-bench-") as directory:
        config = Path(directory, "gomd.ini")
        config.write_text("")
        arguments = (
            "gomd", "--config", str(config), "--state-dir", f"{directory}/state",
            "--telnet", "tcp:127.0.0.1:0", "--peers", "127.0.0.1:0", "--set", "peers.discovery=no", *options,
        )  # fmt: skip
        with _running((*_TWISTD, *arguments), directory, _GOMD_PORT) as server:
            yield server


@contextmanager
def echo(program: str = "echo.py") -> Iterator[Server]:
    """Run the bare echo, or another one of the programs here."""
    with (
        tempfile.TemporaryDirectory(prefix="gomd-bench-") as directory,
        _running((*_TWISTD, "-y", str(Path(__file__).with_name(program))), directory, _ECHO_PORT) as server,
    ):
        yield server


@contextmanager
def _running(command: Sequence[str], directory: str, port: re.Pattern[str]) -> Iterator[Server]:
    process = subprocess.Popen(
        command, cwd=directory, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        yield Server(process, _port_of(process, port))
    finally:
        process.terminate()
        try:
            process.wait(STEP_TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _port_of(process: subprocess.Popen[str], port: re.Pattern[str]) -> int:
    """Return the port from a daemon's log, and read the rest of the log."""
    assert process.stdout is not None
    said = []
    expiry = threading.Timer(STEP_TIMEOUT, process.kill)
    expiry.start()
    try:
        for line in process.stdout:
            said.append(line)
            if match := port.search(line):
                threading.Thread(target=process.stdout.read, daemon=True).start()
                return int(match[1])
    finally:
        expiry.cancel()
    raise RuntimeError("the daemon did not start:\n" + "".join(said))
