"""`gom run` on another node: as on this one, seen from home, and said when its node is gone."""

from __future__ import annotations

import hashlib
import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.daemon import PATIENCE, Daemon
from tests.integration.jobs import MEGABYTE, Pair, begin, gom, job, jobs, running, until
from tests.integration.prompt import Prompt

Two = tuple[Daemon, Daemon]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """Two nodes for all tests of this file."""
    made = Pair(tmp_path_factory.mktemp("pair"))
    with made:
        yield made


@pytest.fixture
def two(pair: Pair) -> Iterator[Two]:
    """The two daemons; jobs are ended after the test."""
    home, other = pair.nodes
    yield home, other
    for daemon in (home, other):
        for row in jobs(daemon):
            if row["state"] == "running":
                gom(daemon, "kill", str(row["job"]), "KILL")
        until(lambda daemon=daemon: all(row["state"] != "running" for row in jobs(daemon)))  # type: ignore[misc]


def ps(daemon: Daemon, pid: int) -> dict[str, Any]:
    """Return the row of a process."""
    with daemon.connect_unix() as line:
        line.ask("format json")
        [row] = line.ask(f"ps {pid}").rows
        return dict(row)


@pytest.mark.usefixtures("run_program")
def test_streams_and_status(two: Two) -> None:
    """Both outputs and the exit status come from there."""
    done = gom(two[0], "run", "-n", "2", "sh", "-c", "echo out; echo err >&2; exit 7")
    assert (done.returncode, done.stdout, done.stderr) == (7, b"out\n", b"err\n")


@pytest.mark.usefixtures("run_program")
def test_fifty_megabytes_go_both_ways_unchanged(two: Two) -> None:
    """Every byte of 50 MB comes back in its order, over the daemons' stream."""
    data = random.Random(3).randbytes(50 * MEGABYTE)
    done = gom(two[0], "run", "-n", "node2", "cat", stdin=data)
    assert done.returncode == 0
    assert hashlib.sha256(done.stdout).digest() == hashlib.sha256(data).digest()


def test_a_command_that_is_not_there(two: Two) -> None:
    """127, as at home; a node that is not there is said."""
    assert gom(two[0], "run", "-n", "2", "no-such-command").returncode == 127
    done = gom(two[0], "run", "-n", "9", "true")
    assert (done.returncode, b"no node 9" in done.stderr) == (1, True)


def test_it_is_seen_and_signalled_from_home(two: Two) -> None:
    """`ps` shows it under its home with its node; `where`, `renice` and `signal` find it."""
    home, other = two
    started = begin(home, "run", "-n", "2", "sleep", "1000")
    row = running(home)
    pid = row["pid"]
    seen = ps(home, pid)
    assert (seen["node"], seen["home"], seen["where"], seen["command"]) == (2, 1, 2, "sleep 1000")
    assert gom(home, "where", str(pid)).stdout == b"2\n"
    assert gom(home, "renice", str(pid), "7").returncode == 0
    assert ps(home, pid)["nice"] == 7
    there = row["pid_there"]
    assert gom(other, "get", f"/proc/hpc/remote/{there}/from").stdout == b"1     127.0.0.1\n"
    assert f"pid={pid}\n".encode() in gom(other, "get", f"/proc/hpc/remote/{there}/identity").stdout
    assert ps(other, there)["home"] == 1
    assert gom(other, "where", str(pid), "1").stdout == b"2\n"
    assert gom(home, "signal", str(pid), "TERM").returncode == 0
    assert started.wait(PATIENCE) == 143


def test_a_detached_job_keeps_its_output_at_home(two: Two) -> None:
    """It can be read at home while it runs and when it is over."""
    home, _other = two
    number = gom(home, "run", "--detach", "-n", "2", "sh", "-c", "echo 1; sleep 1; echo 2; exit 4").stdout
    for _ in range(2):
        shown = gom(home, "attach", number.decode().strip())
        assert (shown.returncode, shown.stdout) == (4, b"1\n2\n")
    assert job(home, int(number))["node"] == 2


def test_a_closed_terminal_ends_the_job(two: Two) -> None:
    """There as here."""
    started = begin(two[0], "run", "-n", "2", "sleep", "1000")
    row = running(two[0])
    started.kill()
    until(lambda: job(two[0], row["job"])["exit"] == 129)
    until(lambda: not Path(f"/proc/{row['pid_there']}").exists())


@pytest.mark.usefixtures("run_program")
@pytest.mark.parametrize("victim", [0, 1])
def test_a_daemon_that_is_killed_meanwhile(two: Two, victim: int) -> None:
    """Home's or the other's: the job goes on, and not a byte is lost or doubled."""
    home = two[0]
    data = random.Random(victim).randbytes(20 * MEGABYTE)
    started = begin(home, "run", "-n", "2", "sh", "-c", "cat; exit 6")
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(started.stdout.read()))  # type: ignore[union-attr]
    reader.start()
    feed = threading.Thread(target=_feed, args=(started.stdin, data))
    feed.start()
    running(home)
    time.sleep(0.5)
    two[victim].kill()
    time.sleep(0.5)
    two[victim].start()
    feed.join(PATIENCE)
    assert started.wait(PATIENCE) == 6
    reader.join(PATIENCE)
    assert hashlib.sha256(read[0]).digest() == hashlib.sha256(data).digest()


def _feed(stdin: Any, data: bytes) -> None:
    stdin.write(data[: len(data) // 2])
    stdin.flush()
    time.sleep(3.0)  # a daemon is killed meanwhile
    stdin.write(data[len(data) // 2 :])
    stdin.close()


def test_a_node_that_goes_down_takes_its_job_along(two: Two) -> None:
    """The job is reported lost, with the node's name, and exit 143; what ran on is ended when it is back."""
    home, other = two
    started = begin(home, "run", "-n", "2", "sleep", "1000")
    row = running(home)
    other.kill()
    assert started.wait(2 * PATIENCE) == 143
    assert started.stderr is not None
    assert b"node 2 node2 went down" in started.stderr.read()
    lost = job(home, row["job"])
    assert (lost["state"], lost["exit"]) == ("lost", 143)
    with home.connect_unix() as line:
        assert any("is lost" in text and "node2" in text for text in line.ask("events").block or ())
    other.start()
    until(lambda: not Path(f"/proc/{row['pid_there']}").exists(), 2 * PATIENCE)


def test_only_home_speaks_of_a_guest(two: Two) -> None:
    """A user who names a job of another home is refused."""
    with two[1].connect_unix() as line:
        assert line.ask("run 1-99").code == 403
        assert line.ask("attach 1-99").code == 403


@pytest.mark.usefixtures("run_program")
def test_ctrl_z_reaches_a_job_on_another_node(two: Two, tmp_path: Path) -> None:
    """At a prompt: its first process there stops, then gom here; `fg` continues both."""
    home = two[0]
    with Prompt(home.unix, tmp_path) as prompt:
        for options, end in (("-T", "\n"), ("", "\r")):
            prompt.type(f"gom run {options} -n 2 sh -c 'echo up; read x; echo heard $x'\n")
            prompt.wait("up\n")
            pid = running(home)["pid_there"]
            prompt.type("\x1a")
            prompt.wait("Stopped")
            assert _state(pid) == "T"
            prompt.type("fg\n")
            prompt.wait("gom run")
            until(lambda pid=pid: _state(pid) == "S")  # type: ignore[misc]
            prompt.type(f"me{end}")
            prompt.wait("heard me\n")
            prompt.idle()


def _state(pid: int) -> str:
    """Return the state of a process, as ps shows it."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
