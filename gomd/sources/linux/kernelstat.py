"""Reads /proc/stat: processor times since boot, runnable tasks and the boot time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

from gomd.sources.files import ProcRoot
from gomd.sources.linux.numbers import MAX_CPUS, MAX_TASKS, MAX_TIME, decimal, step, whole
from libgomd.errors import SourceUnavailable
from libgomd.wallclock import Wall, wall_clock

#: Columns of a `cpu` line: user nice system idle iowait irq softirq steal; guest time is inside user.
_IDLE: Final = 3
_IOWAIT: Final = 4
_STEAL: Final = 7
_COLUMNS: Final = 8
_RANGES: Final = {"procs_running": (0, MAX_TASKS), "btime": (1, MAX_TIME)}


@dataclass(frozen=True, slots=True)
class KernelStat:
    """
    The values of /proc/stat. An impossible number is None.

    :ivar cpus: processors that are online.
    :ivar ticks: clock ticks since boot of all processors together, by column; 2.4 has four of them.
    :ivar runnable: tasks that run or could run, the reader among them; None before 2.5.
    :ivar boot_time: seconds since the epoch; None if /proc/stat does not have it.
    :ivar swapped: pages swapped in and out; None since 2.5, which has /proc/vmstat for it.
    :ivar disk_io: the 2.4 list of disk counters, unparsed.
    """

    cpus: int
    ticks: tuple[int | None, ...]
    runnable: int | None = None
    boot_time: int | None = None
    swapped: tuple[int | None, int | None] | None = None
    disk_io: str = ""

    @property
    def total(self) -> int:
        """Ticks of all kinds."""
        return sum(ticks or 0 for ticks in self.ticks)

    @property
    def stolen(self) -> int:
        """Ticks in which a hypervisor ran something else; 0 on kernels that cannot know."""
        return (self.ticks[_STEAL] or 0) if len(self.ticks) > _STEAL else 0

    @property
    def waited(self) -> int | None:
        """Idle ticks in which something waited for storage; None before 2.5."""
        return self.ticks[_IOWAIT] if len(self.ticks) > _IOWAIT else None

    @property
    def idle(self) -> int:
        """Ticks in which nothing ran, waiting for storage included."""
        return (self.ticks[_IDLE] or 0) + (self.waited or 0)

    def since(self, old: KernelStat) -> KernelStat:
        """
        Return the ticks since ``old``. A column that decreased or is unknown counts as 0.

        iowait and idle can decrease by a few ticks on kernels without a regular tick (proc(5)); steal can
        decrease after a virtual machine has moved.
        """
        return KernelStat(self.cpus, tuple(map(step, self.ticks, old.ticks)))


def read_kernel_stat(root: ProcRoot) -> KernelStat:
    """Read /proc/stat. Blocks. :raises SourceUnavailable: it is missing or half-written."""
    return parse_kernel_stat(root.sample_text("stat"))


class Boot(NamedTuple):
    """
    The present boot of a node.

    :ivar time: when it was started, in seconds since the epoch.
    :ivar forks: processes and threads that were started since then; None if /proc/stat does not say so.
    """

    time: int
    forks: int | None


def read_boot_time(root: ProcRoot, wall: Wall = wall_clock) -> int:
    """Return when the node was started, in seconds since the epoch. Blocks. Errors as in `read_boot`."""
    return read_boot(root, wall).time


def read_boot(root: ProcRoot, wall: Wall = wall_clock) -> Boot:
    """
    Return when the node was started, `btime` of /proc/stat, and the forks since then. Blocks.

    The kernel computes it as the present time minus the uptime, so it changes when the wall clock is set.
    If `btime` is missing or impossible, the result is the time of ``wall`` minus the seconds of /proc/uptime.

    :raises SourceUnavailable: neither file has it.
    """
    text = root.sample_text("stat")
    now, forks = wall(), _forks_in(text)
    try:
        for line in text.split("\n"):
            if line.startswith("btime ") and (boot_time := whole(line[6:].strip(), MAX_TIME, 1)):
                return Boot(boot_time, forks)
        uptime = decimal(root.sample_text("uptime").partition(" ")[0], now)
    except (ValueError, SourceUnavailable):
        uptime = None
    if uptime is None:
        raise SourceUnavailable("neither /proc/stat (btime) nor /proc/uptime says when the node was started")
    return Boot(round(now - uptime), forks)


def _forks_in(text: str) -> int | None:
    try:
        return whole(text.partition("\nprocesses ")[2].partition("\n")[0].strip())
    except ValueError:
        return None


def parse_kernel_stat(text: str) -> KernelStat:
    """
    Return the values in ``text``, a whole /proc/stat.

    :raises SourceUnavailable: ``text`` is not such a file or is cut short.
    """
    cpus = 0
    ticks: tuple[int | None, ...] = ()
    found: dict[str, int | None] = {}
    swapped: tuple[int | None, int | None] | None = None
    disk_io = ""
    try:
        for line in text.split("\n"):
            name, _, rest = line.partition(" ")
            if name == "cpu":
                ticks = tuple(map(whole, rest.split()[:_COLUMNS]))
            elif name.startswith("cpu"):
                cpus += name[3:].isdecimal()
            elif name in ("procs_running", "btime"):
                low, high = _RANGES[name]
                found[name] = whole(rest.strip(), high, low)
            elif name == "swap":
                swapped_in, swapped_out = rest.split()
                swapped = (whole(swapped_in), whole(swapped_out))
            elif name == "disk_io:":
                disk_io = rest
    except ValueError as error:
        raise SourceUnavailable(f"/proc/stat has a line that is not understood: {error}") from error
    if len(ticks) <= _IDLE:
        raise SourceUnavailable("/proc/stat has no whole line of processor times")
    # A 2.2 kernel for one processor has no `cpu0` line.
    cpus = min(max(cpus, 1), MAX_CPUS)
    return KernelStat(cpus, ticks, found.get("procs_running"), found.get("btime"), swapped, disk_io)
