"""Process control for the scripted source: signals and niceness, with the rules of the kernel."""

from __future__ import annotations

import signal
from collections import deque
from typing import Final

from zope.interface import implementer

from gomd.interfaces import IProcessControl
from gomd.sources.control import another_process
from gomd.sources.memory import MemorySource
from libgomd.errors import MalformedRequest, NotAllowed
from libgomd.model import Caller, Process, Role

_STOPPING: Final = frozenset({signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU})
#: Signals that a process ignores by default.
_IGNORED: Final = frozenset({signal.SIGCHLD, signal.SIGURG, signal.SIGWINCH})
#: Maximum number of actions that `MemoryProcessControl` remembers.
_MAX_ACTS: Final = 1000


@implementer(IProcessControl)
class MemoryProcessControl:
    """
    Acts on the processes of a `MemorySource`, with the kernel's rules.

    :ivar acts: the last actions that were allowed: ``("signal", pid, number)``, ``("renice", pid, nice)``.
    """

    def __init__(self, source: MemorySource) -> None:
        self._source = source
        self.acts: deque[tuple[str, int, int]] = deque(maxlen=_MAX_ACTS)

    def signal(self, pid: int, number: int, caller: Caller, started: int | None = None) -> None:
        """See `IProcessControl.signal`: stopping, continuing and ending signals have an effect."""
        self._owned(pid, caller, started)
        if not 1 <= number < signal.NSIG:
            raise MalformedRequest(f"a signal is a number from 1 to {signal.NSIG - 1}, not {number}")
        self.acts.append(("signal", pid, number))
        if number in _STOPPING:
            self._source.change(pid, state="T")
        elif number == signal.SIGCONT:
            self._source.change(pid, state="S")
        elif number not in _IGNORED:
            self._source.end(pid)

    def renice(self, pid: int, nice: int, caller: Caller, started: int | None = None) -> None:
        """See `IProcessControl.renice`: only an admin may lower the niceness."""
        process = self._owned(pid, caller, started)
        if not -20 <= nice <= 19:
            raise MalformedRequest(f"niceness is a number from -20 to 19, not {nice}")
        if caller.role < Role.ADMIN and (process.nice is None or nice < process.nice):
            raise NotAllowed(f"process {pid} has niceness {process.nice}; only an admin may lower it")
        self.acts.append(("renice", pid, nice))
        self._source.change(pid, nice=nice)

    def _owned(self, pid: int, caller: Caller, started: int | None) -> Process:
        process = self._source.process(pid, self._source.now)
        if started is not None and process.started != started:
            raise another_process(pid)
        if not caller.owns(process.uid):
            raise NotAllowed(
                f"process {pid} belongs to {process.user}; only its owner and admins may do that"
            )
        return process
