"""The load of a node as openMosix counts it, and how usable its processors are."""

from __future__ import annotations

from typing import Final

from gomd.sources.linux.kernelstat import KernelStat
from gomd.sources.linux.numbers import MAX_TASKS, decimal, whole
from libgomd.errors import SourceUnavailable
from libgomd.model import Cpu

#: What is left of the distance to a higher load after one second: new = (5 * old + 3 * current) / 8.
_KEPT_A_SECOND: Final = 5 / 8
#: Fewest clock ticks between two reads for a share of them to mean anything.
_MIN_TICKS: Final = 5


#: Load averages over 1, 5 and 15 minutes.
Averages = tuple[float, float, float]


def parse_loadavg(text: str) -> tuple[Averages | None, int | None]:
    """
    Return the load averages over 1, 5 and 15 minutes and the runnable tasks, the reader among them.

    An impossible value is None: a negative number, or more tasks than a kernel can have.

    :raises SourceUnavailable: ``text`` is not a whole /proc/loadavg.
    """
    try:
        one, five, fifteen, tasks, _ = text.split()
        runnable, _ = tasks.split("/")
        averages = [decimal(each, MAX_TASKS) for each in (one, five, fifteen)]
        known = [each for each in averages if each is not None]
        return (known[0], known[1], known[2]) if len(known) == 3 else None, whole(runnable, MAX_TASKS)
    except ValueError as error:
        raise SourceUnavailable(f"/proc/loadavg is not understood: {error}") from error


def current_load(runnable: int, cpus: int, speed: int, yardstick: int) -> float:
    """Return 100 * runnable * yardstick / (speed * cpus): 100 is one task on a standard machine."""
    return 100.0 * runnable * yardstick / (speed * cpus)


class SmoothedLoad:
    """
    A load that rises slowly and falls at once, so that a short burst does not move any process.

    openMosix reads once a second. A read after another interval rises by as much as openMosix would have.
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
    """The processors' time between two reads of /proc/stat."""

    def __init__(self) -> None:
        self._old: KernelStat | None = None
        self._shares: tuple[float, float, float | None] | None = None

    def update(self, stat: KernelStat, speed: int) -> Cpu:
        """Return the processors' state, with the shares since the read before (None at the first)."""
        old = self._old
        if old is None or old.cpus != stat.cpus:
            self._old, self._shares = stat, None
        elif (total := (since := stat.since(old)).total) >= _MIN_TICKS:
            waited = None
            if stat.waited is not None and old.waited is not None:
                waited = (since.waited or 0) / total
            self._old, self._shares = stat, (since.stolen / total, since.idle / total, waited)
        elif stat.total < old.total - _MIN_TICKS:  # all ran back: other counters than before
            self._old, self._shares = stat, None
        # else the two reads are too close together for new shares: the old ones are kept
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
