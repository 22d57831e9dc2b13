"""What the step that carries files says when it cannot be done."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import socket
import time
from pathlib import Path

import pytest

from gomd.jobs.checkpoint.file_tree_codec import TreeRefused
from gomd.jobs.supervisor.carried_base import Identity, line
from gomd.jobs.supervisor.carried_source import files_at_home
from gomd.jobs.supervisor.carrier import carry, named_as_carried
from libgomd.wire import frames, job_messages
from libgomd.wire.carry_messages import MERGE, REMOVE, TAKE, CarryOutcome, CarrySpec

PATHS = ("/etc/shadow", "/home/ada/data", "/7")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("0/shadow cannot be read: Permission denied", "/etc/shadow cannot be read: Permission denied"),
        ("1/data/in/a belongs to another user", "/home/ada/data/in/a belongs to another user"),
        ("2/7 is a device", "/7 is a device"),
        ("3/x is a device", "3/x is a device"),
        ("there are more than 10 files", "there are more than 10 files"),
        ("²/x is a device", "²/x is a device"),
    ],
)
def test_a_refusal_names_the_file_as_its_user_does(text: str, said: str) -> None:
    """Not as it stands in the stream, below the number of the path that it belongs to."""
    assert named_as_carried(text, PATHS) == said


def test_what_is_written_down_is_bounded(tmp_path: Path) -> None:
    """The file is root's: names that nobody else counts must not fill the disk."""
    here = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    for _ in range(15):
        os.mkdir(b"\xff" * 255, dir_fd=here)
        below = os.open(b"\xff" * 255, os.O_RDONLY | os.O_DIRECTORY, dir_fd=here)
        os.close(here)
        here = below
    for number in range(3000):
        os.close(os.open(str(number), os.O_CREAT | os.O_WRONLY, dir_fd=here))
    os.close(here)
    base = os.open(tmp_path / "base", os.O_CREAT | os.O_WRONLY)
    taken = str(tmp_path / os.fsdecode(b"\xff" * 255))
    spec = CarrySpec(TAKE, "/nowhere", os.getuid(), os.getgid(), (), (taken,), 0o22, 10_000, 1 << 20)
    with pytest.raises(TreeRefused, match="the names of its files have more than 64 MB"):
        for _piece in files_at_home(spec, base):
            pass
    assert os.fstat(base).st_size <= 64 << 20
    os.close(base)


def begin(step: str, directory: Path, path: Path, lock: int) -> tuple[int, socket.socket]:
    """
    Begin a step in a child; return its process id and the connection on which it tells its outcome.

    :param lock: a descriptor that the child must not have.
    """
    ours, theirs = socket.socketpair()
    spec = CarrySpec(step, str(directory), os.getuid(), os.getgid(), (), (str(path),), 0o22, 100, 1 << 20)
    pid = os.fork()
    if pid == 0:
        try:
            os.close(lock)
            carry(spec, theirs, (), frames.FrameParser())
        finally:
            os._exit(0)
    theirs.close()
    return pid, ours


def outcome(pid: int, connection: socket.socket) -> CarryOutcome:
    """Return the outcome of a step, once its process has ended."""
    with connection:
        os.waitpid(pid, 0)
        [frame] = frames.FrameParser().feed(connection.recv(65536))
    told: CarryOutcome = job_messages.decode(CarryOutcome, frame.payload)
    return told


def until_it_waits(pid: int) -> None:
    """Return when a process waits for a lock. It fails if the process ends instead."""
    while not re.search(rf"-> FLOCK .* {pid} ", Path("/proc/locks").read_text()):
        assert os.waitpid(pid, os.WNOHANG) == (0, 0), "it did not wait"
        time.sleep(0.001)


@pytest.mark.parametrize("later", [MERGE, REMOVE])
def test_files_are_not_merged_while_they_are_removed(tmp_path: Path, later: str) -> None:
    """Nor removed while they are merged: what is gone would count as removed by the job, and is at home."""
    staged, home = tmp_path / "carry", tmp_path / "home"
    (staged / "files" / "0").mkdir(parents=True)
    home.mkdir()
    for place in (staged / "files" / "0" / "data", home / "data"):
        place.write_text("precious")
        os.utime(place, (1000, 1000))
    identity = Identity.of((home / "data").stat())
    (staged / "base").write_bytes(line((b"0", b"data"), identity))
    with open(staged / "base") as base:  # as a step that is under way holds it
        fcntl.flock(base, fcntl.LOCK_EX)
        pid, connection = begin(later, staged, home / "data", base.fileno())
        until_it_waits(pid)
        assert (staged / "files" / "0" / "data").exists()
        if later == MERGE:
            shutil.rmtree(staged)
    told = outcome(pid, connection)
    assert ("come home already" in told.failed) is (later == MERGE)
    assert (home / "data").read_text() == "precious"
    assert not staged.exists()
