"""A job's temporary files arrive whole though connections break, and come from nobody outside the cluster."""

from __future__ import annotations

import hashlib
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from gomd.jobs.checkpoint.criu import TlsFiles
from gomd.jobs.checkpoint.move_tls import client_context
from gomd.jobs.checkpoint.page_connection import listen
from gomd.jobs.checkpoint.tree_connection import TreeReceiver, TreeSender
from libgomd.certificates import page_server_credentials, write_pem_files
from libgomd.derivation import ClusterKey
from libgomd.errors import CannotMove

_PIECES = 300


def _stream() -> Iterator[bytes]:
    for number in range(_PIECES):
        yield number.to_bytes(4, "big") * 5000


def _certificates(place: Path, secret: bytes) -> TlsFiles:
    place.mkdir()
    made = write_pem_files(page_server_credentials([ClusterKey.derive(secret)]), str(place), "pages")
    return TlsFiles(made.authorities, made.certificate, made.key)


def _sender(port: int, files: TlsFiles, limit: float) -> TreeSender:
    sender = TreeSender("127.0.0.1", port, client_context(files), limit)
    sender.shake_hands()
    return sender


class _Receiving:
    """The target's end, on a thread."""

    def __init__(self, path: Path, files: TlsFiles, most: int = 1 << 30) -> None:
        self.path = path
        self._listening = listen("127.0.0.1")
        self.port = int(self._listening.getsockname()[1])
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        self._receiver = TreeReceiver(self._listening, {"127.0.0.1"}, files, self._file, most)
        self.outcome: object = None
        self._thread = threading.Thread(target=self._receive, daemon=True)
        self._thread.start()

    def _receive(self) -> None:
        try:
            self.outcome = self._receiver.receive(10.0, 60.0)
        except CannotMove as error:
            self.outcome = error

    def wait(self) -> object:
        """Return what came of it."""
        self._thread.join(60)
        self._listening.close()
        os.close(self._file)
        return self.outcome


class _Breaking:
    """A relay whose first connections end after some bytes."""

    def __init__(self, port: int, limits: list[int]) -> None:
        self._to = port
        self._limits = limits
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listening.getsockname()[1])
        self.broken = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            here, _ = self._listening.accept()
            there = socket.create_connection(("127.0.0.1", self._to))
            limit = self._limits.pop(0) if self._limits else 1 << 60
            threading.Thread(target=self._relay, args=(there, here, 1 << 60), daemon=True).start()
            threading.Thread(target=self._relay, args=(here, there, limit), daemon=True).start()

    def _relay(self, source: socket.socket, target: socket.socket, limit: int) -> None:
        try:
            while limit > 0 and (data := source.recv(min(limit, 65536))):
                target.sendall(data)
                limit -= len(data)
            self.broken += limit <= 0
        except OSError:
            pass
        for each in (source, target):
            try:
                each.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            each.close()  # else it would go on taking bytes, until its buffer is full


def test_a_connection_that_breaks_again_and_again(tmp_path: Path) -> None:
    """Every byte arrives once and in order, whatever was on its way."""
    files = _certificates(tmp_path / "tls", bytes(32))
    receiving = _Receiving(tmp_path / "stream", files)
    relay = _Breaking(receiving.port, [100_000, 1_500_000, 20_000, 2_000_000])
    sent = _sender(relay.port, files, 60.0).send(_stream)
    assert receiving.wait() == sent == _PIECES * 20_000
    assert relay.broken == 4
    expected = hashlib.sha256(b"".join(_stream())).hexdigest()
    assert hashlib.sha256((tmp_path / "stream").read_bytes()).hexdigest() == expected


def test_another_cluster(tmp_path: Path) -> None:
    """Neither end talks to one with another key."""
    ours = _certificates(tmp_path / "ours", bytes(32))
    theirs = _certificates(tmp_path / "theirs", b"x" * 32)
    receiving = _Receiving(tmp_path / "stream", ours)
    with pytest.raises(CannotMove):
        _sender(receiving.port, theirs, 5.0).send(_stream)
    sent = _sender(receiving.port, ours, 60.0).send(_stream)
    assert receiving.wait() == sent


def test_nothing_listens(tmp_path: Path) -> None:
    """That is found out before the job is frozen."""
    files = _certificates(tmp_path / "tls", bytes(32))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(CannotMove, match="is it filtered"):
        _sender(port, files, 5.0)


def test_more_than_may_come(tmp_path: Path) -> None:
    """The target stops taking it."""
    files = _certificates(tmp_path / "tls", bytes(32))
    receiving = _Receiving(tmp_path / "stream", files, most=1 << 20)
    threading.Timer(3.0, lambda: receiving._listening.shutdown(socket.SHUT_RDWR)).start()
    with pytest.raises(CannotMove):
        _sender(receiving.port, files, 3.0).send(_stream)
    assert "more than" in str(receiving.wait())
    assert (tmp_path / "stream").stat().st_size <= 1 << 20
