"""Supervisors pass a running job on to each other: real fork server, real criu, no daemon. Root only."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest

from gomd.jobs.checkpoint import criu, page_connection, page_receiver
from gomd.jobs.checkpoint.images import Images
from gomd.jobs.lifecycle.forkserver_client import _PROGRAM, _ROOT
from gomd.jobs.supervisor.kinds import NAMESPACE
from libgomd.certificates import page_server_credentials, write_pem_files
from libgomd.derivation import ClusterKey
from libgomd.errors import CannotMove
from libgomd.wire import frames
from tests.integration.test_criu import find_criu

_ECHO = """
import sys, time
for line in sys.stdin:
    print(line.strip(), flush=True)
    time.sleep(0.0002)
print("end", file=sys.stderr, flush=True)
sys.exit(7)
"""


class Supervisor:
    """A daemon's connection to a supervisor."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        connection.settimeout(30)
        self._parser = frames.FrameParser()
        self._waiting: list[frames.Frame] = []
        self.output = {frames.STDOUT: b"", frames.STDERR: b""}
        self.acknowledged = 0
        self.pids: list[int] = []

    def send(self, kind: int, value: dict[str, Any] | bytes = b"") -> None:
        self._socket.sendall(
            frames.encode(kind, value) if isinstance(value, bytes) else frames.encode_json(kind, value)
        )

    def write(self, data: bytes) -> None:
        self._socket.sendall(frames.encode(frames.STDIN, data))

    def until(self, kind: int) -> dict[str, Any]:
        """Take frames until one of ``kind`` comes; return what it says."""
        while True:
            while not self._waiting:
                data = self._socket.recv(65536)
                assert data, "the supervisor is gone"
                self._waiting += self._parser.feed(data)
            frame = self._waiting.pop(0)
            if frame.kind in self.output:
                self.output[frame.kind] += frame.payload
            elif frame.kind == frames.ACK:
                self.acknowledged = frames.decode_ack(frame.payload)[1]
            if frame.kind == frames.FAILED:
                raise AssertionError(frames.decode_json(frame.payload)["text"])
            if frame.kind == frames.STARTED:
                self.pids.append(int(frames.decode_json(frame.payload)["supervisor"]))
            if frame.kind == kind:
                return {} if kind in self.output or kind == frames.ACK else frames.decode_json(frame.payload)

    def acknowledge(self, base: dict[int, int]) -> None:
        for kind, data in self.output.items():
            self._socket.sendall(frames.encode_ack(kind, base[kind] + len(data)))

    def close(self) -> None:
        """End the supervisor, and its job with it, whatever came of the test."""
        self._socket.close()
        for pid in self.pids:
            with suppress(OSError):
                if Path(f"/proc/{pid}/comm").read_bytes() == b"gomd-job\n":
                    os.kill(pid, signal.SIGKILL)

    def gone(self) -> bool:
        """Wait until the supervisor has closed."""
        while self._socket.recv(65536):
            pass
        return True


@pytest.fixture
def launch() -> Iterator[Any]:
    """Start supervisors through a fork server of this test."""
    here, there = socket.socketpair()
    launcher = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", _PROGRAM.format(_ROOT)], stdin=there.fileno()
    )
    there.close()
    made: list[Supervisor] = []

    def start() -> Supervisor:
        ours, theirs = socket.socketpair()
        socket.send_fds(here, [NAMESPACE], [theirs.fileno()])
        theirs.close()
        made.append(Supervisor(ours))
        return made[-1]

    yield start
    here.close()
    launcher.wait(10)
    for each in made:
        each.close()


def _spec(path: Path, name: str, **more: Any) -> dict[str, Any]:
    return {
        "id": name, "directory": str(path / name), "detach": False, "uid": 65534, "gid": 65534,
        "groups": [], "user": "nobody", "where": "node 1 test", "spool_bytes": 1 << 20, "tty": False,
        "argv": ["/usr/bin/python3", "-c", _ECHO], "env": {"PATH": os.defpath}, "cwd": "/", "umask": 18,
        **more,
    }  # fmt: skip


def _certificates(directory: Path) -> criu.TlsFiles:
    files = write_pem_files(page_server_credentials([ClusterKey.derive(bytes(32))]), str(directory), "pages")
    return criu.TlsFiles(files.authorities, files.certificate, files.key)


def _freeze(source: Supervisor, program: str, images: Path, limit: float = 60.0) -> str:
    """Freeze the job of ``source`` into ``images``; return the error, if any."""
    images.mkdir()
    here = images / "source"
    here.mkdir()
    listening, tls = page_connection.listen("127.0.0.1"), _certificates(images)

    def serve() -> None:
        try:
            with page_connection.accept(listening, ("127.0.0.1",), 10.0) as accepted:
                page_receiver.receive(accepted, str(images), tls)
        except CannotMove:
            pass

    serving = threading.Thread(target=serve)
    serving.start()
    source.send(frames.MOVE, {
        "do": "freeze", "criu": program, "directory": str(here), "address": "127.0.0.1",
        "port": listening.getsockname()[1], "tls": list(tls), "limit": limit,
    })  # fmt: skip
    error = str(source.until(frames.MOVED)["error"])
    serving.join()
    listening.close()
    if not error:
        Images.read(str(here)).write(str(images))
    return error


def test_streams_go_on_in_the_new_supervisor(launch: Any, tmp_path: Path) -> None:
    """A filter that is moved in the middle of its input gives every line once, and its exit status."""
    program = find_criu()
    tmp_path.chmod(0o755)
    lines = b"".join(b"%d\n" % number for number in range(12000))
    source = launch()
    source.send(frames.SPEC, _spec(tmp_path, "1-1"))
    source.until(frames.STARTED)
    source.send(frames.ATTACH, {"stdout": 0, "stderr": 0})
    source.until(frames.ATTACHED)
    source.write(lines[:50000])
    while len(source.output[frames.STDOUT]) < 5000:
        source.until(frames.STDOUT)
    source.acknowledge({frames.STDOUT: 0, frames.STDERR: 0})
    assert _freeze(source, program, tmp_path / "images") == ""

    target = launch()
    target.send(frames.SPEC, _spec(tmp_path, "1-1b", images=str(tmp_path / "images"), criu=program))
    started = target.until(frames.STARTED)
    assert Path(f"/proc/{started['pid']}/cmdline").read_bytes().startswith(b"/usr/bin/python3\0-c\0")
    source.send(frames.SIGNAL, b"\x0c\x00")  # SIGUSR2, which would end it: it waits
    source.send(frames.MOVE, {"do": "end"})
    assert source.until(frames.MOVED)["signals"] == [[12, False]]
    assert source.gone()
    target.send(frames.MOVE, {"do": "thaw"})
    assert target.until(frames.MOVED) == {"did": "thaw", "error": ""}
    got = source.output[frames.STDOUT]
    target.send(frames.ATTACH, {"stdout": len(got), "stderr": 0})
    attached = target.until(frames.ATTACHED)
    assert attached["stdout"] == len(got)
    target.write(lines[attached["stdin"] :])
    target.send(frames.STDIN_END)
    while target.output[frames.STDOUT].count(b"\n") + got.count(b"\n") < 12000:
        target.until(frames.STDOUT)
        target.acknowledge({frames.STDOUT: len(got), frames.STDERR: 0})
    assert got + target.output[frames.STDOUT] == lines
    assert target.until(frames.EXIT)["exit"] == 7
    assert target.output[frames.STDERR] == b"end\n"
    target.send(frames.COLLECTED)
    assert target.gone()


def test_a_thawed_job_goes_on_where_it_was(launch: Any, tmp_path: Path) -> None:
    """Frozen and thawed again, with input in its pipe and a signal that came meanwhile: as if nothing was."""
    program = find_criu()
    tmp_path.chmod(0o755)
    lines = b"".join(b"%d\n" % number for number in range(12000))
    source = launch()
    source.send(frames.SPEC, _spec(tmp_path, "1-1"))
    source.until(frames.STARTED)
    source.send(frames.ATTACH, {"stdout": 0, "stderr": 0})
    source.until(frames.ATTACHED)
    source.write(lines)
    source.send(frames.STDIN_END)
    source.until(frames.STDOUT)
    assert _freeze(source, program, tmp_path / "images") == ""
    source.send(frames.MOVE, {"do": "thaw"})
    source.until(frames.MOVED)
    # Again, and now nobody takes the memory: it is refused, and the job goes on by itself.
    assert _freeze_to_nobody(source, program, tmp_path / "nobody")
    assert source.until(frames.EXIT)["exit"] == 7
    assert source.output[frames.STDOUT] == lines


def _freeze_to_nobody(source: Supervisor, program: str, images: Path) -> str:
    images.mkdir()
    source.send(frames.MOVE, {
        "do": "freeze", "criu": program, "directory": str(images), "address": "127.0.0.1", "port": 1,
        "tls": list(_certificates(images)), "limit": 20.0,
    })  # fmt: skip
    return str(source.until(frames.MOVED)["error"])


def test_who_is_quicker_and_says_nothing_does_not_keep_the_place() -> None:
    """Of two connections to a page server under TLS the one that begins to speak it is taken."""
    listening = page_connection.listen("127.0.0.1")
    with listening, ExitStack() as stack:
        made = [stack.enter_context(socket.create_connection(listening.getsockname()))]
        taken: list[socket.socket] = []

        def accept() -> None:
            taken.append(
                page_connection.accept(
                    listening, ("127.0.0.1",), 10.0, lambda one: page_connection.speaks_tls(one, 0.2)
                )
            )

        accepting = threading.Thread(target=accept)
        accepting.start()
        made[0].settimeout(10)
        assert made[0].recv(1) == b""  # turned away
        made.append(stack.enter_context(socket.create_connection(listening.getsockname())))
        made[1].sendall(b"\x16\x03\x01")
        accepting.join(10)
        [accepted] = taken
        with accepted:
            assert accepted.getpeername() == made[1].getsockname()
            assert accepted.recv(3) == b"\x16\x03\x01"


def _forged_job(launch: Any, tmp_path: Path, program: str) -> tuple[Supervisor, Path]:
    """Freeze a job of nobody's; return its supervisor and its images, as a hostile node could change them."""
    tmp_path.chmod(0o755)
    source = launch()
    source.send(frames.SPEC, _spec(tmp_path, "1-1"))
    source.until(frames.STARTED)
    assert _freeze(source, program, tmp_path / "images") == ""
    return source, tmp_path / "images"


def _refused(launch: Any, tmp_path: Path, program: str) -> str:
    """Have another supervisor restore the images as a job of nobody's; return why it refuses."""
    target = launch()
    spec = _spec(tmp_path, "1-1b", images=str(tmp_path / "images"), criu=program, expected_uid=65534)
    target.send(frames.SPEC, spec)
    with pytest.raises(AssertionError) as refused:
        target.until(frames.STARTED)
    return str(refused.value)


def test_forged_images_give_no_capabilities(launch: Any, tmp_path: Path) -> None:
    """criu gives a process what its image says; such a process is killed while criu still traces it."""
    program = find_criu()
    source, images = _forged_job(launch, tmp_path, program)
    forged = 0
    for image in images.glob("core-*.img"):
        data = image.read_bytes()
        # creds_entry: cap_prm (field 10) and cap_eff (11), both words 0; now with CAP_KILL (bit 5).
        nothing, kill = b"\x50\0\x50\0\x58\0\x58\0", b"\x50\x20\x50\0\x58\x20\x58\0"
        forged += data.count(nothing)
        image.write_bytes(data.replace(nothing, kill))
    assert forged
    assert "capabilities that nobody has not" in _refused(launch, tmp_path, program)
    source.send(frames.MOVE, {"do": "thaw"})
    assert source.until(frames.MOVED)["error"] == ""


def test_a_forged_handover_names_no_other_user_and_no_program(launch: Any, tmp_path: Path) -> None:
    """What comes with the images says neither whose job it is nor what runs as root here."""
    program = find_criu()
    _source, images = _forged_job(launch, tmp_path, program)
    handover = json.loads((images / "handover.json").read_text())
    marker = tmp_path / "marker"
    script = tmp_path / "script"
    script.write_text(f"#!/bin/sh\ntouch {marker}\n")
    script.chmod(0o755)
    more = {"criu": str(script), "directory": str(tmp_path / "elsewhere"), "detach": True}
    for account in ({"uid": 0, "gid": 0}, {"uid": 1}, {"uid": "65534"}, {"uid": -1}, {"groups": None}):
        forged = {**handover, "spec": {**handover["spec"], **account, **more}}
        (images / "handover.json").write_text(json.dumps(forged))
        said = _refused(launch, tmp_path, program)
        assert "not of the user that it was offered for" in said or "does not say whom it runs as" in said
    (images / "handover.json").write_text(json.dumps({**handover, "spec": {**handover["spec"], **more}}))
    target = launch()
    spec = _spec(tmp_path, "1-1c", images=str(images), criu=program, expected_uid=65534)
    target.send(frames.SPEC, spec)
    assert target.until(frames.STARTED)["pid"]
    assert not marker.exists()
    assert not (tmp_path / "elsewhere").exists()


def test_a_forged_handover_gives_no_groups(launch: Any, tmp_path: Path) -> None:
    """Nothing is done here with the rights of a group that the user is not in: no file is made with them."""
    program = find_criu()
    _source, images = _forged_job(launch, tmp_path, program)
    closed = tmp_path / "groups"
    closed.mkdir()
    os.chown(closed, 0, 4)
    closed.chmod(0o775)
    carried = tmp_path / "1-1b.carry"
    (carried / "files/0").mkdir(parents=True)
    carried.chmod(0o700)
    (carried / "files/0/new").write_text("carried")
    handover = json.loads((images / "handover.json").read_text())
    for account in ({"gid": 4}, {"groups": [4]}):
        forged = {**handover, "spec": {**handover["spec"], **account, "carry": [str(closed / "new")]}}
        (images / "handover.json").write_text(json.dumps(forged))
        assert "nobody is not in group 4" in _refused(launch, tmp_path, program)
        assert os.listdir(closed) == []
        assert not (carried / "stubs").exists()
