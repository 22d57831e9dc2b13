"""The columns of processes in text, and processes of which only some fields are shown."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from typing import Any

from gomd.verbs.replies import TextColumn
from libgomd.model import Holdings, Process


def _size(count: int | None) -> str:
    """Return kilobytes, as ps(1) shows them."""
    return "-" if count is None else str(count // 1024)


def _time(process: Process) -> str:
    if process.cpu_seconds is None:
        return "-"
    whole = int(process.cpu_seconds)
    return f"{whole // 60}:{whole % 60:02d}" if whole < 86400 else str(timedelta(seconds=whole))


def _percent(process: Process) -> str:
    return "-" if process.cpu_percent is None else f"{process.cpu_percent:.1f}"


def _plain_cell(name: str, process: Process) -> str:
    value = getattr(process, name)
    return "-" if value is None or value == "" else str(int(value) if isinstance(value, bool) else value)


#: Fields whose text is aligned to the left.
_TEXT_FIELDS = ("identity", "name", "cgroup", "container")
PROCESS_COLUMNS = (
    TextColumn("NODE", 5, lambda process: str(process.node)),
    TextColumn("PID", 7, lambda process: str(process.pid)),
    TextColumn("PPID", 7, lambda process: str(process.ppid)),
    TextColumn("USER", 10, lambda process: process.user, left=True),
    TextColumn("STAT", 4, lambda process: f"{process.state}!" if process.stuck else process.state, left=True),
    TextColumn("NI", 3, lambda process: "-" if process.nice is None else str(process.nice)),
    TextColumn("THR", 4, lambda process: "-" if process.threads is None else str(process.threads)),
    TextColumn("%CPU", 5, _percent),
    TextColumn("TIME", 8, _time),
    TextColumn("RSS", 8, lambda process: _size(process.rss)),
    TextColumn("VSZ", 10, lambda process: _size(process.vsize)),
    TextColumn("NMIGS", 5, lambda process: str(process.nmigs)),
    TextColumn("LOCK", 4, lambda process: str(int(process.lock))),
    TextColumn("CANTMOVE", 10, lambda process: process.cantmove or "-", left=True),
    TextColumn("COMMAND", 1, lambda process: process.command, left=True),
)
#: The column of each field that `--fields` names, in text; the usual ones have their own heading.
FIELD_COLUMNS: dict[str, TextColumn] = {
    name: TextColumn(name.upper(), len(name), partial(_plain_cell, name), left=name in _TEXT_FIELDS)
    for name in (*Process.JSON, *Holdings.JSON)
} | dict(zip(
    ("node", "pid", "ppid", "user", "state", "nice", "threads", "cpu_percent", "cpu_seconds", "rss", "vsize",
     "nmigs", "lock", "cantmove", "command"),
    PROCESS_COLUMNS,
    strict=True,
))  # fmt: skip


class _Picked:
    """A process of which only some fields are shown."""

    __slots__ = ("JSON", "_process")

    def __init__(self, process: Process, fields: tuple[str, ...]) -> None:
        self._process = process
        self.JSON = fields

    def __getattr__(self, name: str) -> Any:
        return getattr(self._process, name)


class WithFields(Sequence[Any]):
    """Processes of which only some fields are shown."""

    def __init__(self, processes: Sequence[Process], fields: tuple[str, ...]) -> None:
        self._processes = processes
        self._fields = fields

    def __len__(self) -> int:
        return len(self._processes)

    def __getitem__(self, at: int | slice) -> Any:
        if isinstance(at, slice):
            return [_Picked(process, self._fields) for process in self._processes[at]]
        return _Picked(self._processes[at], self._fields)
