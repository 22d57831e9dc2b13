"""Supervisors by themselves, as processes without namespaces: what ends them, and what does not."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gomd.jobs.supervisor.exit_watcher import DRAIN_TIMEOUT
from gomd.jobs.supervisor.serve import serve
from gomd.jobs.supervisor.spawn import SupervisorEnvironment
from gomd.jobs.supervisor.supervisor import Supervisor
from libgomd.wire import frames

#: Seconds between two checks of these supervisors whether they are deserted.
_CHECK_INTERVAL = 0.2


class Connection:
    """A daemon's connection to a supervisor."""

    def __init__(self, connection: socket.socket) -> None:
        connection.settimeout(20)
        self._socket = connection
        self._parser = frames.FrameParser()
        self._frames: list[frames.Frame] = []

    def send(self, kind: int, value: dict[str, Any]) -> None:
        self._socket.sendall(frames.encode_json(kind, value))

    def acknowledge(self, stream: int, position: int) -> None:
        self._socket.sendall(frames.encode_ack(stream, position))

    def until(self, kind: int) -> dict[str, Any]:
        return frames.decode_json(self.until_frame(kind))

    def until_frame(self, kind: int) -> bytes:
        while True:
            while self._frames:
                frame = self._frames.pop(0)
                if frame.kind == kind:
                    return frame.payload
            data = self._socket.recv(65536)
            assert data, "the supervisor has hung up"
            self._frames += self._parser.feed(data)

    def is_cut(self) -> bool:
        while self._socket.recv(65536):
            pass
        return True

    def close(self) -> None:
        self._socket.close()


Start = Callable[..., "tuple[int, Connection]"]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start supervisors, and end them after the test."""
    pids: list[int] = []

    def begin(*argv: str, detach: bool = False, **more: Any) -> tuple[int, Connection]:
        ours, theirs = socket.socketpair()
        pid = os.fork()
        if pid == 0:
            try:
                ours.close()
                os.setsid()
                proc = os.open("/proc", os.O_RDONLY | os.O_DIRECTORY)
                environment = SupervisorEnvironment(False, "", os.getpid(), proc)
                serve(theirs, environment, Supervisor, deserted_check=_CHECK_INTERVAL)
            finally:
                os._exit(0)
        theirs.close()
        pids.append(pid)
        connection = Connection(ours)
        connection.send(frames.SPEC, {
            "id": "1-1", "directory": str(tmp_path / "spool" / "1-1"), "detach": detach, "uid": os.getuid(),
            "gid": os.getgid(), "groups": [], "user": "me", "where": "node 1 test", "spool_bytes": 1 << 20,
            "argv": list(argv), "env": {"PATH": os.defpath}, "cwd": "/", "umask": 0o22, **more,
        })  # fmt: skip
        return pid, connection

    yield begin
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        except (ProcessLookupError, ChildProcessError):
            pass


def ends(pid: int, within: float) -> bool:
    """Return whether a process ends within some seconds, and reap it."""
    descriptor = os.pidfd_open(pid)
    try:
        ended = bool(select.select([descriptor], [], [], within)[0])
    finally:
        os.close(descriptor)
    if ended:
        os.waitpid(pid, 0)
    return ended


def test_a_caller_that_waits_is_attached_from_the_beginning(start: Start, tmp_path: Path) -> None:
    """The report says so once: neither a later daemon nor the file of the job is told so."""
    pid, connection = start("sh", "-c", "echo hello; read line", attach={"stdout": 0, "stderr": 0, "n": 7})
    assert connection.until(frames.STARTED)["attached"] is True
    assert connection.until(frames.ATTACHED)["n"] == 7
    assert connection.until_frame(frames.STDOUT) == b"hello\n"
    directory = tmp_path / "spool" / "1-1"
    assert "attached" not in json.loads((directory / "job").read_text())
    later = socket.socket(socket.AF_UNIX)
    later.connect(str(directory / "socket"))
    second = Connection(later)
    assert "attached" not in second.until(frames.STARTED)
    second.send(frames.ATTACH, {"stdout": 0, "stderr": 0, "n": 8})
    assert second.until(frames.ATTACHED)["n"] == 8
    assert second.until_frame(frames.STDOUT) == b"hello\n"
    later.sendall(frames.encode(frames.STDIN_END))
    assert second.until(frames.EXIT)["exit"] == 1
    later.sendall(frames.encode(frames.COLLECTED))
    assert ends(pid, 20)


def test_an_attach_of_bad_types_ends_nothing(start: Start, tmp_path: Path) -> None:
    """The connection that sent it is closed; the job goes on, and the next connection finds it."""
    pid, connection = start("sleep", "1000")
    job = connection.until(frames.STARTED)["pid"]
    connection.send(frames.ATTACH, {"stdout": "seven", "stderr": None})
    assert connection.is_cut()
    again = socket.socket(socket.AF_UNIX)
    again.connect(str(tmp_path / "spool" / "1-1" / "socket"))
    found = Connection(again)
    assert found.until(frames.STARTED)["pid"] == job
    found.send(frames.ATTACH, {"stdout": 0, "n": 3})
    assert found.until(frames.ATTACHED)["n"] == 3
    assert not ends(pid, 0.0)
    again.close()


@pytest.mark.parametrize("detach", [False, True])
def test_a_job_whose_directory_was_removed(start: Start, tmp_path: Path, detach: bool) -> None:
    """Without a daemon nobody can find it again: it ends as at a hang-up, and its supervisor with it."""
    pid, connection = start("sleep", "1000", detach=detach)
    job = connection.until(frames.STARTED)["pid"]
    connection.close()
    assert not ends(pid, 3 * _CHECK_INTERVAL)  # a daemon that is away may come back
    shutil.rmtree(tmp_path / "spool")
    assert ends(pid, 20.0)
    assert not os.path.exists(f"/proc/{job}")


def test_a_daemon_that_is_connected_counts_more_than_the_directory(start: Start, tmp_path: Path) -> None:
    """As long as a daemon is connected the job goes on."""
    pid, connection = start("sleep", "1000")
    connection.until(frames.STARTED)
    shutil.rmtree(tmp_path / "spool")
    time.sleep(3 * _CHECK_INTERVAL)
    assert not ends(pid, 0.0)
    connection.close()
    assert ends(pid, 20.0)


def test_a_reader_that_is_overtaken(start: Start, tmp_path: Path) -> None:
    """A reader that is slower than old output is removed is told where it goes on, and gets the end."""
    script = "import sys; sys.stdout.buffer.write(bytes(5 << 20) + b'the end'); sys.stdout.flush()"
    _pid, connection = start("python3", "-c", script, detach=True)
    connection.until(frames.STARTED)
    connection.send(frames.ATTACH, {"stdout": 0, "n": 1})
    assert connection.until(frames.ATTACHED)["stdout"] == 0
    end = time.monotonic() + 20
    while not (tmp_path / "spool" / "1-1" / "exit").exists():  # all is written, the window is full
        assert time.monotonic() < end
        time.sleep(0.05)
    connection.acknowledge(frames.STDOUT, frames.WINDOW)
    connection.until_frame(frames.RESUME)
    connection.send(frames.ATTACH, {"stdout": frames.WINDOW, "n": 2})
    position = connection.until(frames.ATTACHED)["stdout"]
    assert frames.WINDOW < position < 5 << 20
    data = b""
    while not data.endswith(b"the end"):
        data += connection.until_frame(frames.STDOUT)
        connection.acknowledge(frames.STDOUT, position + len(data))
    assert position + len(data) == (5 << 20) + 7
    assert connection.until(frames.EXIT)["exit"] == 0
    connection.send(frames.COLLECTED, {})
    connection.close()


def test_a_caller_who_reads_slowly_gets_all_the_output_of_a_job_that_has_ended(start: Start) -> None:
    """Also what there is no room for in the window: it is in the pipe when the job ends."""
    size = frames.WINDOW + 50_000
    _pid, connection = start("head", "-c", str(size), "/dev/zero", attach={"stdout": 0, "stderr": 0, "n": 1})
    connection.until(frames.ATTACHED)
    time.sleep(2 * DRAIN_TIMEOUT)
    came = 0
    while came < size:
        came += len(connection.until_frame(frames.STDOUT))
        connection.acknowledge(frames.STDOUT, came)
    assert connection.until(frames.EXIT)["exit"] == 0
