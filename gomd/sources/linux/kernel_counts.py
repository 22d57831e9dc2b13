"""Reads processor time by mode, context switches, forks and the boot time from /proc/stat."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Final

from gomd.sources.files import ProcRoot
from gomd.sources.linux.numbers import whole
from libgomd.errors import SourceUnavailable
from libgomd.model import Measure

#: The columns of a processor in /proc/stat; older kernels have fewer.
MODES: Final = (
    "user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal", "guest", "guest_nice"
)  # fmt: skip
#: Line of /proc/stat -> name, kind, meaning, and whether the history keeps it.
_LINES: Final = {
    "ctxt": ("context_switches", "counter", "context switches", True),
    "processes": ("forks", "counter", "processes and threads that were started", True),
    "procs_running": ("processes_running", "gauge", "tasks that run or could", False),
    "procs_blocked": ("processes_blocked", "gauge", "tasks that wait for storage", True),
    "btime": ("boot_time_seconds", "gauge", "when the kernel was started, since the epoch", False),
}


def read_kernel_counts(root: ProcRoot) -> Iterator[Measure]:
    """Read /proc/stat. Blocks. :raises SourceUnavailable: it is missing or not understood."""
    return parse_kernel_counts(root.sample_text("stat"), os.sysconf("SC_CLK_TCK"))


def parse_kernel_counts(text: str, ticks: int) -> Iterator[Measure]:
    """
    Yield what is in ``text``, a /proc/stat. An impossible number is left out.

    :param ticks: units of processor time in a second.
    :raises SourceUnavailable: a line is cut, or not numbers.
    """
    try:
        for line in text.split("\n"):
            name, _, rest = line.partition(" ")
            if name.startswith("cpu"):
                for mode, number in zip(MODES, rest.split(), strict=False):
                    spent = whole(number)
                    if spent is None:
                        continue
                    seconds = spent / ticks
                    if name == "cpu":
                        text = "time of all processors by mode"
                        yield Measure("cpus_seconds", seconds, {"mode": mode}, "counter", text, kept=True)
                    else:
                        text = "time of a processor by mode"
                        labels = {"cpu": name[3:], "mode": mode}
                        yield Measure("cpu_seconds", seconds, labels, "counter", text)
            elif name in _LINES:
                value = whole(rest.split()[0])
                if value is not None:
                    to, kind, meaning, kept = _LINES[name]
                    yield Measure(to, float(value), {}, kind, meaning, kept)
    except (ValueError, IndexError) as error:
        raise SourceUnavailable(f"/proc/stat is not understood: {error}") from error
