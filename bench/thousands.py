"""
Measures how 10,000 nodes are seen: by `nodes`, `ps --top`, a watch of `nodes`, `gom top` and `gom mon`.

The asked daemon is node 1 of a cluster in memory (`bench.large_cluster`). Beside the time of each answer is
the longest work of the daemon at a time meanwhile, in processor time: nobody else is answered in it.
"""

from __future__ import annotations

import multiprocessing
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from typing import Final

from bench.large_cluster import serve_large
from bench.rows import Row, aim, limit, unmeasured
from bench.servers import cpu_seconds_of, memory_of
from tests.integration.jobs import GOM

NODES: Final = 10_000
#: Milliseconds of work at a time: the goal.
STALL_LIMIT: Final = 50.0
#: Seconds over which a viewer is measured, and that anything may take.
WATCHED_SECONDS: Final = 12.0
STEP_TIMEOUT: Final = 60.0
_ASKED: Final = (
    ("nodes", False),
    ("nodes", True),
    ("map", False),
    ("ps --top 20", False),
    ("load node777", False),
)
_SCREENS: Final = ("nodes", "mon --once", "top --once")


@dataclass(frozen=True)
class Large:
    """The daemon. :ivar port: of its line. :ivar meter: answers with its longest work at a time."""

    port: int
    pid: int
    meter: Connection

    def stall(self) -> float:
        """Return the longest work at a time since the last call, in milliseconds."""
        self.meter.send(None)
        found: float = self.meter.recv()
        return 1000 * found


@contextmanager
def large() -> Iterator[Large]:
    """Run the daemon in a process of its own."""
    context = multiprocessing.get_context("spawn")
    mine, its = context.Pipe()
    server = context.Process(target=serve_large, args=(NODES, its), daemon=True)
    server.start()
    try:
        yield Large(mine.recv(), server.pid or 0, mine)
    finally:
        server.kill()
        server.join()


def run() -> list[Row]:
    """Measure, and return the rows."""
    with large() as daemon:
        time.sleep(1.0)
        rows = [unmeasured(f"memory, {NODES:,} nodes", memory_of(daemon.pid) / 1e6, "MB", "-", None)]
        for words, json in _ASKED:
            name = f"`{words}`{' in JSON' if json else ''}, {NODES:,} nodes"
            rows += _measured(daemon, name, partial(_ask, daemon.port, words, json))
        rows += _watched(daemon)
        for words in _SCREENS:
            command = (*GOM, "-c", f"tcp:127.0.0.1:{daemon.port}", *words.split())
            rows += _measured(
                daemon, f"`gom {words}`, {NODES:,} nodes", partial(_run, command), words == "nodes"
            )
        rows.append(
            unmeasured(
                f"memory after `gom top`, {NODES:,} nodes", memory_of(daemon.pid) / 1e6, "MB", "-", None
            )
        )
    return rows


def _measured(daemon: Large, name: str, work: Callable[[], None], is_goal: bool = True) -> list[Row]:
    daemon.stall()
    began = time.perf_counter()
    work()
    taken = time.perf_counter() - began
    what, stall = f"{name}: longest work at a time", daemon.stall()
    return [
        unmeasured(name, 1000 * taken, "ms", "-", None),
        limit(what, stall, "ms", STALL_LIMIT)
        if is_goal
        else aim(what, stall, "ms", "the goal", STALL_LIMIT, 1.0),
    ]


def _ask(port: int, words: str, json: bool) -> None:
    with socket.create_connection(("127.0.0.1", port), STEP_TIMEOUT) as line, line.makefile("rb") as lines:
        lines.readline()
        line.sendall((b"format json\r\n" if json else b"format text\r\n") + words.encode() + b"\r\n")
        lines.readline()
        if lines.readline().startswith(b"201"):
            while lines.readline() not in (b".\r\n", b""):
                pass


def _watched(daemon: Large) -> list[Row]:
    """Measure one viewer of the nodes who asks for a round a second and reads them all."""
    with socket.create_connection(("127.0.0.1", daemon.port), STEP_TIMEOUT) as line:
        line.sendall(b"format json\r\nwatch -n 1 nodes\r\n")
        daemon.stall()
        used, began, size = cpu_seconds_of(daemon.pid), time.perf_counter(), 0
        while time.perf_counter() - began < WATCHED_SECONDS:
            size += len(line.recv(1 << 20))
        percent = 100 * (cpu_seconds_of(daemon.pid) - used) / (time.perf_counter() - began)
    name = f"a viewer of `watch nodes`, {NODES:,} nodes"
    return [
        unmeasured(name, percent, "% of one", "-", None),
        unmeasured(name, size / WATCHED_SECONDS / 1e3, "kB/s", "-", None),
        limit(f"{name}: longest work at a time", daemon.stall(), "ms", STALL_LIMIT),
    ]


def _run(command: Sequence[str]) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=STEP_TIMEOUT)
