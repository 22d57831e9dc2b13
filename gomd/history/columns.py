r"""
The format of the flat sample log: makes lines of text that awk can split. No I/O.

The first column is the kind of a line: ``S`` for a sample, ``P`` for a process, ``C`` for a checkpoint. The
header lines ``#S``, ``#P`` and ``#C`` name the columns of each kind. An unknown value is ``-``. Spaces in a
name are written as ``\x20``, so only the last column, a command or the name of a checkpoint, may contain
spaces. The disk columns are sums over all physical disks, the network columns over all interfaces but
``lo``.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from typing import Any, Final

from libgomd.model import (
    Cpu,
    Disk,
    Interface,
    Load,
    Memory,
    Node,
    Paging,
    Pressure,
    Process,
    ProcessTable,
    Sample,
)
from libgomd.wire.text import printable

#: Number of processes in one snapshot: those that use most processor time.
TOP_PROCESSES: Final = 10

_NODE = ("name", "status", "load", "speed", "cpus", "util", "mem", "rmem", "tmem")
_DISK = ("read_bytes", "written_bytes", "busy_ms")
_NETWORK = (
    "received_bytes", "received_packets", "received_errors", "sent_bytes", "sent_packets", "sent_errors",
)  # fmt: skip
_PAGING = ("swapped_in", "swapped_out", "faults", "major_faults")
_PRESSURE = ("cpu_some", "io_some", "io_full", "memory_some", "memory_full")
_PROCESS = (
    "pid", "home", "ppid", "uid", "user", "state", "nice", "threads", "cpu_percent", "cpu_seconds", "rss",
    "vsize", "start_time", "where", "nmigs", "lock", "read_rate", "write_rate",
)  # fmt: skip

SAMPLE_COLUMNS: Final = (
    "time", "node", *_NODE, "age", "runnable", "load1", "load5", "load15", "busy_percent", "iowait_percent",
    "swap_total", "swap_free", *_PAGING, *(f"disk_{name}" for name in _DISK),
    *(f"net_{name}" for name in _NETWORK), *_PRESSURE,
)  # fmt: skip
PROCESS_COLUMNS: Final = ("time", "node", "name", *_PROCESS, "command")
CHECKPOINT_COLUMNS: Final = ("time", "checkpoint")

HEADER: Final = "".join(
    f"#{kind} {' '.join(columns)}\n"
    for kind, columns in (("S", SAMPLE_COLUMNS), ("P", PROCESS_COLUMNS), ("C", CHECKPOINT_COLUMNS))
)


def sample_line(node: Node, sample: Sample) -> str:
    """Return the line of one sample of one node."""
    moments = [at for _, at in sample.read_at]
    load = sample.load or Load(load=0, runnable=0)
    cpu = sample.cpu or Cpu(cpus=0, speed=0, util=0)
    memory = sample.memory or Memory(mem=0, rmem=0, tmem=0)
    disks = [each for each in sample.disks or () if not each.stacked]
    network = None if sample.network is None else [each for each in sample.network if each.name != "lo"]
    values = [
        *(getattr(node, name) for name in _NODE),
        max(moments) - min(moments) if moments else None,
        load.runnable if sample.load else None,
        *(load.averages or (None, None, None)),
        cpu.busy_percent,
        cpu.iowait_percent,
        memory.swap_total,
        memory.swap_free,
        *(getattr(sample.paging or Paging(), name) for name in _PAGING),
        *(_sum(disks, name) for name in _DISK),
        *(_sum(network, name) for name in _NETWORK),
        *(getattr(sample.pressure or Pressure(), name) for name in _PRESSURE),
    ]
    return f"S {sample.taken_at:.3f} {node.id} {' '.join(map(_word, values))}\n"


def process_lines(node: Node, table: ProcessTable) -> str:
    """Return the lines of a snapshot, all with the same time: the `TOP_PROCESSES` busiest, busiest first."""
    start = f"P {table.taken_at:.3f} {node.id} {_word(node.name)}"
    return "".join(
        f"{start} {' '.join(_word(getattr(process, name)) for name in _PROCESS)} {_rest(process.command)}\n"
        for process in heapq.nsmallest(TOP_PROCESSES, table.processes, key=_busiest)
    )


def checkpoint_line(name: str, now: float) -> str:
    """Return the line of a checkpoint."""
    return f"C {now:.3f} {_rest(name)}\n"


def _busiest(process: Process) -> tuple[float, float, int]:
    return -(process.cpu_percent or 0.0), -(process.cpu_seconds or 0.0), process.pid


def _sum(parts: Iterable[Disk | Interface] | None, name: str) -> int | None:
    """Return the sum of one value over all disks or interfaces; None if none of them has it."""
    known = [value for part in parts or () if (value := getattr(part, name)) is not None]
    return sum(known) if known else None


def _word(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.2f}"
    if isinstance(value, int):
        return str(int(value))
    return printable(value).replace(" ", "\\x20").replace("\t", "\\x09") or "-"


def _rest(text: str) -> str:
    return printable(text).replace("\t", "\\x09").strip() or "-"
