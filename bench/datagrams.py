"""
Compares a sealed question by datagram with a bare Twisted UDP echo.

Both daemons run the whole time and take turns, so that whatever else the machine does hits them alike.
Three pairs of clients: one that sends plain bytes to the echo, next to one that seals each question and
opens each answer; that sealing client at both, which leaves the difference of the daemons; Twisted clients.
"""

from __future__ import annotations

import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from bench.one_processor import on_one_processor
from bench.rows import Row, compared
from bench.servers import STEP_TIMEOUT, echo, gomd
from libgomd.derivation import key_ring, read_keys
from libgomd.keys import new_key_file
from libgomd.wire.datagrams import Sealer, open_sealed
from libgomd.wire.messages import MAX_PACKET, MIN_ROOM, Answer, Question

MEASURED_ROUNDS: Final = 15
ROUND_TRIPS: Final = 1000
#: Of the Twisted clients, which are measured for comparison only.
TWISTED_ROUND_TRIPS: Final = 500
TWISTED_ROUNDS: Final = 5
NODE: Final = 7
PATH: Final = f"/proc/hpc/nodes/{NODE}/load"


def run() -> list[Row]:
    """Measure, and return the rows."""
    with tempfile.TemporaryDirectory(prefix="gomd-bench-") as directory:
        key_file = str(Path(directory, "key"))
        new_key_file(key_file)
        port = _free_port()
        options = ("--peers", f"127.0.0.1:{port}", "--key-file", key_file, "--node-id", str(NODE))
        with gomd(*options) as server, echo("udpecho.py") as theirs:
            asks = (
                _sealed_client(port, key_file, Answer),
                _sealed_client(theirs.port, key_file, Question),
                _plain_client(theirs.port),
            )
            with on_one_processor(server.pid, theirs.pid):
                trips = [tuple(_round_trip(ask) for ask in asks) for _ in range(MEASURED_ROUNDS)][1:]
            twisted = [_twisted_clients(port, key_file, theirs.port) for _ in range(TWISTED_ROUNDS)]
    ours, sealed, bare = ([value * 1e6 for value in column] for column in zip(*trips, strict=True))
    library, protocol = zip(*twisted, strict=True)
    return [
        compared("datagram question, the same client", ours, "us", "bare UDP echo, sealed", sealed, 3.5),
        compared("datagram question, Twisted clients", library, "us", "bare UDP echo", protocol, 3.5),
        compared("question sealed, echo of plain bytes", ours, "us", "bare UDP echo", bare, 5.0),
    ]


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _socket_to(port: int) -> socket.socket:
    asking = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    asking.settimeout(STEP_TIMEOUT)
    asking.connect(("127.0.0.1", port))
    return asking


def _sealed_client(port: int, key_file: str, kind: type[Answer | Question]) -> Callable[[], None]:
    """
    Return what asks once: seals, sends, waits, opens, and looks whether what came is right.

    :param kind: of what comes: an answer, or from an echo the question itself.
    """
    keys = key_ring(read_keys([key_file]))
    sealer = Sealer(keys, 0, int.from_bytes(os.urandom(6), "big"), os.urandom)
    asking = _socket_to(port)
    question = Question(0, PATH)
    numbers = iter(range(1, 1 << 40))

    def ask() -> None:
        number = next(numbers)
        asking.send(sealer.seal(question._replace(request_id=number), int(time.time() * 1000)))
        came = open_sealed(asking.recv(MAX_PACKET + 1), keys).datagram.message
        assert isinstance(came, kind), came
        assert came.request_id == number, came
        assert isinstance(came, Question) or came.code == 200, came

    return ask


def _plain_client(port: int) -> Callable[[], None]:
    """Return a function that sends the echo a packet as long as the question, and waits for its return."""
    asking = _socket_to(port)
    packet = bytes(MIN_ROOM)

    def ask() -> None:
        asking.send(packet)
        assert asking.recv(MAX_PACKET + 1) == packet

    return ask


def _round_trip(ask: Callable[[], None]) -> float:
    taken = []
    for _ in range(ROUND_TRIPS):
        before = time.perf_counter()
        ask()
        taken.append(time.perf_counter() - before)
    return statistics.median(taken)


def _twisted_clients(port: int, key_file: str, echo_port: int) -> tuple[float, float]:
    """Return the times of `libgomd.peer` and of a bare protocol, in microseconds."""
    command = (
        sys.executable, "-m", "bench.twistedclients",
        str(port), key_file, str(echo_port), PATH, str(TWISTED_ROUND_TRIPS),
    )  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=4 * STEP_TIMEOUT, check=True)
    sealed, bare = map(float, done.stdout.split())
    return sealed, bare
