"""A process, as `ps` shows it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class Process:
    """
    One process of the cluster.

    :ivar node: id of the node it runs on now; ``home``: id of the node where it was started.
    :ivar pid: its process id at home.
    :ivar uid: effective user id; ``user``: that user's name at home, or the number as text.
    :ivar state: the kernel's letter: R S D T t Z X I ...
    :ivar cpu_percent: share of one processor since the last scan; None in the first scan that finds it.
    :ivar cpu_seconds: user and system time that it has used.
    :ivar rss: bytes in memory; ``vsize``: bytes of address space.
    :ivar start_time: when it started; None when that is not known.
    :ivar started: the same moment, exact, in clock ticks after its home's boot; 0 when it is not known.
    :ivar where: openMosix's number: 0 at home, otherwise the id of the node that it runs on.
    :ivar nmigs: how many times it has moved.
    :ivar lock: whether balancing must not move it.
    :ivar cantmove: why it cannot be moved at all; empty when it can.
    :ivar command: command line; the bare name in brackets when it has none.
    :ivar read_rate: bytes a second that it has lately read from storage; ``write_rate``: written to storage.
        None for other people's processes, as in /proc.
    :ivar stuck: whether its files in /proc do not answer, for example because its exec waits for a dead file
        system. Its state and memory are then fresh, and the other values are the last known ones.
    :ivar age: seconds since this was read; None when it is fresh, which is at most a second old.
    :ivar name: the name that the kernel knows it by, at most 15 bytes; empty when the source has none.
    :ivar identity: ``HOME-PID-STARTED``: a name that survives moves and is never reused, even if the pid is.
        Home, pid and ``started`` make it, unless the process had another pid at home before it moved.

    A number from the kernel that is impossible (below 0, or above its range) is None too.
    """

    JSON: ClassVar[tuple[str, ...]] = (
        "node", "home", "pid", "ppid", "uid", "user", "state", "nice", "threads", "cpu_percent",
        "cpu_seconds", "rss", "vsize", "start_time", "where", "nmigs", "lock", "cantmove", "command",
        "read_rate", "write_rate", "started", "identity", "stuck", "age",
        "name",
    )  # fmt: skip

    node: int
    home: int
    pid: int
    ppid: int
    uid: int
    user: str
    state: str
    nice: int | None
    threads: int | None
    cpu_percent: float | None
    cpu_seconds: float | None
    rss: int | None
    vsize: int | None
    start_time: float | None
    where: int
    nmigs: int
    lock: bool
    cantmove: str
    command: str
    started: int
    read_rate: float | None = None
    write_rate: float | None = None
    stuck: bool = False
    age: float | None = None
    name: str = ""
    identity: str = ""

    def __post_init__(self) -> None:
        if not self.identity:
            object.__setattr__(self, "identity", f"{self.home}-{self.pid}-{self.started}")


@dataclass(frozen=True, slots=True)
class Holdings:
    """
    What a process holds beside memory: read for those processes alone that somebody asks about.

    :ivar swap: bytes in swap space. :ivar descriptors: open file descriptors; None for other people's
        processes, as in /proc.
    :ivar cgroup: the path of its control group. :ivar container: ``RUNTIME:ID`` of its container, such as
        ``docker:0123456789ab``; None when it is in none.
    :ivar gpu_memory: bytes of memory of GPUs. All are None when they are not known.
    """

    JSON: ClassVar[tuple[str, ...]] = ("swap", "descriptors", "cgroup", "container", "gpu_memory")

    swap: int | None = None
    descriptors: int | None = None
    cgroup: str | None = None
    container: str | None = None
    gpu_memory: int | None = None


@dataclass(frozen=True, slots=True)
class ProcessTable:
    """
    Every process of one node at one moment.

    :ivar taken_at: when the scan began, in seconds since the epoch.
    :ivar processes: in the order of their pids.
    :ivar read_at: when the scan began, in seconds of a monotonic clock: for ages, not for time stamps.
    """

    taken_at: float
    processes: tuple[Process, ...]
    read_at: float = 0.0
