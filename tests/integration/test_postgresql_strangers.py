"""What a daemon tells a program that pretends to be its database, and how long it waits for it."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

psycopg = pytest.importorskip("psycopg", reason="the database is an extra")

from gomd.history.postgresql import reader as reader_module  # noqa: E402
from gomd.history.postgresql.collected import CollectedHistory  # noqa: E402
from gomd.history.postgresql.connecting import connector  # noqa: E402
from gomd.history.postgresql.conninfo import parse_conninfo  # noqa: E402
from gomd.history.postgresql.reader import DatabaseReader  # noqa: E402
from libgomd.errors import SourceUnavailable  # noqa: E402
from libgomd.wallclock import wall_clock  # noqa: E402

_ASKS_FOR_PASSWORD = b"R" + struct.pack("!II", 8, 3)
_WELCOME = b"R" + struct.pack("!II", 8, 0) + b"Z" + struct.pack("!I", 5) + b"I"
PASSWORD = "correct horse"


class Stranger:
    """
    Listens where the database should be, and answers the first message of each connection in one way.

    :ivar heard: everything that was said to it. :ivar asked: set when something was said after its answer.
    """

    def __init__(self, answer: bytes) -> None:
        self.heard = b""
        self.asked = threading.Event()
        self._answer = answer
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        threading.Thread(target=self._listen, daemon=True).start()

    @property
    def database(self) -> str:
        """`[history] database`."""
        return f"host=127.0.0.1 port={self._listener.getsockname()[1]} dbname=gomd user=gomd sslmode=disable"

    def _listen(self) -> None:
        with suppress(OSError):
            while True:
                connected, _ = self._listener.accept()
                self._open.append(connected)
                threading.Thread(target=self._talk, args=(connected,), daemon=True).start()

    def _talk(self, connected: socket.socket) -> None:
        with suppress(OSError):
            self.heard += connected.recv(4096)
            connected.sendall(self._answer)
            while data := connected.recv(4096):
                self.heard += data
                self.asked.set()

    def close(self) -> None:
        """Listen and answer no longer."""
        for each in (self._listener, *self._open):
            each.close()


@contextmanager
def stranger(answer: bytes) -> Iterator[Stranger]:
    """Give a stranger for a while."""
    made = Stranger(answer)
    try:
        yield made
    finally:
        made.close()


def password_file(directory: Path) -> str:
    path = directory / "password"
    path.write_text(f"{PASSWORD}\n")
    path.chmod(0o600)
    return str(path)


@pytest.mark.skipif(psycopg.pq.version() < 160000, reason="libpq cannot be told to keep a password")
def test_a_stranger_is_not_told_the_password(tmp_path: Path) -> None:
    """It asks for it in clear text, as libpq alone would tell it."""
    with stranger(_ASKS_FOR_PASSWORD) as other:
        reader = DatabaseReader(7, 60.0, connector(parse_conninfo(other.database), password_file(tmp_path)))
        with pytest.raises(SourceUnavailable) as raised:
            reader.find_node("3")
        assert other.heard
        assert PASSWORD.encode() not in other.heard
        assert PASSWORD not in str(raised.value)


def test_what_it_says_is_printed_as_text() -> None:
    """Its error stands in the log, in `stats` and in answers: no escape of a terminal gets there."""
    fields = b"SFATAL\0VFATAL\0C28000\0M\x1b]0;owned\x07\xe2\x80\xae\0\0"
    with stranger(b"E" + struct.pack("!I", 4 + len(fields)) + fields) as other:
        with pytest.raises(SourceUnavailable) as raised:
            DatabaseReader(7, 60.0, connector(parse_conninfo(other.database), "")).find_node("3")
        assert "owned" in str(raised.value)
        assert str(raised.value).isprintable()


def test_a_reader_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that accepts a statement and says nothing more keeps a thread for some seconds only."""
    monkeypatch.setattr(reader_module, "_READ_LIMIT", 1.0)
    with stranger(_WELCOME) as other:
        began = time.monotonic()
        with pytest.raises(SourceUnavailable):
            DatabaseReader(7, 60.0, connector(parse_conninfo(other.database), "")).find_node("3")
        assert other.asked.is_set()
        assert time.monotonic() - began < 30.0


def test_a_collector_that_is_closed_gives_its_thread_back() -> None:
    """`Collecting` closes one that took too long; its thread waited for the server, and would for ever."""
    failed: list[Exception] = []
    with stranger(_WELCOME) as other:
        collected = CollectedHistory(7, connector(parse_conninfo(other.database), ""), wall_clock)

        def lease() -> None:
            try:
                collected.lease([7], "own")
            except SourceUnavailable as error:
                failed.append(error)

        thread = threading.Thread(target=lease, daemon=True)
        thread.start()
        assert other.asked.wait(30.0)
        collected.close()
        thread.join(30.0)
        assert not thread.is_alive()
        assert failed
