"""The client in C, and daemons that lie: they send what no daemon sends, fall silent, or hang up."""

from __future__ import annotations

import re
import socket
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tests.integration.c_client import NEEDED, built, calls

GREETING = b"220 gomd 0.1.0 node 1 alpha\r\n"

pytestmark = NEEDED


@pytest.fixture(scope="module")
def build(compiled: Path) -> Path:
    """The folder in which everything is built."""
    return built(compiled)


class Liar:
    """
    Greets at a unix socket, agrees to JSON, and answers everything else with the bytes it was given.

    :param hang_up: it does so after its first answer to something else.
    """

    def __init__(self, path: Path, lie: bytes, greeting: bytes = GREETING, *, hang_up: bool = False) -> None:
        self.endpoint = f"unix:{path}"
        self.connections = 0
        self._lie, self._greeting, self._hang_up = lie, greeting, hang_up
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connected, _ = self._listener.accept()
                self.connections += 1
                threading.Thread(target=self._serve, args=(connected,), daemon=True).start()

    def _serve(self, connected: socket.socket) -> None:
        with suppress(OSError), connected, connected.makefile("rb") as lines:
            connected.sendall(self._greeting)
            for line in lines:
                connected.sendall(b'200 "json"\r\n' if line.startswith(b"format") else self._lie)
                if self._hang_up and not line.startswith(b"format"):
                    connected.shutdown(socket.SHUT_RDWR)
                    return

    def close(self) -> None:
        """Listen no more."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


NODE = (
    b'{"id": 1, "name": "a", "address": "127.0.0.1", "status": 3, "up": true, "load": null, "speed": 1,'
    b' "cpus": 1, "util": 1, "mem": 1, "rmem": 1, "tmem": 1, "age": null}'
)
#: What a daemon answers to `nodes`, and the error: -3 lost, -4 timeout, -5 not this protocol.
LIES = {
    "a status of four digits": (b"2000 x\r\n", -5),
    "a status of two": (b"20 x\r\n", -5),
    "no status": (b"hello\r\n", -5),
    "NUL in the status": (b"200 a\0b\r\n", -5),
    "NUL in a row": (b'201 x\r\n{"a\0": 1}\r\n.\r\n', -5),
    "half a block": (b"201 x\r\n" + NODE + b"\r\n", -3),
    "half a status": (b"20", -3),
    "half a block, and silence": (b"201 x\r\n" + NODE + b"\r\n", -4),
    "silence": (b"", -4),
    "a line without an end": (b"201 x\r\n" + b"[" * (17 << 20), -5),
    "a line that is deep": (b"201 x\r\n" + b"[" * 100000 + b"]" * 100000 + b"\r\n.\r\n", -5),
    "no JSON": (b"201 x\r\nid name\r\n.\r\n", -5),
    "JSON with a comma too many": (b"201 x\r\n" + NODE[:-1] + b",}\r\n.\r\n", -5),
    "no row": (b"201 x\r\n[1]\r\n.\r\n", -5),
    "a text for a number": (b"201 x\r\n" + NODE.replace(b'"id": 1', b'"id": "1"') + b"\r\n.\r\n", -5),
    "a number beyond 64 bits": (
        b"201 x\r\n" + NODE.replace(b'"mem": 1', b'"mem": 9223372036854775808') + b"\r\n.\r\n",
        -5,
    ),
    "a value missing": (b"201 x\r\n" + NODE.replace(b'"up": true, ', b"") + b"\r\n.\r\n", -5),
    "frames": (b"202 job 7\r\n\x01\xff\xff\xff\xff", -5),
    "a code that means nothing": (b"299 x\r\n", -5),
    "bytes that are no UTF-8": (b"201 x\r\n" + NODE.replace(b'"a"', b'"\xff"') + b"\r\n.\r\n", -5),
    "a refusal that paints": (b"404 \x1b[2Jgone\r\n", -404),
    "a code of its own": (b"599 odd\r\n", -599),
    "a block that failed": (b'201 x\r\n{"code": 504, "error": "no answer"}\r\n.\r\n', -504),
}


@pytest.mark.parametrize("name", LIES)
def test_a_daemon_that_lies(build: Path, tmp_path: Path, name: str) -> None:
    """One clear error without control characters, no crash, and no wait past the timeout."""
    lie, error = LIES[name]
    liar = Liar(tmp_path / "liar.sock", lie, hang_up=error == -3)
    began = time.monotonic()
    patience = 300 if error == -4 else 20000
    said = calls(build, liar.endpoint, "nodes", "load", timeout_ms=patience)
    liar.close()
    assert time.monotonic() - began < 15
    assert re.fullmatch(rf"nodes = {error} [^\x00-\x1f\x7f]+", said[1])
    if -5 <= error <= -3:  # the connection is closed, so that what comes late is nobody's answer
        assert said[2].startswith("load = -3 ")


def test_an_answer_before_its_question_is_nobodys(build: Path, tmp_path: Path) -> None:
    """Two answers to one question: the second one is not taken for the next question's."""
    liar = Liar(tmp_path / "liar.sock", b"200 5\r\n200 6\r\n")
    said = calls(build, liar.endpoint, "load", "load", "load")
    liar.close()
    assert said[1] == "load 5 = 0"
    assert re.match(r"load = -3 the daemon ended the connection \(6\)", said[2])
    assert said[3].startswith("load = -3 ")


def test_the_first_plans_call_connects_again(build: Path, tmp_path: Path) -> None:
    """gomd_getCurNode goes on when the daemon was started anew between two calls; other calls say it."""
    liar = Liar(tmp_path / "liar.sock", b"200 7\r\n", hang_up=True)
    said = calls(build, liar.endpoint, "cur 1 5", "cur 1 5", "load", "load", GOMD_ENDPOINT=liar.endpoint)
    liar.close()
    assert said[1:4] == ["cur thread 7 = 7", "cur thread 7 = 7", "load 7 = 0"]
    assert said[4].startswith("load = -3 ")
    assert liar.connections == 5


@pytest.mark.parametrize(
    ("greeting", "error"),
    [
        (b"SSH-2.0-OpenSSH\r\n", -5),
        (b"220 smtp.example.org ESMTP\r\n", -5),
        (b"220 gomd 0.1.0 node 99999 x\r\n", -5),
        (b"429 too many connections\r\n", -429),
        (b"", -4),
    ],
)
def test_a_greeting_of_somebody_else(build: Path, tmp_path: Path, greeting: bytes, error: int) -> None:
    """Another program, a refusal, and silence are told apart."""
    liar = Liar(tmp_path / "liar.sock", b"", greeting)
    [said] = calls(build, liar.endpoint, "load", timeout_ms=300 if error == -4 else 20000)
    liar.close()
    assert said.startswith(f"connect {error} ")


@pytest.mark.parametrize(
    ("lie", "error"),
    [
        (b'201 w\r\n{"value": 1, "round": 1, "rows": 2}\r\n{"value": 1, "round": 2, "rows": 2}\r\n', -5),
        (b'201 w\r\n{"value": 1, "round": 1, "rows": 2}\r\n.\r\n', -5),
        (b'201 w\r\n{"value": 1, "round": 1, "rows": -5}\r\n', -5),
        (b'201 w\r\n{"code": 502, "error": "gone"}\r\n.\r\n', -502),
        (b"201 w\r\n.\r\n", -8),
        (b"200 5\r\n", -5),
    ],
)
def test_a_watch_of_a_daemon_that_lies(build: Path, tmp_path: Path, lie: bytes, error: int) -> None:
    """Half a round is no round; a watch that fails says why, and one that ends says so."""
    liar = Liar(tmp_path / "liar.sock", lie)
    said = calls(build, liar.endpoint, "watch load")
    liar.close()
    assert said[1].startswith(f"watch = {error} ")
