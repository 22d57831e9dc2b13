"""
What there is in a cluster: nodes, processes, samples, events. Frozen values that know their units.

Sizes are bytes, moments are seconds since the epoch, durations are seconds. None means "not known
here" (an old kernel, a value this caller may not see), never zero. ``JSON`` on a class lists the
names under which its values travel as JSON, in the order of the text columns.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Final

from libgomd.wire.job_name import JobName

#: The first uid of a person; below it are root and the users of the system itself.
FIRST_USER: Final = 1000
#: What openMosix reads for every value of a node that is down: -ENETUNREACH.
DOWN_VALUE: Final = -101
#: The speed of a "standard" machine (the yardstick) unless the node says otherwise.
STANDARD_SPEED: Final = 15000
#: The highest speed that a processor can have: a thousand times what any has.
MAX_SPEED: Final = 100_000_000
#: Node ids are 1..65535; 0 is "here, at home" in `where`, never a node.
MAX_NODE_ID: Final = 65535


class Role(enum.IntEnum):
    """What a caller may do; each role may do what the smaller ones may."""

    NONE = 0
    READ = 1
    USER = 2
    ADMIN = 3

    @property
    def word(self) -> str:
        """The name in configuration, tokens file and replies, e.g. ``admin``."""
        return self.name.lower()


class Status(enum.IntFlag):
    """The status bits of a node, with openMosix's numbers."""

    CONFIGURED = 1
    UP = 2
    STAY = 4
    LSTAY = 8
    BLOCK = 16
    QUIET = 32
    NOMFS = 64

    def words(self) -> str:
        """
        Return the bits as openMosix's tools name them, e.g. ``up,stay``.

        A node that is configured but not up is ``down``; one that is not even configured is
        ``unconfigured``.
        """
        if not self & Status.UP:
            return "down" if self & Status.CONFIGURED else "unconfigured"
        return ",".join(flag.name.lower() for flag in _WORD_ORDER if self & flag and flag.name)


_UP = int(Status.UP)
_WORD_ORDER = (Status.UP, Status.STAY, Status.LSTAY, Status.BLOCK, Status.QUIET, Status.NOMFS)


@dataclass(frozen=True, slots=True)
class Node:
    """
    One machine of the cluster as it was last known.

    :ivar id: 1..65535, unique in the cluster.
    :ivar address: IPv4 address its peers reach it at.
    :ivar load: 100 = one always-runnable process on a standard 1-CPU node, smoothed.
    :ivar speed: CPU speed of one processor, where a standard machine has 15000.
    :ivar cpus: processors that are online.
    :ivar util: usable share of its processors, 100 for each one that is fully usable.
    :ivar mem: bytes a new process could get; ``rmem`` free bytes, ``tmem`` all bytes.
    :ivar age: seconds since these values were measured, when the value was made.

    A value that is not known is None; the values of a node that is down are all None.
    """

    JSON: ClassVar[tuple[str, ...]] = (
        "id", "name", "address", "status", "up", "load", "speed", "cpus", "util",
        "mem", "rmem", "tmem", "age",
    )  # fmt: skip

    id: int
    name: str
    address: str
    status: Status
    load: int | None = None
    speed: int | None = None
    cpus: int | None = None
    util: int | None = None
    mem: int | None = None
    rmem: int | None = None
    tmem: int | None = None
    age: float | None = None

    @property
    def up(self) -> bool:
        """Whether the node was up when last heard of."""
        return int(self.status) & _UP != 0  # plain numbers: an operator of a flag takes ten times as long


@dataclass(frozen=True, slots=True)
class Process:
    """
    One process of the cluster.

    :ivar node: id of the node it runs on now; ``home`` is where it was started.
    :ivar pid: its process id at home.
    :ivar uid: effective user id; ``user`` its name at home, or the number as text.
    :ivar state: the kernel's letter: R S D T t Z X I ...
    :ivar cpu_percent: share of one processor since the last scan; None at the first sight of it.
    :ivar cpu_seconds: user and system time it has used.
    :ivar rss: bytes in memory; ``vsize`` bytes of address space.
    :ivar start_time: when it started, None when that is not known; ``started`` the same in clock ticks after
        its home's boot, exact, which together with home and pid names it for ever; 0 when it is not known.
    :ivar where: openMosix's number: 0 at home, else the id of the node it runs on.
    :ivar nmigs: how many times it has moved.
    :ivar lock: it may not be moved by balancing.
    :ivar cantmove: why it cannot be moved at all, empty when it can.
    :ivar command: command line; the bare name in brackets when it has none.
    :ivar read_rate: bytes a second it has read from storage lately; ``write_rate`` written to it.
        None for other people's processes, as in /proc.
    :ivar stuck: the kernel does not answer what it is asked about it, as its exec waits for a dead file
        system: shown is what is known, its state and memory fresh, the rest as it was.
    :ivar age: seconds since this was read, None when it is fresh: at most a second old.

    A number of the kernel's that cannot be (below 0, above its range) is None too.
    """

    JSON: ClassVar[tuple[str, ...]] = (
        "node", "home", "pid", "ppid", "uid", "user", "state", "nice", "threads", "cpu_percent",
        "cpu_seconds", "rss", "vsize", "start_time", "where", "nmigs", "lock", "cantmove", "command",
        "read_rate", "write_rate", "started", "identity", "stuck", "age",
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

    @property
    def identity(self) -> str:
        """``HOME-PID-STARTED``: the name of this process that no move and no reuse of its pid changes."""
        return f"{self.home}-{self.pid}-{self.started}"


class EventKind(str, enum.Enum):
    """What can happen in a cluster."""

    JOIN = "join"
    LEAVE = "leave"
    DOWN = "down"
    UP = "up"
    SUSPECT = "suspect"
    MIGRATED = "migrated"
    STARTED = "started"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Event:
    """
    Something that happened to a node or a process.

    :ivar time: when this daemon learnt of it.
    :ivar node: id of the node it happened to; ``name`` its name.
    :ivar reason: a sentence for a person.
    :ivar by: id of the node that says so.
    """

    JSON: ClassVar[tuple[str, ...]] = ("time", "kind", "node", "name", "reason", "by")

    time: float
    kind: EventKind
    node: int
    name: str
    reason: str
    by: int


class Part(enum.Enum):
    """The parts of a node's sample. Each is read on its own: one that fails leaves the others whole."""

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
    How busy the node is; a number of the kernel's that cannot be is None.

    :ivar load: as `Node.load`, smoothed; ``runnable`` tasks at this moment, the reader not counted.
    :ivar averages: the kernel's load averages over 1, 5 and 15 minutes, in tasks.
    """

    load: int | None
    runnable: int | None
    averages: tuple[float, float, float] | None = None


@dataclass(frozen=True, slots=True)
class Cpu:
    """
    The processors.

    :ivar cpus: how many are online. :ivar speed: of one, a standard machine has 15000.
    :ivar util: 100 for each fully usable processor, less what a hypervisor stole since the last read.
    :ivar busy_percent: share of all processors in use since the last read; None at the first.
    :ivar iowait_percent: share of the time that waited for storage; None at the first.
    """

    cpus: int | None
    speed: int | None
    util: int | None
    busy_percent: float | None = None
    iowait_percent: float | None = None


@dataclass(frozen=True, slots=True)
class Memory:
    """
    Memory, in bytes; a size that cannot be, as more free than there is, is None.

    :ivar mem: what a new process could get. :ivar rmem: free. :ivar tmem: all.
    :ivar swap_total: None where the kernel does not say; ``swap_free`` likewise.
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
    One whole disk (no partitions): bytes since boot and milliseconds it was busy; None for what cannot be.

    :ivar stacked: its data pass through other disks that are counted too (RAID, device mapper, the paths
        of a multipath disk), so sums over all disks leave it out.
    """

    name: str
    read_bytes: int | None
    written_bytes: int | None
    busy_ms: int | None = None
    stacked: bool = False


@dataclass(frozen=True, slots=True)
class Interface:
    """One network interface: bytes, packets and errors since it came up; None for what cannot be."""

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
    Percent of the last ten seconds in which some (or all: ``full``) tasks waited.

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
    What one node's /proc said, part by part; a part that this source or kernel has not is None.

    :ivar taken_at: when the newest part was read, in seconds since the epoch.
    :ivar read_at: when each part was read, in seconds of a clock that is never set: for ages, not for
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
        """Seconds since ``part`` was read, at ``now`` of the same clock; None when it never was."""
        return next((now - at for name, at in self.read_at if name is part), None)


@dataclass(frozen=True, slots=True)
class ProcessTable:
    """
    Every process of one node at one moment.

    :ivar taken_at: when the scan began, in seconds since the epoch.
    :ivar processes: in the order of their pids.
    :ivar read_at: when the scan began, in seconds of a clock that is never set: for ages, not for stamps.
    """

    taken_at: float
    processes: tuple[Process, ...]
    read_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Caller:
    """
    Who asks, and what he may do.

    :ivar uid: his user id on this node; None when he has none here (a token, an unknown peer).
    :ivar user: his name, empty for an anonymous caller.
    :ivar via: how he came in, for the log and `whoami`: ``unix``, ``tcp 10.0.0.1:40312``, ``node 3``.
    """

    JSON: ClassVar[tuple[str, ...]] = ("role", "user", "uid", "via")

    role: Role
    user: str
    uid: int | None
    via: str

    def owns(self, uid: int) -> bool:
        """Whether a process of ``uid`` is this caller's own to look into and to act on."""
        return self.role >= Role.ADMIN or (self.role >= Role.USER and self.uid == uid)


def is_system_user(uid: int | None) -> bool:
    """Whether ``uid`` is root's or that of another user of the system itself, not of a person: below 1000."""
    return uid is not None and uid < FIRST_USER


@dataclass(frozen=True, slots=True)
class Counter:
    """One line of `stats`: what is counted, how many, and in a few words what it means."""

    JSON: ClassVar[tuple[str, ...]] = ("name", "value", "meaning")

    name: str
    value: int | float | str
    meaning: str


@dataclass(frozen=True, slots=True)
class Output:
    """
    What a command of `[commands]` printed, or how it ended.

    :ivar line: a line of its output, without its end; None in the last value.
    :ivar exit: None but in the last value: its exit status, 128 + the signal's number if one ended it.
    """

    JSON: ClassVar[tuple[str, ...]] = ("line", "exit")

    line: str | None = None
    exit: int | None = None


@dataclass(frozen=True, slots=True)
class NodeRange:
    """
    Nodes whose ids and addresses follow on each other, a line of openMosix's map.

    :ivar first: the lowest id, which has ``address``. :ivar count: how many there are.
    """

    JSON: ClassVar[tuple[str, ...]] = ("first", "address", "count")

    first: int
    address: str
    count: int


@dataclass(frozen=True, slots=True)
class Name:
    """One name in a directory of the tree."""

    JSON: ClassVar[tuple[str, ...]] = ("name",)

    name: str


@dataclass(frozen=True, slots=True)
class VerbHelp:
    """
    What `help` says of one verb.

    :ivar usage: how it is said, ``where PID [NODE]``. :ivar role: the smallest role that may.
    :ivar fields: the JSON names of its rows; empty for a verb that answers one line.
    """

    JSON: ClassVar[tuple[str, ...]] = ("verb", "usage", "role", "summary", "fields")

    verb: str
    usage: str
    role: str
    summary: str
    fields: tuple[str, ...] = ()


class JobState(str, enum.Enum):
    """Where a job is in its life."""

    STARTING = "starting"
    RUNNING = "running"
    DONE = "done"
    LOST = "lost"

    @property
    def over(self) -> bool:
        """Whether nothing of it runs any more."""
        return self in (JobState.DONE, JobState.LOST)


@dataclass(frozen=True, slots=True)
class Job:
    """
    A command that gomd runs for somebody.

    :ivar job: its number, at its home. :ivar home: id of the node it was asked for at.
    :ivar node: id of the node it runs on, or ran on last.
    :ivar pid: the process id it has at home; None before it runs. A job that was started on another node
        has no process at home: its number there is above all that a kernel gives.
    :ivar pid_there: the process id it has on the node it runs on.
    :ivar exit: its exit status, 128 + the signal's number if one ended it; None while it runs. 143 when it
        is lost.
    :ivar reason: a sentence on how it ended, mostly empty.
    :ivar nmigs: how often it has moved. :ivar lock: balancing leaves it where it is.
    :ivar cantmove: why it cannot be moved, empty when it can.
    :ivar detached: nobody waits for it, its output is kept at home.
    :ivar former: process ids it had at home before it went away and came back, oldest first.
    :ivar memory_max: bytes of memory it may have, None for no limit.
    """

    JSON: ClassVar[tuple[str, ...]] = (
        "job", "home", "node", "pid", "user", "state", "exit", "command",
        "uid", "started", "ended", "reason", "nmigs", "lock", "detached", "pid_there", "cantmove", "former",
        "memory_max",
    )  # fmt: skip

    job: int
    home: int
    node: int
    pid: int | None
    user: str
    state: JobState
    exit: int | None
    command: str
    uid: int
    started: float
    ended: float | None = None
    reason: str = ""
    nmigs: int = 0
    lock: bool = False
    detached: bool = False
    pid_there: int | None = None
    cantmove: str = ""
    former: Sequence[int] = ()
    memory_max: int | None = None

    @property
    def name(self) -> str:
        """``HOME-JOB``, its name in the whole cluster."""
        return str(JobName(self.home, self.job))
