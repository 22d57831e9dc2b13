"""Daemons that are slow, cut connections, or are of a later version, at unix sockets."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

GREETING = b"220 gomd 0.1.0 node 1 alpha\r\n"


Listening = TypeVar("Listening", bound="_Listener")


class _Listener:
    """Serves each connection to a unix socket on a thread of its own."""

    def __init__(self, path: Path) -> None:
        self.endpoint = f"unix:{path}"
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connected, _ = self._listener.accept()
                threading.Thread(target=self._served, args=(connected,), daemon=True).start()

    def _served(self, connected: socket.socket) -> None:
        with suppress(OSError), connected:
            self.serve(connected)

    def serve(self, connected: socket.socket) -> None:
        """Serve one connection until it ends."""
        raise NotImplementedError

    def close(self) -> None:
        """Take no more connections."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def __enter__(self: Listening) -> Listening:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()


class ScriptedDaemon(_Listener):
    """
    Answers each verb with the bytes that it has for it, and hangs up when these are empty.

    :param pause: seconds before each answer. :param piece: bytes that go at a time, 10 ms apart; 0 for all.
    """

    def __init__(
        self, path: Path, answers: Mapping[str, bytes], *, pause: float = 0.0, piece: int = 0,
        greeting: bytes = GREETING,
    ) -> None:  # fmt: skip
        self._answers, self._pause, self._piece, self._greeting = answers, pause, piece, greeting
        super().__init__(path)

    def serve(self, connected: socket.socket) -> None:
        """Greet and answer line by line."""
        connected.sendall(self._greeting)
        for line in connected.makefile("rb"):
            verb = line.split()[0].decode()
            if verb == "format":
                connected.sendall(b'200 "json"\r\n')
                continue
            time.sleep(self._pause)
            self._send(connected, self._answers[verb])
            if not self._answers[verb].endswith(b"\r\n"):
                connected.shutdown(socket.SHUT_RDWR)
                return

    def _send(self, connected: socket.socket, data: bytes) -> None:
        step = self._piece or len(data) or 1
        for at in range(0, len(data), step):
            connected.sendall(data[at : at + step])
            if self._piece:
                time.sleep(0.01)


class Cutter(_Listener):
    """
    Passes connections on to a daemon, and cuts the first one with a verb after so many bytes of its answer.

    :ivar cuts: how many connections were cut.
    """

    def __init__(self, path: Path, daemon: Path, verb: str, after: int) -> None:
        self._daemon, self._verb, self._after = daemon, verb.encode(), after
        self.cuts = 0
        super().__init__(path)

    def serve(self, connected: socket.socket) -> None:
        """Pass on, in both directions, until one side ends."""
        is_victim = threading.Event()
        with socket.socket(socket.AF_UNIX) as daemon:
            daemon.connect(str(self._daemon))

            def look(data: bytes) -> None:
                if data.startswith(self._verb) and not self.cuts:
                    is_victim.set()

            forth = threading.Thread(target=_pass, args=(connected, daemon, look), daemon=True)
            forth.start()
            passed = 0

            def count(data: bytes) -> None:
                nonlocal passed
                passed += len(data)
                if is_victim.is_set() and passed > self._after:
                    self.cuts += 1
                    connected.sendall(data[: len(data) // 2])
                    raise OSError("cut")

            _pass(daemon, connected, count)
            forth.join(0.5)


def _pass(source: socket.socket, target: socket.socket, look: Callable[[bytes], None]) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            look(data)
            target.sendall(data)
    for end in (source, target):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
