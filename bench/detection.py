"""
Measures how long it takes until all of eight daemons know that one joined, left or was killed, for gomd and
serf.

Both run on loopback addresses of this machine with their default settings, serf with its LAN profile. A
join counts from the moment the new daemon begins to join; what its start takes before that is printed.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path
from typing import Final, NamedTuple

from bench.agents import Cluster, gomds, has_serf, serfs
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
    theirs, missing = _of_serf()
    return [
        limit(f"join seen by all, worst of {TRIES * 2}", max(own.joins), "s", 0.5),
        _versus("join seen by all, median", own.joins, theirs.joins, missing),
        limit(f"clean leave seen by all, worst of {TRIES}", max(own.leaves), "s", 0.5),
        limit(f"kill -9 seen by all, worst of {TRIES}", max(own.kills), "s", 4.0),
        _versus("kill -9 seen by all, median", own.kills, theirs.kills, missing),
    ]


def _of_serf() -> tuple[Times, str]:
    """Return the times of serf, as many as there are, and why some are missing."""
    times = Times([], [], [], [])
    if not has_serf():
        return times, "no package"
    try:
        with serfs() as others:
            _measure(others, SERF_TRIES, times)
    except RuntimeError as error:  # it missed one of them, which is not ours to mend
        print(f"detection: serf was measured {len(times.kills)} of {SERF_TRIES} times: {error}")
        return times, str(error)
    finally:
        _tell("serf", times)
    return times, ""


def _measure(cluster: Cluster, tries: int, times: Times | None = None) -> Times:
    """Measure into ``times``, so that what there is is not lost when one of the daemons misses an event."""
    times = times or Times([], [], [], [])

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


def _versus(name: str, own: list[float], theirs: list[float], missing: str) -> Row:
    value = statistics.median(own)
    if not theirs:
        return unmeasured(name, value, "s", f"serf: not measured, {missing}"[:60], 1.0)
    other = f"serf, {len(theirs)} tries" if missing else "serf"
    return row(name, value, "s", other, statistics.median(theirs), 1.0)


def _tell(name: str, times: Times) -> None:
    for what, taken in zip(("join", "join, from its exec", "leave", "kill -9"), times, strict=True):
        if not taken:
            continue
        print(
            f"{name} {what}: {len(taken)} tries, median {statistics.median(taken):.3f} s, "
            f"least {min(taken):.3f}, most {max(taken):.3f}"
        )
