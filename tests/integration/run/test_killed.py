"""A daemon, a supervisor or a fork server that is killed while jobs run."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest

from tests.integration.daemon import PATIENCE, Daemon
from tests.integration.jobs import MEGABYTE, begin, gom, job, jobs, running, until

pytestmark = pytest.mark.usefixtures("run_program")


def test_a_daemon_that_is_killed_finds_its_jobs_again(daemon: Daemon) -> None:
    """`gom run` waits for it and goes on: not a byte is lost or doubled, the status is the command's."""
    data = random.Random(2).randbytes(20 * MEGABYTE)
    detached = (
        gom(daemon, "run", "--detach", "sh", "-c", "sleep 2; echo late; exit 3").stdout.decode().strip()
    )
    started = begin(daemon, "run", "sh", "-c", "cat; exit 6")
    assert started.stdin is not None
    half = len(data) // 2
    feed = threading.Thread(target=_feed, args=(started, data, half))
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(started.stdout.read()))  # type: ignore[union-attr]
    feed.start()
    reader.start()
    until(lambda: [row for row in jobs(daemon) if row["state"] == "running" and "cat" in row["command"]])
    time.sleep(0.3)
    daemon.kill()
    time.sleep(0.3)
    daemon.start()
    feed.join(PATIENCE)
    assert started.wait(PATIENCE) == 6
    reader.join(PATIENCE)
    assert hashlib.sha256(read[0]).digest() == hashlib.sha256(data).digest()
    shown = gom(daemon, "attach", detached)
    assert (shown.returncode, shown.stdout) == (3, b"late\n")


def _feed(started: subprocess.Popen[bytes], data: bytes, half: int) -> None:
    assert started.stdin is not None
    started.stdin.write(data[:half])
    started.stdin.flush()
    time.sleep(2.0)  # the daemon is killed meanwhile
    started.stdin.write(data[half:])
    started.stdin.close()


@pytest.mark.one_program
def test_a_job_that_ended_while_no_daemon_was_there(daemon: Daemon) -> None:
    """Its exit status was kept."""
    number = int(gom(daemon, "run", "--detach", "sh", "-c", "sleep 0.5; exit 9").stdout)
    daemon.kill()
    time.sleep(1.0)
    daemon.start()
    until(lambda: job(daemon, number)["state"] == "done")
    assert job(daemon, number)["exit"] == 9


def test_a_supervisor_that_is_killed_takes_its_job_along(daemon: Daemon) -> None:
    """The job is lost, which is said: nothing runs without its pipes. The next job is not concerned."""
    started = begin(daemon, "run", "sleep", "1000")
    row = running(daemon)
    told = json.loads((daemon.state / "spool" / f"{row['home']}-{row['job']}" / "job").read_text())
    os.kill(told["supervisor"], signal.SIGKILL)
    assert started.wait(PATIENCE) == 143
    assert started.stderr is not None
    assert b"is lost" in started.stderr.read()
    assert job(daemon, row["job"])["state"] == "lost"
    if os.geteuid() == 0:
        until(lambda: not Path(f"/proc/{row['pid']}").exists())
    assert gom(daemon, "run", "echo", "again").stdout == b"again\n"


@pytest.mark.one_program
def test_a_launcher_that_is_killed_is_started_anew(daemon: Daemon) -> None:
    """Nobody notices."""
    started = begin(daemon, "run", "sh", "-c", "sleep 1; exit 8")
    running(daemon)
    children = Path(f"/proc/{daemon.process.pid}/task/{daemon.process.pid}/children").read_text().split()
    [launcher] = [int(pid) for pid in children if _name(pid) == "gomd-launcher"]
    os.kill(launcher, signal.SIGKILL)
    assert gom(daemon, "run", "echo", "again").stdout == b"again\n"
    assert started.wait(PATIENCE) == 8


def _name(pid: str) -> str:
    return Path(f"/proc/{pid}/comm").read_text().strip()
