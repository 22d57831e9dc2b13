"""A daemon for tests of programs that wait: a unix socket and threads that follow a script."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

GREETING = "220 gomd 0.1.0 node 1 alpha"
Script = dict[str, str]


class Daemon:
    """Answers each line as ``script`` says; a line that is not in it is left without an answer."""

    def __init__(self, path: Path, script: Script, greeting: str = GREETING) -> None:
        self.endpoint = f"unix:{path}"
        self.heard: list[list[str]] = []
        self._script = {"format json": '200 "json"', **script}
        self._greeting = greeting
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._threads: list[threading.Thread] = []
        self._sockets: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connected, _ = self._listener.accept()
            except OSError:
                return
            self._sockets.append(connected)
            self.heard.append([])
            thread = threading.Thread(target=self._serve, args=(connected, self.heard[-1]), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, connected: socket.socket, heard: list[str]) -> None:
        with suppress(OSError), connected, connected.makefile("rw", newline="\n") as line:
            line.write(f"{self._greeting}\r\n")
            line.flush()
            for request in line:
                heard.append(request.rstrip("\r\n"))
                answer = self._script.get(heard[-1], "")
                if answer == "HANG UP":
                    return
                line.write(answer.replace("\n", "\r\n") + ("\r\n" if answer else ""))
                line.flush()

    def all_gone(self) -> bool:
        """Wait until every connection was closed by the other end."""
        for thread in self._threads:
            thread.join(10)
        return not any(thread.is_alive() for thread in self._threads)

    def close(self) -> None:
        """Close everything."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


#: Starts a `Daemon` with a script.
Start = Callable[..., Daemon]


def scripted_daemons(tmp_path: Path) -> Iterator[Start]:
    """Give a `Start`, and close what it started: ``start = pytest.fixture(scripted_daemons)``."""
    started: list[Daemon] = []

    def start(script: Script, **options: str) -> Daemon:
        started.append(Daemon(tmp_path / f"{len(started)}.sock", script, **options))
        return started[-1]

    yield start
    for daemon in started:
        daemon.close()
