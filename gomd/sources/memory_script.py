"""The scripts of a memory source: lists of loads and process tables, or an endless small demo."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from libgomd.model import STANDARD_SPEED, Cpu, Disk, Interface, Load, Memory, Paging, Part, Process, Sample

_MIB: Final = 1024 * 1024
#: The parts for which an entry that is only a number stands.
PLAIN_PARTS: Final = (Part.LOAD, Part.CPU, Part.MEMORY)


class Script(Protocol):
    """Gives the values that are read at each step. None is a read that fails."""

    parts: tuple[Part, ...]

    def sample(self, step: int, now: float) -> Sample | None:
        """Return the node's values at read number ``step``; the first is 0."""

    def processes(self, step: int, now: float) -> Sequence[Process] | None:
        """Return the processes at scan number ``step``; the first is 0."""


class ListScript:
    """
    Plays lists entry by entry. After the last entry it repeats that entry or starts again.

    :param samples: for each read of a part a load, or a whole `Sample`, or None for a failure.
    :param processes: for each scan a table, or None for a failure.
    :param cycle: whether it begins again after the last entry.
    :raises ValueError: one of the lists is empty.
    """

    def __init__(
        self,
        samples: Sequence[int | Sample | None],
        processes: Sequence[Sequence[Process] | None],
        cycle: bool = False,
    ) -> None:
        if not samples or not processes:
            raise ValueError("a script has at least one entry")
        self._samples = tuple(samples)
        self._processes = tuple(processes)
        self._cycle = cycle
        whole = [one for one in samples if isinstance(one, Sample)]
        self.parts = tuple(
            part
            for part in Part
            if part in PLAIN_PARTS or any(getattr(one, part.value) is not None for one in whole)
        )

    def sample(self, step: int, now: float) -> Sample | None:
        """Return the entry of this step. A bare load becomes the sample of a standard machine."""
        entry = self._samples[self._at(step, len(self._samples))]
        return plain_sample(entry, now) if isinstance(entry, int) else entry

    def processes(self, step: int, now: float) -> Sequence[Process] | None:
        """Return the table of this step."""
        return self._processes[self._at(step, len(self._processes))]

    def _at(self, step: int, length: int) -> int:
        return step % length if self._cycle else min(step, length - 1)


def plain_sample(load: int, now: float) -> Sample:
    """Return the sample of a standard 1-CPU machine with 1 GiB of memory and this load."""
    return Sample(
        taken_at=now,
        load=Load(load, runnable=round(load / 100)),
        cpu=Cpu(cpus=1, speed=STANDARD_SPEED, util=100),
        memory=Memory(mem=512 * _MIB, rmem=256 * _MIB, tmem=1024 * _MIB),
    )


@dataclass(frozen=True, slots=True)
class _Actor:
    """A process of the demo: it uses up to ``share`` of a processor, in waves of ``period`` seconds."""

    pid: int
    uid: int
    user: str
    command: str
    share: float
    period: float
    rss: int

    def rate(self, elapsed: float) -> float:
        """Processors in use, ``elapsed`` seconds after its start."""
        return self.share * (1.0 - math.cos(math.tau * elapsed / self.period)) / 2.0

    def used(self, elapsed: float) -> float:
        """Processor seconds used since its start: the integral of `rate`, which never falls."""
        turn = self.period / math.tau
        return self.share * (elapsed - turn * math.sin(elapsed / turn)) / 2.0


_ACTORS: Final = (
    _Actor(1, 0, "root", "/sbin/init", 0.0, 60.0, 9 * _MIB),
    _Actor(310, 0, "root", "/usr/sbin/sshd -D", 0.01, 15.0, 8 * _MIB),
    _Actor(1201, 1000, "ada", "./simulate --grid 512", 1.0, 120.0, 410 * _MIB),
    _Actor(1202, 1000, "ada", "./simulate --grid 256", 0.8, 47.0, 120 * _MIB),
    _Actor(1307, 1001, "grace", "cc1 -O2 kernel.c", 0.6, 23.0, 96 * _MIB),
    _Actor(1411, 1001, "grace", "vi notes.txt", 0.02, 9.0, 6 * _MIB),
)


class DemoScript:
    """
    A small machine with busy users, computed from the time alone.

    The same time after the first read always gives the same values.

    :param node_id: shifts the waves, so that several demo nodes differ.
    :param wall: gives the time of day, from which the start times follow; by default the source's own.
    """

    parts: tuple[Part, ...] = (Part.LOAD, Part.CPU, Part.MEMORY, Part.PAGING, Part.DISKS, Part.NETWORK)
    _CPUS: Final = 2
    _TOTAL: Final = 4096 * _MIB
    #: How long the machine has been up at the first read, in seconds.
    _UP: Final = 600.0

    def __init__(self, node_id: int, wall: Callable[[], float] | None = None) -> None:
        self._node = node_id
        self._wall = wall
        self._booted: float | None = None

    def _elapsed(self, now: float) -> float:
        if self._booted is None:
            self._booted = now - self._UP - 7.0 * (self._node % 16)
        return max(0.0, now - self._booted)

    def sample(self, step: int, now: float) -> Sample:
        """Return the values at ``now``."""
        elapsed = self._elapsed(now)
        rates = [actor.rate(elapsed) for actor in _ACTORS]
        used = sum(actor.used(elapsed) for actor in _ACTORS)
        resident = sum(actor.rss for actor in _ACTORS)
        busy = min(100.0, 100.0 * sum(rates) / self._CPUS)
        return Sample(
            taken_at=now,
            load=Load(round(100.0 * sum(rates) / self._CPUS), sum(rate > 0.3 for rate in rates)),
            cpu=Cpu(self._CPUS, STANDARD_SPEED, 100 * self._CPUS, busy if step else None),
            memory=Memory(self._TOTAL - resident, (self._TOTAL - resident) // 2, self._TOTAL, 0, 0),
            paging=Paging(0, 0, int(40 * elapsed), int(elapsed / 60)),
            disks=(Disk("sda", int(used * 200_000), int(used * 90_000), int(used * 30)),),
            network=(
                Interface(
                    "eth0",
                    int(9000 * elapsed),
                    int(12 * elapsed),
                    0,
                    int(7000 * elapsed),
                    int(9 * elapsed),
                    0,
                ),
            ),
        )

    def processes(self, step: int, now: float) -> Sequence[Process]:
        """Return the processes at ``now``."""
        elapsed = self._elapsed(now)
        # Like the kernel's btime, it is in whole seconds and changes when the wall clock is set.
        booted = now - elapsed if self._wall is None else float(round(self._wall() - elapsed))
        return [self._process(actor, elapsed, booted) for actor in _ACTORS]

    def _process(self, actor: _Actor, elapsed: float, booted: float) -> Process:
        return Process(
            node=self._node, home=self._node, pid=actor.pid, ppid=0 if actor.pid == 1 else 1,
            uid=actor.uid, user=actor.user, state="R" if actor.rate(elapsed) > 0.3 else "S", nice=0,
            threads=1, cpu_percent=None, cpu_seconds=actor.used(elapsed), rss=actor.rss,
            vsize=3 * actor.rss, start_time=booted, where=0, nmigs=0, lock=False, cantmove="",
            command=actor.command, started=0, name=actor.command.split()[0].rpartition("/")[2][:15],
        )  # fmt: skip
