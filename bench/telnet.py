"""
Compares the telnet line with a bare LineReceiver echo: one request at a time, many pipelined requests, and
one request at a time while another client reads thousands of processes.

Both daemons run the whole time and take turns, so that other load on the machine affects both alike. Round
trips are measured on one processor.
"""

from __future__ import annotations

import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from bench.one_processor import on_one_processor
from bench.rows import Row, compared, limit
from bench.servers import Server, echo, gomd
from bench.sleepers import sleepers

MEASURED_ROUNDS: Final = 9
ROUND_TRIPS: Final = 1500
PIPELINED_REQUESTS: Final = 20_000
SLEEPERS: Final = 5000
#: Seconds for which round trips are measured while `ps` is sent: several scans, and the time between them.
PS_SECONDS: Final = 12.0
#: Seconds between two round trips. Requests are due at fixed times, so a long wait counts with its full
#: length.
TRIP_PERIOD: Final = 0.005
REQUEST: Final = b"load\r\n"

#: Asks for `ps` again and again, as another client would, and prints a line for each answer.
_PS_CLIENT: Final = """
import socket, sys
line = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
line.recv(1000)
print("begun", flush=True)
while True:
    line.sendall(b"ps\\r\\n")
    rest = b""
    while not rest.endswith(b"\\r\\n.\\r\\n"):
        rest = rest[-5:] + line.recv(1 << 20)
    print(1, flush=True)
"""


def run() -> list[Row]:
    """Measure, and return the rows."""
    with gomd() as ours, echo() as theirs, _line(ours) as line, _plain(theirs) as bare:
        _warm(line, bare)
        with on_one_processor(ours.pid, theirs.pid):
            trips = [(_round_trip(line), _round_trip(bare)) for _ in range(MEASURED_ROUNDS)]
        rates = [(_rate(line), _rate(bare)) for _ in range(MEASURED_ROUNDS)]
    ours_us, theirs_us = ([value * 1e6 for value in column] for column in zip(*trips, strict=True))
    ours_rates, theirs_rates = zip(*rates, strict=True)
    worst = _beside_ps()
    return [
        compared("telnet round trip of `load`", ours_us, "us", "echo of a LineReceiver", theirs_us, 1.8),
        compared(
            "telnet pipelined `load`",
            ours_rates,
            "1/s",
            "echo of a LineReceiver",
            theirs_rates,
            0.2,
            at_least=True,
        ),
        limit(f"99th percentile beside ps of {SLEEPERS}", worst * 1e3, "ms", 10.0),
    ]


@contextmanager
def _plain(server: Server) -> Iterator[socket.socket]:
    with server.connect() as connection:
        yield connection


@contextmanager
def _line(server: Server) -> Iterator[socket.socket]:
    """Connect to gomd and read its greeting."""
    with _plain(server) as connection:
        assert connection.recv(1000).startswith(b"220 gomd ")
        yield connection


def _warm(*connections: socket.socket) -> None:
    for connection in connections:
        _round_trip(connection)


def _ask(connection: socket.socket) -> float:
    """Return the seconds from a request to the end of its reply."""
    before = time.perf_counter()
    connection.sendall(REQUEST)
    reply = connection.recv(1000)
    while not reply.endswith(b"\n"):
        reply += connection.recv(1000)
    taken = time.perf_counter() - before
    assert reply.startswith((b"200 ", b"load"))
    return taken


def _round_trip(connection: socket.socket) -> float:
    return statistics.median(_ask(connection) for _ in range(ROUND_TRIPS))


def _rate(connection: socket.socket) -> float:
    """Return requests a second, sent without waiting for their replies."""
    requests = REQUEST * PIPELINED_REQUESTS
    sender = threading.Thread(target=connection.sendall, args=(requests,))
    before = time.perf_counter()
    sender.start()
    missing = PIPELINED_REQUESTS
    while missing:
        missing -= connection.recv(1 << 18).count(b"\n")
    taken = time.perf_counter() - before
    sender.join()
    return PIPELINED_REQUESTS / taken


def _beside_ps() -> float:
    """Return the 99th percentile of the round trip, in seconds, while another client reads `ps`."""
    with sleepers(SLEEPERS), gomd() as server, _line(server) as line:
        command = [sys.executable, "-c", _PS_CLIENT, str(server.port)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
            assert other.stdout is not None
            try:
                other.stdout.readline()
                taken, begin = [], time.monotonic()
                while (elapsed := time.monotonic() - begin) < PS_SECONDS:
                    time.sleep(TRIP_PERIOD - elapsed % TRIP_PERIOD)
                    taken.append(_ask(line))
            finally:
                other.kill()
            tables = other.stdout.read().count("1")
    print(
        f"beside {tables} tables of {SLEEPERS} processes in {PS_SECONDS:g} s: {len(taken)} round trips, "
        f"median {statistics.median(taken) * 1e3:.2f} ms, longest {max(taken) * 1e3:.1f} ms"
    )
    return statistics.quantiles(taken, n=100)[98]
