"""
Clients of a telnet line that ask the same again and again, and what they had to wait.

`python -m bench.repeating ADDRESS REQUEST ROWS` prints the seconds of each answer; a process of its own, so
that what it reads does not delay the client that is measured beside it.
"""

from __future__ import annotations

import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import Final, NamedTuple

#: Seconds between two requests of the honest client. They are due at fixed times, so that a long wait counts
#: with its full length.
TRIP_PERIOD: Final = 0.005
#: Seconds that anything may take.
STEP_TIMEOUT: Final = 60.0


class Waits(NamedTuple):
    """
    Milliseconds: the median answer, and what a client that asks for `load` had to wait meanwhile.

    :ivar honest: its 99th percentile. :ivar echo: the same of an echo, asked in turn with it: what the
        machine's other load and the two clients themselves cost.
    """

    answer: float
    honest: float
    echo: float


class Asker:
    """
    A connection to the telnet line, or to the echo.

    :param address: a port of loopback, or the path of a unix socket.
    """

    def __init__(self, address: int | str, greets: bool = True) -> None:
        if isinstance(address, int):
            self._socket = socket.create_connection(("127.0.0.1", address), STEP_TIMEOUT)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        else:
            self._socket = socket.socket(socket.AF_UNIX)
            self._socket.settimeout(STEP_TIMEOUT)
            self._socket.connect(address)
        self._lines = self._socket.makefile("rb")
        if greets:
            assert self._lines.readline().startswith(b"220 gomd ")

    def __enter__(self) -> Asker:
        return self

    def __exit__(self, *_error: object) -> None:
        self._lines.close()
        self._socket.close()

    def ask(self, request: str) -> tuple[float, list[bytes]]:
        """Return the seconds from a request to the end of its answer, and the lines of its block."""
        before = time.perf_counter()
        self._socket.sendall(request.encode() + b"\r\n")
        status = self._lines.readline()
        assert status.startswith((b"2", b"load")), status
        block = list(iter(self._lines.readline, b".\r\n")) if status.startswith(b"201 ") else []
        return time.perf_counter() - before, block


def waits(address: int | str, echo: int, request: str, seconds: float, rows: int) -> Waits:
    """
    Ask ``request`` again and again for ``seconds``, and ``load`` beside it.

    :param address: of the daemon, as for `Asker`. :param echo: the port of a bare echo.
    :param rows: lines that each answer has at least, without its heading.
    """
    command = [sys.executable, "-m", "bench.repeating", str(address), request, str(rows)]
    with Asker(address) as honest, Asker(echo, greets=False) as bare, tempfile.TemporaryFile("w+") as told:
        other = subprocess.Popen(command, stdout=told)
        try:
            while not os.fstat(told.fileno()).st_size:  # its first answer
                assert other.poll() is None, f"{request} could not be asked"
                time.sleep(0.05)
            taken, echoed, begun = [], [], time.monotonic()
            while (elapsed := time.monotonic() - begun) < seconds:
                time.sleep(TRIP_PERIOD - elapsed % TRIP_PERIOD)
                taken.append(honest.ask("load")[0])
                echoed.append(bare.ask("load")[0])
        finally:
            other.kill()
            other.wait()
        told.seek(0)
        # Without the last line: it may have been cut off.
        answers = [float(line) for line in told.read().split("\n")[:-1]]
    return Waits(statistics.median(answers) * 1e3, _p99(taken) * 1e3, _p99(echoed) * 1e3)


def _p99(seconds: Sequence[float]) -> float:
    return statistics.quantiles(seconds, n=100)[98]


def main(words: Sequence[str]) -> None:
    """Ask until killed."""
    address, request, rows = words
    with Asker(int(address) if address.isdecimal() else address) as line:
        while True:
            seconds, block = line.ask(request)
            assert len(block) > int(rows), block
            print(seconds, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
