"""Jobs whose directories are on a file system that does not answer hold up nobody but themselves."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.integration import hung_fs
from tests.integration.daemon import PATIENCE, Daemon
from tests.integration.jobs import NOBODY, gom, jobs, until

pytestmark = pytest.mark.skipif(bool(hung_fs.missing()), reason=hung_fs.missing())

ROOT = Path(__file__).parent.parent.parent
#: Jobs that each of two users starts in the directory that hangs: more than may be started at once.
STUCK = 40
#: Seconds within which everybody else's job has to be over. Those that hang are given up after 30.
SOON = 15.0

# Becomes a user, asks for some jobs in a directory and prints what comes of each.
_CALLER = """
import os, selectors, socket, sys
from libgomd.wire import frames
path, cwd, count, uid = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
os.setgroups([]); os.setresgid(uid, uid, uid); os.setresuid(uid, uid, uid)
spec = frames.encode_json(frames.SPEC, {"argv": ["true"], "env": {"PATH": os.defpath}, "cwd": cwd})
calls = selectors.DefaultSelector()
for _ in range(count):
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(path)
    stream = connection.makefile("rb")
    assert stream.readline().startswith(b"220")
    connection.sendall(b"run\\n")
    assert stream.readline().startswith(b"202")
    connection.sendall(spec)
    calls.register(connection, selectors.EVENT_READ, frames.FrameParser())
print("asked", flush=True)
while calls.get_map():
    for key, _events in calls.select():
        data = key.fileobj.recv(65536)
        assert data, "the daemon closed a connection"
        for frame in key.data.feed(data):
            if frame.kind in (frames.FAILED, frames.STARTED):
                print(frame.kind, frames.decode_json(frame.payload).get("code"), flush=True)
                calls.unregister(key.fileobj)
"""


class Hung(Daemon):
    """A daemon that sees a directory, ``home/hung``, that never answers."""

    def command(self) -> Sequence[str]:
        inside = (sys.executable, "-m", "tests.integration.hung_fs", str(self.home / "hung"))
        start = 'cd "$1" && shift && exec "$@"'
        there = 'cd "$1" && shift && exec "$@"'
        return (
            "unshare", "--mount", "--propagation", "private", "--", "sh", "-c", start, "sh", str(ROOT),
            *inside, "sh", "-c", there, "sh", str(self.home), *super().command(),
        )  # fmt: skip


@pytest.fixture
def daemon() -> Iterator[Daemon]:
    """A daemon whose socket everybody reaches."""
    place = Path(tempfile.mkdtemp(prefix="gomd-hung-", dir="/tmp"))
    place.chmod(0o711)
    (place / "hung").mkdir()
    try:
        with Hung(place) as daemon:
            daemon.state.chmod(0o711)
            daemon.socket.chmod(0o666)
            yield daemon
    finally:
        shutil.rmtree(place)


def ask_for_stuck(daemon: Daemon, uid: int, cwd: Path) -> subprocess.Popen[str]:
    """Ask for jobs that hang, as a user; return who asks, once all of them were asked for."""
    caller = subprocess.Popen(
        [sys.executable, "-c", _CALLER, str(daemon.socket), str(cwd), str(STUCK), str(uid)],
        cwd=ROOT, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert caller.stdout is not None
    assert caller.stdout.readline() == "asked\n"
    return caller


def test_directories_that_hang_hold_up_nobody(daemon: Daemon) -> None:
    """Two users start more than may be started at once; a third one, and they elsewhere, start at once."""
    callers = [ask_for_stuck(daemon, uid, daemon.home / "hung") for uid in (65534, 1)]
    until(lambda: len([row for row in jobs(daemon) if row["state"] == "starting"]) == 2 * STUCK)
    began = time.monotonic()
    for program in ((), NOBODY):
        more = {"program": program} if program else {}
        done = gom(daemon, "run", "echo", "here", cwd="/", **more)  # type: ignore[arg-type]
        assert (done.returncode, done.stdout) == (0, b"here\n"), done.stderr
    assert time.monotonic() - began < SOON
    assert len([row for row in jobs(daemon) if row["state"] == "starting"]) == 2 * STUCK
    for caller in callers:  # each of them is told, once it is given up
        out, _ = caller.communicate(timeout=4 * PATIENCE)
        assert out == "21 504\n" * STUCK
    until(lambda: all(row["state"] != "starting" for row in jobs(daemon)))


def test_one_user_takes_their_share_and_root_has_room() -> None:
    """Half of the places are one user's; others, and root at last, have the rest."""
    place = Path(tempfile.mkdtemp(prefix="gomd-share-", dir="/tmp"))
    place.chmod(0o711)
    try:
        with Daemon(place, ini="[jobs]\nmost = 10\nreserve = 20\n") as daemon:
            daemon.state.chmod(0o711)
            daemon.socket.chmod(0o666)
            nobody = {"program": NOBODY, "cwd": "/"}
            for _ in range(5):
                assert gom(daemon, "run", "--detach", "sleep", "1000", **nobody).returncode == 0  # type: ignore[arg-type]
            done = gom(daemon, "run", "true", **nobody)  # type: ignore[arg-type]
            assert done.returncode == 1
            assert b"5 are a user's share" in done.stderr
            for _ in range(5):
                assert gom(daemon, "run", "--detach", "sleep", "1000").returncode == 0
            done = gom(daemon, "run", "true")
            assert b"10 jobs are under way on this node already" in done.stderr
            for row in jobs(daemon):
                gom(daemon, "kill", str(row["job"]), "KILL")
            until(lambda: all(row["state"] == "done" for row in jobs(daemon)))
            assert gom(daemon, "run", "true", **nobody).returncode == 0  # type: ignore[arg-type]
    finally:
        shutil.rmtree(place)
