"""
Viewers that read and draw nothing: `python -m bench.readers PORT COUNT WORD ...`.

Each of COUNT connections sends the request of the words in JSON and reads what comes. A line of input makes
it print how many bytes have come to all of them; the end of the input ends it. A process of its own, so that
what it costs is not the daemon's.
"""

from __future__ import annotations

import os
import selectors
import shlex
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

_CHUNK: Final = 1 << 20


@contextmanager
def readers(address: int | str, count: int, words: Sequence[str]) -> Iterator[Readers]:
    """Run ``count`` viewers of the daemon at a port of loopback, or at the path of its unix socket."""
    command = [sys.executable, "-m", "bench.readers", str(address), str(count), *words]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Readers(process)
        finally:
            assert process.stdin is not None
            process.stdin.close()


class Readers:
    """The viewers of `readers`."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def bytes(self) -> int:
        """Return how many bytes have come to all of them."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())


def _connected(address: str, words: Sequence[str]) -> socket.socket:
    if address.isdigit():
        connection = socket.create_connection(("127.0.0.1", int(address)))
    else:
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(address)
    connection.sendall(f"format json\r\n{shlex.join(words)}\r\n".encode())
    return connection


def main(address: str, count: str, *words: str) -> None:
    """Read until the input ends."""
    selector = selectors.DefaultSelector()
    selector.register(0, selectors.EVENT_READ)
    for _ in range(int(count)):
        selector.register(_connected(address, words), selectors.EVENT_READ)
    total = 0
    while True:
        for key, _events in selector.select():
            if key.fd == 0:
                if not os.read(0, 1):
                    return
                print(total, flush=True)
            else:
                assert isinstance(key.fileobj, socket.socket)
                total += len(key.fileobj.recv(_CHUNK))


if __name__ == "__main__":
    main(*sys.argv[1:])
