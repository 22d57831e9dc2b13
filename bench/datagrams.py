"""
A question by datagram, sealed, next to a bare Twisted UDP echo, both asked by a plain blocking client.

Both daemons run the whole time and take turns, so that whatever else the machine does hits them alike.
The sealed client seals each question and opens each answer, and that is in its time.
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

from bench.rows import Row, row
from bench.servers import PATIENCE, echo, gomd
from libgomd.derivation import key_ring, read_keys
from libgomd.keys import new_key_file
from libgomd.wire.datagrams import Sealer, open_sealed
from libgomd.wire.messages import MAX_PACKET, MIN_ROOM, Answer, Question

ROUNDS: Final = 15
ROUND_TRIPS: Final = 1000
#: Of the Twisted clients, which are measured for comparison only.
TWISTED_ROUND_TRIPS: Final = 500
NODE: Final = 7
PATH: Final = f"/proc/hpc/nodes/{NODE}/load"


def run() -> list[Row]:
    """Measure, and return the rows."""
    with tempfile.TemporaryDirectory(prefix="gomd-bench-") as directory:
        key_file = str(Path(directory, "key"))
        new_key_file(key_file)
        port = _free_port()
        options = ("--peers", f"127.0.0.1:{port}", "--key-file", key_file, "--node-id", str(NODE))
        with gomd(*options), echo("udpecho.py") as theirs:
            sealed, plain = _sealed_client(port, key_file), _plain_client(theirs.port)
            for ask in (sealed, plain):
                _round_trip(ask)
            trips = [(_round_trip(sealed), _round_trip(plain)) for _ in range(ROUNDS)]
            between_twisted = _twisted_clients(port, key_file, theirs.port)
    ours, bare = (statistics.median(column) * 1e6 for column in zip(*trips, strict=True))
    return [
        row("datagram question, sealed", ours, "us", "bare UDP echo of Twisted", bare, 5.0),
        row("the same, Twisted clients", between_twisted[0], "us", "bare UDP echo", between_twisted[1], 5.0),
    ]


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _socket_to(port: int) -> socket.socket:
    asking = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    asking.settimeout(PATIENCE)
    asking.connect(("127.0.0.1", port))
    return asking


def _sealed_client(port: int, key_file: str) -> Callable[[], None]:
    """Return what asks gomd once: seals, sends, waits, opens, and looks whether it is the answer."""
    keys = key_ring(read_keys([key_file]))
    sealer = Sealer(keys, 0, int.from_bytes(os.urandom(6), "big"), os.urandom)
    asking = _socket_to(port)
    question = Question(0, PATH)
    numbers = iter(range(1, 1 << 40))

    def ask() -> None:
        number = next(numbers)
        asking.send(sealer.seal(question._replace(request_id=number), int(time.time() * 1000)))
        answer = open_sealed(asking.recv(MAX_PACKET + 1), keys).datagram.message
        assert isinstance(answer, Answer), answer
        assert (answer.request_id, answer.code) == (number, 200), answer

    return ask


def _plain_client(port: int) -> Callable[[], None]:
    """Return what sends the echo a packet as long as the question, and waits for it."""
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
    """Return what `libgomd.peer` and a bare protocol take, in microseconds."""
    command = (
        sys.executable, "-m", "bench.twistedclients",
        str(port), key_file, str(echo_port), PATH, str(TWISTED_ROUND_TRIPS),
    )  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=4 * PATIENCE, check=True)
    sealed, bare = map(float, done.stdout.split())
    return sealed, bare
