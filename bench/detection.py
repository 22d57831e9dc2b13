"""
Measures how long it takes until all of eight daemons know that one joined, left or was killed, for gomd and
serf.

Both run on loopback addresses of this machine with their default settings, serf with its LAN profile. A
join counts from the moment the new daemon begins to join; what its start takes before that is printed.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Final, NamedTuple

from bench.agents import Cluster, gomds, serfs
from bench.rows import Row, limit, row, unmeasured

TRIES: Final = 20
#: serf takes several seconds to call a node down.
SERF_TRIES: Final = 10
PORT: Final = 25428
#: Seconds between two tries, of various length: else all of them hit one phase of the heartbeats.
PAUSES: Final = (0.3, 0.9, 0.5, 1.1, 0.7)


class Times(NamedTuple):
    """Seconds, one for each try."""

    joins: list[float]
    starts: list[float]
    leaves: list[float]
    kills: list[float]


def run() -> list[Row]:
    """Measure, and return the rows."""
    with tempfile.TemporaryDirectory(prefix="gomd-bench-") as directory, gomds(Path(directory), PORT) as ours:
        own = _measure(ours, TRIES)
    _tell("gomd", own)
    theirs = None
    if _serf():
        with serfs() as others:
            theirs = _measure(others, SERF_TRIES)
        _tell("serf", theirs)
    return [
        limit(f"join seen by all, worst of {TRIES * 2}", max(own.joins), "s", 0.5),
        _versus("join seen by all, median", own.joins, theirs and theirs.joins),
        limit(f"clean leave seen by all, worst of {TRIES}", max(own.leaves), "s", 0.5),
        limit(f"kill -9 seen by all, worst of {TRIES}", max(own.kills), "s", 4.0),
        _versus("kill -9 seen by all, median", own.kills, theirs and theirs.kills),
    ]


def _measure(cluster: Cluster, tries: int) -> Times:
    times = Times([], [], [], [])

    def join(turn: int) -> None:
        taken, since_start = cluster.joined(turn)
        times.joins.append(taken)
        times.starts.append(since_start)
        time.sleep(PAUSES[turn % len(PAUSES)])

    for turn in range(tries):
        times.kills.append(cluster.killed(turn))
        join(turn)
        times.leaves.append(cluster.left(turn))
        join(turn)
    return times


def _versus(name: str, own: list[float], theirs: list[float] | None) -> Row:
    value = statistics.median(own)
    if theirs is None:
        return unmeasured(name, value, "s", "serf: not measured, no package", 1.0)
    return row(name, value, "s", "serf", statistics.median(theirs), 1.0)


def _tell(name: str, times: Times) -> None:
    for what, taken in zip(("join", "join, from its exec", "leave", "kill -9"), times, strict=True):
        print(
            f"{name} {what}: {len(taken)} tries, median {statistics.median(taken):.3f} s, "
            f"least {min(taken):.3f}, most {max(taken):.3f}"
        )


def _serf() -> bool:
    """Return whether serf is installed; for root on Debian, install it."""
    if shutil.which("serf") is None and os.geteuid() == 0 and shutil.which("apt-get"):
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for command in (["apt-get", "update", "-qq"], ["apt-get", "install", "-y", "-qq", "serf"]):
            subprocess.run(command, env=environment, capture_output=True, timeout=300, check=False)
    return shutil.which("serf") is not None
