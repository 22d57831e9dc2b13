"""Processes as a caller may see them: what the kernel would hide is left out, old rows show their age."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import overload

from gomd.verbs.context import Parts
from libgomd.model import Caller, Process, Role


class _Shown(Sequence[Process]):
    """
    Processes that are changed one by one as they are shown. To change thousands at once would delay every
    other connection for a tenth of a second.
    """

    def __init__(self, processes: Sequence[Process]) -> None:
        self._processes = processes

    def __len__(self) -> int:
        return len(self._processes)

    @overload
    def __getitem__(self, at: int) -> Process: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[Process]: ...
    def __getitem__(self, at: int | slice) -> Process | Sequence[Process]:
        if isinstance(at, slice):
            return [self._seen(process) for process in self._processes[at]]
        return self._seen(self._processes[at])

    def _seen(self, process: Process) -> Process:
        raise NotImplementedError


class _AsSeen(_Shown):
    """Processes without what only their owners may see."""

    def __init__(self, processes: Sequence[Process], caller: Caller) -> None:
        super().__init__(processes)
        self._caller = caller

    def _seen(self, process: Process) -> Process:
        if self._caller.owns(process.uid) or (process.read_rate is None and process.write_rate is None):
            return process
        return replace(process, read_rate=None, write_rate=None)


class Aged(_Shown):
    """Processes with the age of their table, ``seconds``; more for those that could not be read for it."""

    def __init__(self, processes: Sequence[Process], seconds: float) -> None:
        super().__init__(processes)
        self._seconds = seconds

    def _seen(self, process: Process) -> Process:
        if process.stuck and process.age is None:
            return process  # it was never read
        return replace(process, age=round(self._seconds + (process.age or 0.0), 1))


def seen_by(parts: Parts, caller: Caller, found: Sequence[Process], rates: bool = True) -> Sequence[Process]:
    """
    Return those of ``found`` that the kernel would show to ``caller``, without what it would hide.

    Rates of reading and writing are for the owner only; with ``hidepid`` so is the process itself.

    :param rates: whether rates are shown at all; the text format has no column for them.
    """
    if caller.role >= Role.ADMIN:
        return found
    if parts.hides_others():
        found = [process for process in found if caller.owns(process.uid)]
    return _AsSeen(found, caller) if rates else found
