"""What goes in and comes out of a job of `gom run`: every byte, in order, and no faster than it is read."""

from __future__ import annotations

import hashlib
import os
import pty
import random
import select
import shlex
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.integration.daemon import PATIENCE, Daemon
from tests.integration.jobs import GOM, MEGABYTE, begin, gom, job, jobs, running, until

pytestmark = pytest.mark.usefixtures("run_program")


def test_output_and_exit_status_are_the_commands_own(daemon: Daemon) -> None:
    """stdout and stderr come apart, the status is the command's."""
    done = gom(daemon, "run", "sh", "-c", "echo out; echo err >&2; exit 7")
    assert (done.returncode, done.stdout, done.stderr) == (7, b"out\n", b"err\n")


def test_both_outputs_into_one_file_keep_their_order(daemon: Daemon) -> None:
    """`gom run COMMAND > file 2>&1 | ...` shows lines of both in the order they were written."""
    script = "for i in $(seq 1 300); do echo o$i; echo e$i >&2; done"
    done = subprocess.run(
        [*GOM, "-c", daemon.unix, "run", "sh", "-c", script],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=PATIENCE, check=True,
    )  # fmt: skip
    assert done.stdout.decode() == "".join(f"o{i}\ne{i}\n" for i in range(1, 301))


def test_fifty_megabytes_go_both_ways_unchanged(daemon: Daemon) -> None:
    """Every byte of 50 MB comes back in its order."""
    data = random.Random(1).randbytes(50 * MEGABYTE)
    done = gom(daemon, "run", "cat", stdin=data)
    assert done.returncode == 0
    assert hashlib.sha256(done.stdout).digest() == hashlib.sha256(data).digest()


def test_a_reader_that_stops_stops_the_job_and_costs_nothing(daemon: Daemon) -> None:
    """The command blocks as on a pipe; the daemon holds a window's worth and no more."""
    gom(daemon, "run", "true")
    before = daemon.rss()
    started = begin(daemon, "run", "sh", "-c", "head -c 300000000 /dev/zero; echo end >&2")
    row = running(daemon)
    time.sleep(2.0)
    assert job(daemon, row["job"])["state"] == "running"
    assert daemon.rss() - before < 16 * MEGABYTE
    assert started.stdout is not None
    output = started.stdout
    assert sum(len(data) for data in iter(lambda: output.read(MEGABYTE), b"")) == 300_000_000
    assert started.wait(PATIENCE) == 0


def test_a_reader_that_has_enough(daemon: Daemon) -> None:
    """`gom run yes | head -1` ends, and so does the job."""
    line = shlex.join((*GOM, "-c", daemon.unix, "run", "yes"))
    done = subprocess.run(
        ["sh", "-c", f"{line} | head -1"], capture_output=True, timeout=PATIENCE, check=False
    )
    assert done.stdout == b"y\n"
    until(lambda: [row["state"] for row in jobs(daemon)] == ["done"])


@pytest.mark.one_program
def test_many_at_once(daemon: Daemon) -> None:
    """A burst of jobs: each has its own output and status, and nothing of them stays."""

    def one(number: int) -> tuple[int, bytes]:
        done = gom(daemon, "run", "sh", "-c", f"echo {number}; exit {number % 100}")
        return done.returncode, done.stdout

    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(one, range(60)))
    assert found == [(number % 100, f"{number}\n".encode()) for number in range(60)]
    spool = daemon.state / "spool"
    # Some seconds after the first job the daemon keeps there what criu finds out about the kernel.
    until(lambda: {path.name for path in spool.iterdir()} <= {"log", ".kernel"})
    assert (spool / "log").read_text() == ""


def test_a_job_with_a_terminal(daemon: Daemon) -> None:
    """On a terminal the command has one too, of the same size, and hears when that changes."""
    ours, theirs = pty.openpty()
    script = "trap 'stty size' WINCH; stty size; echo ready; while :; do sleep 0.1; done"
    env = {**os.environ, "TERM": "vt100"}
    started = subprocess.Popen(
        [*GOM, "-c", daemon.unix, "run", "sh", "-c", script],
        stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True, env=env,
    )  # fmt: skip
    os.close(theirs)
    seen = _read_until(ours, b"ready\r\n")
    assert seen.startswith(b"0 0\r\n")
    import fcntl
    import struct
    import termios

    fcntl.ioctl(ours, termios.TIOCSWINSZ, struct.pack("4H", 33, 77, 0, 0))
    started.send_signal(signal.SIGWINCH)
    assert b"33 77\r\n" in _read_until(ours, b"33 77\r\n")
    os.write(ours, b"\x03")  # Ctrl-C, a byte like any other here
    assert started.wait(PATIENCE) == 130
    os.close(ours)


def _read_until(descriptor: int, end: bytes) -> bytes:
    seen = b""
    while end not in seen:
        assert select.select([descriptor], [], [], PATIENCE)[0], f"it never said {end!r}: {seen!r}"
        seen += os.read(descriptor, 4096)
    return seen
