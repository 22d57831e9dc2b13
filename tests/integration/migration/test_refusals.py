"""A job that cannot move is refused with the reason before it is frozen, and runs on undisturbed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.cluster.asking import ask, counters, eventually
from tests.integration.hosts import Host, Network
from tests.integration.migration.moving import Job, process

PYTHON = "/usr/bin/python3"
_COUNTERS = ("migrations_out", "migrations_failed", "migrations_now")


def refused(job: Job, reason: str, target: str = "2") -> None:
    """Check that a job does not move because of ``reason``, and that nothing of the attempt is left."""
    before = counters(job.home)
    said = ask(job.home, f"migrate {job.pid} {target} dry-run")
    assert (said.code, reason in said.text) == (405, True), said
    after = counters(job.home)
    assert [after[name] for name in _COUNTERS] == [before[name] for name in _COUNTERS], "it was only asked"
    said = ask(job.home, f"migrate {job.pid} {target}")
    assert (said.code, reason in said.text) == (405, True), said
    assert counters(job.home)["migrations_now"] == 0
    assert (job.row()["node"], job.row()["state"]) == (job.home.number, "running")


def moves(job: Job, target: str = "2") -> None:
    """Check that it can move, and that it does."""
    said = ask(job.home, f"migrate {job.pid} {target} dry-run")
    assert (said.code, "can move" in said.text) == (200, True), said
    assert job.row()["node"] == job.home.number
    job.move(target)


@pytest.fixture
def place(made: Network) -> Iterator[Path]:
    """A directory that everybody may write to; what is under ``own`` is another one on the second host."""
    path = made.hosts[0].home.parent / "place"
    (path / "own").mkdir(parents=True)
    (path / "own").chmod(0o1777)
    path.chmod(0o1777)
    made.hosts[1].run("mount", "-t", "tmpfs", "-o", "mode=1777", "none", str(path / "own"))
    yield path
    made.hosts[1].run("umount", "-l", str(path / "own"))
    shutil.rmtree(path)


_CONNECTED = """
import socket, sys, time
ours = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
print(ours.recv(3).decode(), flush=True)
sys.stdin.readline()
ours.close()
print("closed", flush=True)
time.sleep(1000)
"""


def test_a_connection(three: list[Host]) -> None:
    """It stays as long as the connection is open, and `cantmove` says so; then it moves."""
    home = three[0]
    port = home.daemon.port
    job = Job(home, "-n", "1", PYTHON, "-c", _CONNECTED, str(port), user="nobody")
    eventually(lambda: job.out == b"220\n")
    reason = f"it has a TCP connection to 127.0.0.1:{port}"
    refused(job, reason)
    eventually(lambda: process(home, job.pid)["cantmove"] == reason)
    assert ask(home, f"get /proc/{job.pid}/cantmove").block == [reason]
    job.write(b"\n")
    eventually(lambda: job.out == b"220\nclosed\n")
    moves(job)


def test_a_directory_that_is_not_there(three: list[Host], place: Path) -> None:
    """A user's own directory; on the third host it is there."""
    directory = place / "own" / "home"
    directory.mkdir()
    job = Job(three[0], "-n", "1", "sleep", "1000", user="nobody", cwd=directory)
    refused(job, f"h2 has no directory {directory}")
    moves(job, "3")


_WRITES = """
import sys
with open(sys.argv[1], "w", buffering=1) as file:
    for line in sys.stdin:
        file.write(line)
        print("written", flush=True)
"""


def test_a_file_it_writes(three: list[Host], place: Path) -> None:
    """Where both see it, it goes on in the same file; where the other has another one, or none, it stays."""
    both, own = place / "log", place / "own" / "log"
    shared = Job(three[0], "-n", "1", PYTHON, "-c", _WRITES, str(both), user="nobody", cwd=place)
    lone = Job(three[0], "-n", "1", PYTHON, "-c", _WRITES, str(own), user="nobody", cwd=place)
    for job in (shared, lone):
        job.write(b"one\n")
        eventually(lambda job=job: job.out == b"written\n")  # type: ignore[misc]
    refused(lone, f"h2 has no {own}")
    three[1].run("touch", str(own))
    refused(lone, f"{own} is another one on node 2 h2")
    moves(shared)
    moves(lone, "3")
    for job in (shared, lone):
        job.write(b"two\n")
        eventually(lambda job=job: job.out == b"written\n" * 2)  # type: ignore[misc]
    assert both.read_text() == own.read_text() == "one\ntwo\n"
    assert both.stat().st_uid == 65534


def test_what_gomd_did_not_start(three: list[Host]) -> None:
    """A process that gomd did not start stays where it is; so does another user's job."""
    home = three[0]
    [foreign] = [row["pid"] for row in ask(home, "ps", as_json=True).rows if "twistd" in row["command"]]
    said = ask(home, f"migrate {foreign} 2 dry-run")
    assert (said.code, "was not started by gomd" in said.text) == (405, True), said
    job = Job(home, "-n", "1", "sleep", "1000")
    socket = home.home / "gomd.sock"
    told = home.run("nc", "-U", "-N", str(socket), text=f"migrate {job.pid} 2\r\nquit\r\n", user="nobody")
    assert told.splitlines()[1].startswith("403 "), told
    assert job.row()["node"] == 1
