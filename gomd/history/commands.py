"""Removes command lines from what is stored: ``[history] commands = name`` or ``none``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from zope.interface import implementer

from gomd.interfaces import ISampleLog, RememberedTable
from libgomd.model import Counter, Event, EventKind, Job, Measure, Node, Process, ProcessTable, Sample

#: Events whose reason ends with the command of a job, behind a colon.
_WITH_COMMAND: Final = frozenset({EventKind.STARTED})


def without_command(process: Process, names: bool) -> Process:
    """Return ``process`` without its command line. :param names: whether the name of its program stays."""
    name = process.name if names else ""
    return replace(process, command=name, name=name)


def event_without_command(event: Event, names: bool) -> Event:
    """Return ``event`` without the command line in its reason. ``names`` as in `without_command`."""
    head, colon, command = event.reason.partition(": ")
    if event.kind not in _WITH_COMMAND or not colon:
        return event
    return replace(event, reason=f"{head}{colon}{_program(command, names)}")


def _program(command: str, names: bool) -> str:
    """Return the name of the program of a command line, empty when it does not stay."""
    words = command.split(maxsplit=1)
    return words[0].rpartition("/")[2] if words and names else ""


@implementer(ISampleLog)
class WithoutCommands:
    """
    Removes command lines from what is stored in ``log``.

    :param names: whether the name of a program stays.
    """

    def __init__(self, log: ISampleLog, names: bool) -> None:
        self._log = log
        self._names = names
        self.blocks = log.blocks
        self._made: dict[str, tuple[Process, Process]] = {}

    def write(self, node: Node, sample: Sample) -> None:
        """See `ISampleLog.write`."""
        self._log.write(node, sample)

    def write_processes(self, node: Node, table: ProcessTable, hidden: bool, in_jobs: frozenset[str]) -> None:
        """See `ISampleLog.write_processes`."""
        last, self._made = self._made, {}
        shown = tuple(self._shown(each, last) for each in table.processes)
        self._log.write_processes(node, replace(table, processes=shown), hidden, in_jobs)

    def _shown(self, process: Process, last: dict[str, tuple[Process, Process]]) -> Process:
        # A process at rest is the same object from scan to scan, and stays the same here.
        made = last.get(process.identity)
        if made is None or made[0] is not process:
            made = (process, self._bare(process))
        self._made[process.identity] = made
        return made[1]

    def _bare(self, process: Process) -> Process:
        return without_command(process, self._names)

    def write_measures(self, measures: Sequence[Measure], now: float) -> None:
        """See `ISampleLog.write_measures`."""
        self._log.write_measures(measures, now)

    def write_nodes(self, nodes: Sequence[Node], now: float) -> None:
        """See `ISampleLog.write_nodes`."""
        self._log.write_nodes(nodes, now)

    def write_event(self, event: Event, hidden: bool) -> None:
        """See `ISampleLog.write_event`."""
        self._log.write_event(event_without_command(event, self._names), hidden)

    def write_jobs(self, jobs: Sequence[Job], now: float) -> None:
        """See `ISampleLog.write_jobs`."""
        self._log.write_jobs([replace(job, command=_program(job.command, self._names)) for job in jobs], now)

    def write_remembered(self, table: RememberedTable) -> None:
        """See `ISampleLog.write_remembered`."""
        processes = [self._bare(process) for process in table.processes]
        self._log.write_remembered(table._replace(processes=processes))

    def checkpoint(self, name: str, now: float) -> None:
        """See `ISampleLog.checkpoint`."""
        self._log.checkpoint(name, now)

    def set_limits(self, rotate_bytes: int, keep: int, max_bytes: int) -> None:
        """See `ISampleLog.set_limits`."""
        self._log.set_limits(rotate_bytes, keep, max_bytes)

    def close(self) -> None:
        """See `ISampleLog.close`."""
        self._log.close()

    def counters(self) -> Iterable[Counter]:
        """See `ISampleLog.counters`."""
        return self._log.counters()
