"""The blocking client of libgomd against daemons that lie: an error in time, and nothing is believed."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from libgomd import blocking
from libgomd.errors import ConnectionLost, MalformedReply, NotFound, TimedOut
from tests.integration.lying import GREETING, Flood


@pytest.mark.parametrize("lines", [b'{"pid": 1}\r\n' * 500, b"\r\n" * 5000])
def test_a_daemon_that_never_stops_sending_is_late(lines: bytes, tmp_path: Path) -> None:
    """Rows without end keep nobody past the timeout."""
    with Flood(tmp_path / "socket", GREETING, b"200 json\r\n", b"201 rows\r\n", lines) as flood:
        began = time.monotonic()
        client = blocking.connect(flood.endpoint, timeout=0.5)
        with pytest.raises(TimedOut):
            client.ps()
        assert time.monotonic() - began < flood.SECONDS / 2
        with pytest.raises(ConnectionLost):
            client.load()


@pytest.mark.parametrize("code", [202, 220, 221, 299])
def test_an_answer_that_is_none_ends_the_connection(code: int, tmp_path: Path) -> None:
    """What comes behind it is taken for no answer to the next question."""
    said = f"{code} what\r\n".encode()
    with Flood(tmp_path / "socket", GREETING, b"200 json\r\n", said, b"200 5\r\n") as liar:
        client = blocking.connect(liar.endpoint, timeout=2)
        with pytest.raises(MalformedReply):
            client.ps()
        with pytest.raises(ConnectionLost):
            client.load()


@pytest.mark.parametrize("greeting", [b"220 smtp.example.org ESMTP\r\n", b"220\r\n", b"220 gomdx 1\r\n"])
def test_no_token_is_shown_to_another_program(greeting: bytes, tmp_path: Path) -> None:
    """A mail server says 220, too."""
    with Flood(tmp_path / "socket", greeting) as other:
        with pytest.raises(MalformedReply, match="does not greet as gomd does"):
            blocking.connect(other.endpoint, "token", timeout=2)
        assert other.heard == b""


@pytest.mark.parametrize(
    "said", [b"404 \x1b[2Jno\r\n", b'201 rows\r\n{"code": 404, "error": "\\u001b[2Jno"}\r\n.\r\n']
)
def test_an_error_controls_nobodys_terminal(said: bytes, tmp_path: Path) -> None:
    """Whoever prints it sees the bytes."""
    with Flood(tmp_path / "socket", GREETING, b"200 json\r\n", said, b"") as liar:
        with pytest.raises(NotFound) as raised:
            blocking.connect(liar.endpoint, timeout=2).ps()
        assert str(raised.value) == r"\x1b[2Jno"
