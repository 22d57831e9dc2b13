"""A daemon that greets well and then lies: what it says behind ``202`` is what a test tells it to."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from libgomd.wire import frames

#: Makes what a connection hears, of the number of the caller's ATTACH.
Lie = Callable[[int], bytes]
GREETING = b"220 gomd 0.1.0 node 1 alpha\r\n"


class LyingDaemon:
    """
    Takes connections at a unix socket, one thread each.

    :param lies: make what one connection after the other hears, given the number of its ATTACH; the last one
        again and again. Empty bytes close the connection.
    """

    def __init__(self, path: Path, *lies: Lie) -> None:
        self.endpoint = f"unix:{path}"
        self.opened = 0
        self._lies = lies
        self._carrying: list[socket.socket] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._stopped = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connected, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connected,), daemon=True).start()

    def _serve(self, connected: socket.socket) -> None:
        with suppress(OSError), connected:
            connected.sendall(GREETING)
            rest = b""
            while data := connected.recv(65536):
                *lines, rest = (rest + data).split(b"\r\n")
                for line in lines:
                    if line.split()[0] in (b"run", b"attach"):
                        self._lie(connected, rest)
                        return
                    connected.sendall(b"200 fine\r\n")

    def _lie(self, connected: socket.socket, rest: bytes) -> None:
        lie = self._lies[min(self.opened, len(self._lies) - 1)]
        self.opened += 1
        self._carrying.append(connected)
        connected.sendall(b"202 go on\r\n")
        parser = frames.FrameParser()
        data = rest or connected.recv(65536)
        while data:
            for frame in parser.feed(data):
                if frame.kind == frames.ATTACH:
                    said = lie(frames.decode_json(frame.payload)["n"])
                    if not said:
                        return
                    connected.sendall(said)
            data = connected.recv(65536)

    def drop(self) -> None:
        """Break the connections that carry frames."""
        for connected in self._carrying:
            with suppress(OSError):
                connected.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Take no more connections."""
        self._listener.close()


class Flood:
    """
    Says what it is told to: one piece at first, one after each thing that it hears, the last without end.

    :ivar heard: what was sent to it. :param pieces: what it says; a single one is said once.
    """

    #: How long it goes on.
    SECONDS = 20.0

    def __init__(self, path: Path, *pieces: bytes) -> None:
        self.endpoint = f"unix:{path}"
        self.heard = b""
        self._pieces = pieces
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with suppress(OSError), self._listener.accept()[0] as connected:
            connected.sendall(self._pieces[0])
            for piece in self._pieces[1:-1]:
                self.heard += connected.recv(65536)
                connected.sendall(piece)
            end = time.monotonic() + self.SECONDS
            while len(self._pieces) > 1 and time.monotonic() < end:
                connected.sendall(self._pieces[-1])
            while data := connected.recv(65536):
                self.heard += data

    def __enter__(self) -> Flood:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._listener.close()
