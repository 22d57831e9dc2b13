"""
The values that describe a cluster: nodes, processes, samples, events. All are frozen, with fixed units.

Sizes are bytes, moments are seconds since the epoch, durations are seconds. None means "not known
here" (an old kernel, or a value that this caller may not see); it never means zero. ``JSON`` on a class lists
the names of its values in JSON, in the order of the text columns.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Final

from libgomd.wire.job_name import JobName

#: The first uid of a person. Lower uids belong to root and to the users of the system itself.
FIRST_USER: Final = 1000
#: The value that openMosix gives for everything it is asked about a node that is down: -ENETUNREACH.
DOWN_VALUE: Final = -101
#: The speed of a "standard" machine (the yardstick) unless the node says otherwise.
STANDARD_SPEED: Final = 15000
#: The highest speed accepted for a processor: a thousand times that of any existing one.
MAX_SPEED: Final = 100_000_000
#: The highest node id. Node ids are 1..65535; 0 means "here, at home" in `where` and is never a node.
MAX_NODE_ID: Final = 65535


class Role(enum.IntEnum):
    """What a caller may do. Each role includes the rights of the lower ones."""

    NONE = 0
    READ = 1
    USER = 2
    ADMIN = 3

    @property
    def word(self) -> str:
        """The name of the role in the configuration, the tokens file and replies, e.g. ``admin``."""
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
    One machine of the cluster, with the values that were last known.

    :ivar id: 1..65535, unique in the cluster.
    :ivar address: the IPv4 address at which its peers reach it.
    :ivar load: smoothed load; 100 = one always-runnable process on a standard one-CPU node.
    :ivar speed: CPU speed of one processor; a standard machine has 15000.
    :ivar cpus: number of processors that are online.
    :ivar util: usable share of its processors: 100 for each one that is fully usable.
    :ivar mem: bytes of memory that a new process could get; ``rmem``: free bytes; ``tmem``: all bytes.
    :ivar age: seconds between the measurement of these values and the creation of this object.

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
        """Whether the node was up at the last news about it."""
        return int(self.status) & _UP != 0  # integers: operators of IntFlag are ten times slower


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
        Together with home and pid it identifies the process for ever.
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

    @property
    def identity(self) -> str:
        """``HOME-PID-STARTED``: a name that survives moves and is never reused, even if the pid is."""
        return f"{self.home}-{self.pid}-{self.started}"


class EventKind(str, enum.Enum):
    """The kinds of events in a cluster."""

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
    :ivar node: id of the node that it happened to; ``name``: the name of that node.
    :ivar reason: a sentence for a person.
    :ivar by: id of the node that reported it.
    :ivar uid: the user whose process it is about; None for no process. It never leaves the daemon.
    """

    JSON: ClassVar[tuple[str, ...]] = ("time", "kind", "node", "name", "reason", "by")

    time: float
    kind: EventKind
    node: int
    name: str
    reason: str
    by: int
    uid: int | None = None


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


@dataclass(frozen=True, slots=True)
class Caller:
    """
    Who sends a request, and what they may do.

    :ivar uid: their user id on this node; None when they have none here (a token, an unknown peer).
    :ivar user: their name; empty for an anonymous caller.
    :ivar via: how they connected, for the log and `whoami`: ``unix``, ``tcp 10.0.0.1:40312``, ``node 3``.
    """

    JSON: ClassVar[tuple[str, ...]] = ("role", "user", "uid", "via")

    role: Role
    user: str
    uid: int | None
    via: str

    def owns(self, uid: int) -> bool:
        """Whether this caller may inspect processes of ``uid`` and act on them."""
        return self.role >= Role.ADMIN or (self.role >= Role.USER and self.uid == uid)


def is_system_user(uid: int | None) -> bool:
    """Whether ``uid`` is root or another user of the system itself, not a person: it is below 1000."""
    return uid is not None and uid < FIRST_USER


@dataclass(frozen=True, slots=True)
class Counter:
    """One line of `stats`: the name of the counter, its value, and its meaning in a few words."""

    JSON: ClassVar[tuple[str, ...]] = ("name", "value", "meaning")

    name: str
    value: int | float | str
    meaning: str


@dataclass(frozen=True, slots=True)
class Output:
    """
    A line that a command of `[commands]` printed, or its exit status.

    :ivar line: a line of its output, without the line end; None in the last value.
    :ivar exit: its exit status, in the last value only: 128 + the number of the signal if one ended it.
        None in all other values.
    """

    JSON: ClassVar[tuple[str, ...]] = ("line", "exit")

    line: str | None = None
    exit: int | None = None


@dataclass(frozen=True, slots=True)
class NodeRange:
    """
    Nodes with consecutive ids and addresses: a line of openMosix's map.

    :ivar first: the lowest id; its node has ``address``. :ivar count: number of nodes.
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
    What `help` says about one verb.

    :ivar usage: its syntax, such as ``where PID [NODE]``. :ivar role: the lowest role that may use it.
    :ivar fields: the JSON names in its rows; empty for a verb that answers with one line.
    """

    JSON: ClassVar[tuple[str, ...]] = ("verb", "usage", "role", "summary", "fields")

    verb: str
    usage: str
    role: str
    summary: str
    fields: tuple[str, ...] = ()


class JobState(str, enum.Enum):
    """The stages in the life of a job."""

    STARTING = "starting"
    RUNNING = "running"
    DONE = "done"
    LOST = "lost"

    @property
    def over(self) -> bool:
        """Whether no process of the job runs any more."""
        return self in (JobState.DONE, JobState.LOST)


@dataclass(frozen=True, slots=True)
class Job:
    """
    A command that gomd runs for a caller.

    :ivar job: its number at its home. :ivar home: id of the node where it was requested.
    :ivar node: id of the node that it runs on, or ran on last.
    :ivar pid: its process id at home; None before it runs. A job that was started on another node
        has no process at home: its number there is higher than any that a kernel assigns.
    :ivar pid_there: its process id on the node that it runs on.
    :ivar exit: its exit status, 128 + the number of the signal if one ended it; None while it runs. 143 when
        it is lost.
    :ivar reason: a sentence about how it ended; mostly empty.
    :ivar nmigs: how many times it has moved. :ivar lock: whether balancing must not move it.
    :ivar cantmove: why it cannot be moved; empty when it can.
    :ivar detached: whether no caller waits for it; its output is kept at home.
    :ivar former: the process ids that it had at home before it left and came back, oldest first.
    :ivar memory_max: bytes of memory that it may use; None for no limit.
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
