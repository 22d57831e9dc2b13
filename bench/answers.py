"""
Compares answers of many rows: over tcp with the unix socket, and from another node with this one.

Two daemons with a key, so that what goes between them is TLS. The connections are held and take turns, so
that whatever else the machine does hits them alike.
"""

from __future__ import annotations

import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from bench.rows import Row, compared
from bench.sleepers import sleepers
from tests.integration.jobs import Pair

SLEEPERS: Final = 100
MEASURED_ROUNDS: Final = 101
#: Seconds until both daemons have scanned the new processes.
SETTLE_SECONDS: Final = 6.0


def run() -> list[Row]:
    """Measure, and return the rows."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gomd-bench-")))
        stack.enter_context(sleepers(SLEEPERS))
        home, _other = stack.enter_context(Pair(directory))
        time.sleep(SETTLE_SECONDS)
        unix = stack.enter_context(_connected(socket.AF_UNIX, home.unix.removeprefix("unix:")))
        tcp = stack.enter_context(_connected(socket.AF_INET, ("127.0.0.1", home.port)))
        rounds = [(_ask(unix, b"ps"), _ask(tcp, b"ps"), _ask(unix, b"@2 ps")) for _ in range(MEASURED_ROUNDS)]
    here, over_tcp, there = ([value * 1e3 for value in column] for column in zip(*rounds[1:], strict=True))
    return [
        compared("`ps` over tcp", over_tcp, "ms", "`ps` over the unix socket", here, 1.5),
        compared("`@NODE ps`", there, "ms", "`ps` of this node", here, 3.0),
    ]


class _Line:
    """A connection to the telnet line."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.lines = connection.makefile("rb")
        assert self.lines.readline().startswith(b"220 gomd ")


@contextmanager
def _connected(family: int, address: str | tuple[str, int]) -> Iterator[_Line]:
    with socket.socket(family, socket.SOCK_STREAM) as connection:
        connection.connect(address)
        yield _Line(connection)


def _ask(line: _Line, request: bytes) -> float:
    """Return the seconds from a request to the end of the block that answers it."""
    before = time.perf_counter()
    line.connection.sendall(request + b"\r\n")
    status = line.lines.readline()
    assert status.startswith(b"201 "), status
    rows = 0
    while line.lines.readline() != b".\r\n":
        rows += 1
    taken = time.perf_counter() - before
    assert rows > SLEEPERS, rows
    return taken
