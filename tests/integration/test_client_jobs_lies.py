"""Both clients and daemons that do not keep to the protocol of a job: an error of the library, in time."""

from __future__ import annotations

import socket
import subprocess
import threading
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from twisted.internet import reactor  # noqa: TID251 - a test on the real one
from twisted.trial.unittest import TestCase

from libgomd import blocking
from libgomd.client import connect
from libgomd.errors import ConnectionLost, GomdError, MalformedReply, NotAllowed, TimedOut
from libgomd.wire import frames
from tests.integration.client_jobs import AnyClient, walk_blocking
from tests.integration.jobs import GOM
from tests.integration.lying import GREETING, Lie, LyingDaemon

#: Seconds the clients are given for everything, and those within which they have to have failed.
TIMEOUT, LIMIT = 0.4, 8.0
STARTED = frames.encode_json(
    frames.STARTED, {"job": 7, "home": 1, "node": 1, "pid": 42, "detached": False}
)  # fmt: skip
EXIT = frames.encode_json(frames.EXIT, {"exit": 0, "reason": ""})


def attached(number: int, **positions: Any) -> bytes:
    """Return the frame that answers the ATTACH with ``number``."""
    told = {"stdout": 0, "stderr": 0, "stdin": 0, "stdin_taken": 0, "n": number, **positions}
    return frames.encode_json(frames.ATTACHED, told)


Case = tuple[str, type[GomdError], tuple[Lie, ...]]
CASES: tuple[Case, ...] = (
    ("half_a_frame", TimedOut, (lambda n: STARTED[:9],)),
    ("half_a_frame_of_output", TimedOut, (lambda n: STARTED + attached(n) + b"\x12\0\0\0\x09half",)),
    ("four_gigabytes", MalformedReply, (
        lambda n: STARTED + attached(n) + b"\x12\xff\xff\xff\xff" + b"x" * 99,)),
    ("no_such_kind", MalformedReply, (lambda n: STARTED + b"\x63\0\0\0\0",)),
    ("lines", MalformedReply, (lambda n: b"200 but I would rather talk in lines\r\n",)),
    ("no_json", MalformedReply, (lambda n: frames.encode(frames.STARTED, b"{job: 7"),)),
    ("deep_json", MalformedReply, (lambda n: frames.encode(frames.STARTED, b"[" * 99999),)),
    ("no_object", MalformedReply, (lambda n: frames.encode(frames.STARTED, b"[7]"),)),
    ("no_job", MalformedReply, (lambda n: frames.encode_json(frames.STARTED, {"home": 1}),)),
    ("a_job_of_text", MalformedReply, (lambda n: STARTED.replace(b"7", b"z"),)),
    ("a_position_below_zero", MalformedReply, (lambda n: STARTED + attached(n, stdout=-1),)),
    ("a_position_of_text", MalformedReply, (lambda n: STARTED + attached(n, stdin="0"),)),
    ("an_exit_of_text", MalformedReply, (
        lambda n: STARTED + attached(n) + frames.encode_json(frames.EXIT, {"exit": "0"}),)),
    ("a_bad_acknowledgement", MalformedReply, (
        lambda n: STARTED + attached(n) + frames.encode(frames.ACK, b"\x03123"),)),
    ("failed", NotAllowed, (lambda n: frames.encode_json(frames.FAILED, {"code": 403, "text": "no"}),)),
    ("failed_later", NotAllowed, (
        lambda n: STARTED + attached(n) + frames.encode_json(frames.FAILED, {"code": 403, "text": "no"}),)),
    ("failed_without_a_code", GomdError, (lambda n: frames.encode_json(frames.FAILED, {}),)),
    ("an_exit_before_the_job_began", GomdError, (lambda n: attached(n) + EXIT,)),
    ("an_exit_before_it_is_attached", TimedOut, (lambda n: STARTED + EXIT,)),
    ("silence", TimedOut, (lambda n: frames.encode_json(frames.ATTACHED, {"n": n - 1}),)),
    ("hangs_up_before_the_job_began", ConnectionLost, (lambda n: b"",)),
    ("hangs_up_and_does_not_know_it_again", ConnectionLost, (
        lambda n: STARTED + attached(n) + frames.encode(frames.STDERR, b"bye"), lambda n: b"")),
    ("half_a_frame_when_it_is_back", TimedOut, (
        lambda n: STARTED + attached(n) + frames.encode(frames.STDERR, b"bye"), lambda n: b"\x12\0")),
)  # fmt: skip


async def lied_to(client: AnyClient, lying: LyingDaemon, kind: type[GomdError]) -> None:
    """Run a job to its end, which does not come."""
    began, failed = time.monotonic(), False
    answer: object = None
    try:
        job = await client.run("true", env={}, timeout=TIMEOUT, reconnect=1.0)
        async for chunk in job:
            if chunk == ("stderr", b"bye"):
                lying.drop()
        answer = job.exit
    except kind as error:
        answer = str(error)
        failed = True
    assert failed, f"expected {kind.__name__}, got {answer!r}"
    assert answer
    assert time.monotonic() - began < LIMIT


@pytest.mark.parametrize("case", CASES, ids=lambda case: case[0])
def test_a_script_that_is_lied_to(case: Case, tmp_path: Path) -> None:
    """It ends with the library's error, whatever the daemon says."""
    _name, kind, lies = case
    lying = LyingDaemon(tmp_path / "s", *lies)
    with blocking.connect(lying.endpoint, timeout=TIMEOUT) as client:
        walk_blocking(lied_to, client, lying, kind)
    lying.close()


class DeferredLies(TestCase):
    """The same with the Deferred client."""

    timeout = 30

    @pytest.fixture(autouse=True)
    def _given(self, tmp_path: Path) -> None:
        self.directory = tmp_path

    async def hear(self, kind: type[GomdError], lies: tuple[Lie, ...]) -> None:
        lying = LyingDaemon(self.directory / "s", *lies)
        self.addCleanup(lying.close)
        client = await connect(reactor, lying.endpoint, timeout=TIMEOUT)
        self.addCleanup(client.close)
        await lied_to(AnyClient(client), lying, kind)


def _test(
    kind: type[GomdError], lies: tuple[Lie, ...]
) -> Callable[[DeferredLies], Coroutine[Any, Any, None]]:
    async def test(self: DeferredLies) -> None:
        await self.hear(kind, lies)

    test.__doc__ = "It fails with the library's error, whatever the daemon says."
    return test


for _name, _kind, _lies in CASES:
    setattr(DeferredLies, f"test_{_name}", _test(_kind, _lies))


@pytest.mark.parametrize("answer", [b"200 fine\r\n", b"201 a block\r\n.\r\n"])
def test_gom_sends_no_job_to_what_did_not_say_that_frames_follow(tmp_path: Path, answer: bytes) -> None:
    """Only a 202 begins the streams of a job; the job is not told to anything else."""
    heard = bytearray()

    def serve() -> None:
        connected, _ = listener.accept()
        with connected:
            connected.sendall(GREETING)
            while data := connected.recv(65536):
                heard.extend(data)
                connected.sendall(answer)

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.listen()
        server = threading.Thread(target=serve)
        server.start()
        command = [*GOM, "-c", f"unix:{tmp_path / 's'}", "run", "--", "id"]
        said = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, check=False, timeout=60)
        server.join()
    assert b"the answer to run is %s, not 202" % answer[:3] in said.stderr
    assert said.returncode != 0
    assert bytes(heard) == b"run\r\n"
