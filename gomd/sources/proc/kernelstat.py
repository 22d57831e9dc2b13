"""/proc/stat: processor times since boot, runnable tasks, the moment of boot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from gomd.sources.files import ProcRoot
from libgomd.errors import SourceUnavailable

#: Columns of a `cpu` line: user nice system idle iowait irq softirq steal; guest time is inside user.
_IDLE: Final = 3
_IOWAIT: Final = 4
_STEAL: Final = 7
_COLUMNS: Final = 8


@dataclass(frozen=True, slots=True)
class KernelStat:
    """
    What /proc/stat said.

    :ivar cpus: processors that are online.
    :ivar ticks: clock ticks since boot of all processors together, by column; 2.4 has four of them.
    :ivar runnable: tasks that run or could run, the reader among them; None before 2.5.
    :ivar boot_time: seconds since the epoch; None where it is not said.
    :ivar swapped: pages swapped in and out; None since 2.5, which has /proc/vmstat for it.
    :ivar disk_io: the 2.4 list of disk counters, unparsed.
    """

    cpus: int
    ticks: tuple[int, ...]
    runnable: int | None = None
    boot_time: int | None = None
    swapped: tuple[int, int] | None = None
    disk_io: str = ""

    @property
    def total(self) -> int:
        """Ticks of all kinds."""
        return sum(self.ticks)

    @property
    def stolen(self) -> int:
        """Ticks in which a hypervisor ran something else; 0 on kernels that cannot know."""
        return self.ticks[_STEAL] if len(self.ticks) > _STEAL else 0

    @property
    def waited(self) -> int | None:
        """Idle ticks in which something waited for storage; None before 2.5."""
        return self.ticks[_IOWAIT] if len(self.ticks) > _IOWAIT else None

    @property
    def idle(self) -> int:
        """Ticks in which nothing ran, waiting for storage included."""
        return self.ticks[_IDLE] + (self.waited or 0)


def read_kernel_stat(root: ProcRoot) -> KernelStat:
    """Read /proc/stat. Blocks. :raises SourceUnavailable: it is missing or half-written."""
    return parse_kernel_stat(root.sample_text("stat"))


def read_boot_time(root: ProcRoot) -> int:
    """
    Return when the node was started, in seconds since the epoch. Blocks.

    It is the present time less the time since then, so it moves when the wall clock is set.

    :raises SourceUnavailable: /proc/stat does not say it.
    """
    _, found, rest = root.sample_text("stat").partition("\nbtime ")
    number = rest.partition("\n")[0].strip()
    if not found or not (number.isascii() and number.isdigit()):
        raise SourceUnavailable("/proc/stat does not say when the node was started (btime)")
    return int(number)


def parse_kernel_stat(text: str) -> KernelStat:
    """
    Return what ``text``, a whole /proc/stat, says.

    :raises SourceUnavailable: it is not such a file, or cut short.
    """
    cpus = 0
    ticks: tuple[int, ...] = ()
    found: dict[str, int] = {}
    swapped: tuple[int, int] | None = None
    disk_io = ""
    try:
        for line in text.splitlines():
            name, _, rest = line.partition(" ")
            if name == "cpu":
                ticks = tuple(map(int, rest.split()[:_COLUMNS]))
            elif name.startswith("cpu"):
                cpus += 1
            elif name in ("procs_running", "btime"):
                found[name] = int(rest)
            elif name == "swap":
                swapped_in, swapped_out = rest.split()
                swapped = (int(swapped_in), int(swapped_out))
            elif name == "disk_io:":
                disk_io = rest
    except ValueError as error:
        raise SourceUnavailable(f"/proc/stat has a line that is not understood: {error}") from error
    if len(ticks) <= _IDLE:
        raise SourceUnavailable("/proc/stat has no whole line of processor times")
    # A 2.2 kernel for one processor has no `cpu0` line.
    return KernelStat(max(cpus, 1), ticks, found.get("procs_running"), found.get("btime"), swapped, disk_io)
