"""The load of a node as openMosix counts it, and how usable its processors are."""

from __future__ import annotations

import math
from typing import Final

from gomd.sources.proc.kernelstat import KernelStat
from libgomd.errors import SourceUnavailable
from libgomd.model import Cpu

#: What is left of the distance to a higher load after one second: new = (5 * old + 3 * current) / 8.
_KEPT_A_SECOND: Final = 5 / 8
#: Fewest clock ticks between two reads for a share of them to mean anything.
_MIN_TICKS: Final = 5


def parse_loadavg(text: str) -> tuple[tuple[float, float, float], int]:
    """
    Return the load averages over 1, 5 and 15 minutes and the runnable tasks, the reader among them.

    :raises SourceUnavailable: ``text`` is not a whole /proc/loadavg.
    """
    try:
        one, five, fifteen, tasks, _ = text.split()
        runnable, _ = tasks.split("/")
        averages = (float(one), float(five), float(fifteen))
        if not all(map(math.isfinite, averages)):
            raise ValueError(f"averages {averages}")
        return averages, int(runnable)
    except ValueError as error:
        raise SourceUnavailable(f"/proc/loadavg is not understood: {error}") from error


def current_load(runnable: int, cpus: int, speed: int, yardstick: int) -> float:
    """Return 100 * runnable * yardstick / (speed * cpus): 100 is one task on a standard machine."""
    return 100.0 * runnable * yardstick / (speed * cpus)


class SmoothedLoad:
    """
    A load that rises slowly and falls at once, so that a moment's burst moves nothing.

    openMosix reads once a second; a read after another time takes as much of the way as it would have.
    """

    def __init__(self) -> None:
        self._value: float | None = None
        self._at = 0.0

    def update(self, current: float, now: float) -> int:
        """Return the smoothed load when it is ``current`` at ``now``, in seconds."""
        old, elapsed = self._value, max(0.0, now - self._at)
        if old is not None and current > old:
            current += (old - current) * _KEPT_A_SECOND**elapsed
        self._value, self._at = current, now
        return round(current)


class CpuShares:
    """What the processors did between two reads of /proc/stat."""

    def __init__(self) -> None:
        self._old: KernelStat | None = None
        self._shares: tuple[float, float, float | None] | None = None

    def update(self, stat: KernelStat, speed: int) -> Cpu:
        """Return the processors' state, with the shares since the read before (None at the first)."""
        old = self._old
        if old is None or old.cpus != stat.cpus or stat.total < old.total:
            self._old, self._shares = stat, None
        elif (total := stat.total - old.total) >= _MIN_TICKS:  # else too near for new shares: keep them
            stolen = _share(stat.stolen - old.stolen, total)
            idle = _share(stat.idle - old.idle, total)
            waited = None
            if stat.waited is not None and old.waited is not None:
                waited = _share(stat.waited - old.waited, total)
            self._old, self._shares = stat, (stolen, idle, waited)
        if self._shares is None:
            return Cpu(stat.cpus, speed, 100 * stat.cpus)
        stolen, idle, waited = self._shares
        return Cpu(
            cpus=stat.cpus,
            speed=speed,
            util=round(100 * stat.cpus * (1.0 - stolen)),
            busy_percent=round(100.0 * (1.0 - idle), 1),
            iowait_percent=None if waited is None else round(100.0 * waited, 1),
        )


def _share(ticks: int, total: int) -> float:
    """A part of ``total``; the kernel's own counters run back by a tick now and then."""
    return min(1.0, max(0.0, ticks / total))
