"""The measurements that a node takes of itself, part by part."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field


class Part(enum.Enum):
    """The parts of a node's sample. Each is read separately: one that fails does not affect the others."""

    LOAD = "load"
    CPU = "cpu"
    MEMORY = "memory"
    PAGING = "paging"
    DISKS = "disks"
    NETWORK = "network"
    PRESSURE = "pressure"


@dataclass(frozen=True, slots=True)
class Load:
    """
    How busy the node is. An impossible number from the kernel is None.

    :ivar load: smoothed, as `Node.load`.
    :ivar runnable: runnable tasks at this moment, without the task that reads this.
    :ivar averages: the kernel's load averages over 1, 5 and 15 minutes, in tasks.
    """

    load: int | None
    runnable: int | None
    averages: tuple[float, float, float] | None = None


@dataclass(frozen=True, slots=True)
class Cpu:
    """
    The processors.

    :ivar cpus: how many are online. :ivar speed: the speed of one; a standard machine has 15000.
    :ivar util: 100 for each fully usable processor, minus the time that a hypervisor stole since the last
        read.
    :ivar busy_percent: share of all processors in use since the last read; None in the first read.
    :ivar iowait_percent: share of the time spent waiting for storage; None in the first read.
    """

    cpus: int | None
    speed: int | None
    util: int | None
    busy_percent: float | None = None
    iowait_percent: float | None = None


@dataclass(frozen=True, slots=True)
class Memory:
    """
    Memory, in bytes. An impossible size, such as more free memory than there is, is None.

    :ivar mem: what a new process could get. :ivar rmem: free. :ivar tmem: all.
    :ivar swap_total: None where the kernel does not tell it; the same holds for ``swap_free``.
    """

    mem: int | None
    rmem: int | None
    tmem: int | None
    swap_total: int | None = None
    swap_free: int | None = None


@dataclass(frozen=True, slots=True)
class Paging:
    """Pages moved since boot: swapped in and out, faults, major faults. None where not counted."""

    swapped_in: int | None = None
    swapped_out: int | None = None
    faults: int | None = None
    major_faults: int | None = None


@dataclass(frozen=True, slots=True)
class Disk:
    """
    One whole disk (no partitions): bytes and busy milliseconds since boot. Impossible numbers are None.

    :ivar stacked: whether its data pass through other disks that are counted too (RAID, device mapper, the
        paths of a multipath disk). Sums over all disks leave such a disk out.
    """

    name: str
    read_bytes: int | None
    written_bytes: int | None
    busy_ms: int | None = None
    stacked: bool = False


@dataclass(frozen=True, slots=True)
class Interface:
    """One network interface: bytes, packets and errors since it came up. Impossible numbers are None."""

    name: str
    received_bytes: int | None
    received_packets: int | None
    received_errors: int | None
    sent_bytes: int | None
    sent_packets: int | None
    sent_errors: int | None


@dataclass(frozen=True, slots=True)
class Pressure:
    """
    Percentage of the last ten seconds in which some tasks (``full``: all tasks) waited.

    None where the kernel has no pressure stall information or does not count it.
    """

    cpu_some: float | None = None
    io_some: float | None = None
    io_full: float | None = None
    memory_some: float | None = None
    memory_full: float | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """
    The values of one node at one moment, by parts. A part that this source or kernel lacks is None.

    :ivar taken_at: when the newest part was read, in seconds since the epoch.
    :ivar read_at: when each part was read, in seconds of a monotonic clock: for ages, not for time
        stamps. A part that failed keeps its last good value and time.
    """

    taken_at: float
    load: Load | None = None
    cpu: Cpu | None = None
    memory: Memory | None = None
    paging: Paging | None = None
    disks: tuple[Disk, ...] | None = None
    network: tuple[Interface, ...] | None = None
    pressure: Pressure | None = None
    read_at: tuple[tuple[Part, float], ...] = field(default=())

    def age_of(self, part: Part, now: float) -> float | None:
        """Seconds from the read of ``part`` to ``now`` on the same clock; None when it was never read."""
        return next((now - at for name, at in self.read_at if name is part), None)
