"""
Signals and niceness for processes of this kernel, within what the kernel would allow the caller.

The daemon usually runs as root, so the kernel refuses it nothing: the rules of kill(2) and
setpriority(2) for the caller's own user id are applied here, before the call.
"""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple

from zope.interface import implementer

from gomd.interfaces import IProcessControl
from gomd.sources.files import ProcRoot, error_of, thread_error
from gomd.sources.linux.pidstat import parse_pid_stat
from libgomd.errors import MalformedRequest, NotAllowed, NotFound, NotPossible, SourceUnavailable
from libgomd.model import Caller, Role

_SIGNALS: Final = range(1, 65)
_NICE: Final = range(-20, 20)
_MAX_STATUS: Final = 16384


class ProcessCredentials(NamedTuple):
    """What of a process's status decides who may act on it; ``process`` is a thread's process."""

    process: int
    real: int
    effective: int
    saved: int


class _Target(NamedTuple):
    """A process held by its directory of /proc, which stays its own when the pid is given to another."""

    directory: int
    credentials: ProcessCredentials
    nice: int | None
    of_system: bool


@implementer(IProcessControl)
class KernelProcessControl:
    """
    `IProcessControl` for the processes of this kernel.

    :param proc_root: the tree the daemon reads; of a captured one nothing can be signalled.
    :param own_pid: tells the daemon's process id, which changes when twistd goes to the background; only
        an admin may signal it.
    """

    def __init__(self, proc_root: str, own_pid: Callable[[], int]) -> None:
        self._root = ProcRoot(proc_root)
        self._own_pid = own_pid

    def signal(self, pid: int, number: int, caller: Caller) -> None:
        """Send a signal; see `IProcessControl`. :raises MalformedRequest: no such number."""
        if number not in _SIGNALS:
            raise MalformedRequest(f"a signal is a number from 1 to {_SIGNALS[-1]}, not {number}")
        with self._held(pid, caller) as target:
            if not _may(caller, target.credentials.real, target.credentials.saved):
                raise NotAllowed(f"process {pid} is not yours: you can signal only your own processes")
            _send(target, pid, number)

    def renice(self, pid: int, nice: int, caller: Caller) -> None:
        """Set the niceness; see `IProcessControl`. :raises MalformedRequest: no such niceness."""
        if nice not in _NICE:
            raise MalformedRequest(f"a niceness is a number from -20 to 19, not {nice}")
        with self._held(pid, caller) as target:
            if not _may(caller, target.credentials.real, target.credentials.effective):
                raise NotAllowed(f"process {pid} is not yours: you can renice only your own processes")
            if caller.role < Role.ADMIN and (target.nice is None or nice < target.nice):
                now = "an unknown niceness" if target.nice is None else f"niceness {target.nice}"
                raise NotAllowed(f"process {pid} has {now}: only an admin can set a smaller one")
            _send(target, pid, 0)  # setpriority knows pids only: is it still the one that was looked at?
            os.setpriority(os.PRIO_PROCESS, pid, nice)

    @contextmanager
    def _held(self, pid: int, caller: Caller) -> Iterator[_Target]:
        """Hold the process while it is checked and acted on, and give the kernel's refusals our names."""
        if not self._root.is_kernel:
            raise NotPossible(f"the processes of {self._root.path} are not processes of this kernel")
        if caller.role < Role.USER:
            raise NotAllowed("to act on processes say who you are first: `auth TOKEN`, or the unix socket")
        try:
            directory = os.open(self._root.under(str(pid)), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise error_of(error, str(pid)) from error
        try:
            target = _look(directory, pid, caller)
            if caller.role < Role.ADMIN and (target.of_system or pid == self._own_pid()):
                raise NotAllowed(f"process {pid} belongs to the system: only an admin can act on it")
            yield target
        except (ProcessLookupError, FileNotFoundError) as error:
            raise _gone(pid) from error
        except PermissionError as error:
            raise NotAllowed(f"the kernel does not let gomd act on process {pid}") from error
        except OSError as error:
            raise NotPossible(f"the kernel refused it for process {pid}: {error.strerror}") from error
        finally:
            os.close(directory)


def _look(directory: int, pid: int, caller: Caller) -> _Target:
    """
    Read what decides, through the directory that is held: it is never that of another process.

    The stat file is read only for who may not act on a kernel thread, and of what may be one: it blocks for a
    process that hangs in an exec, and such a one is what somebody wants to end.
    """
    status = _read(directory, "status")
    credentials = parse_credentials(status)
    process, real, effective, _ = credentials
    if process != pid:  # it has a directory, but `ps` does not list it
        raise thread_error(pid, process) if _may(caller, real, effective) else _gone(pid)
    of_system = pid == 1
    if caller.role < Role.ADMIN and b"\nVmSize:" not in status:
        of_system = of_system or parse_pid_stat(_read(directory, "stat")).of_kernel
    return _Target(directory, credentials, os.getpriority(os.PRIO_PROCESS, pid), of_system)


def _read(directory: int, name: str) -> bytes:
    descriptor = os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=directory)
    try:
        return os.read(descriptor, _MAX_STATUS)
    finally:
        os.close(descriptor)


def _send(target: _Target, pid: int, number: int) -> None:
    """
    Send a signal to the very process that is held.

    pidfd_send_signal(2) takes a directory of /proc for a pidfd; a kernel before 5.1, or a Python
    built for one, has only kill(2), with a moment in which the pid could change hands.
    """
    send = getattr(signal, "pidfd_send_signal", None)
    if send is not None:
        try:
            send(target.directory, number)
            return
        except OSError as error:
            if error.errno != errno.ENOSYS:
                raise
    os.kill(pid, number)


def parse_credentials(data: bytes) -> ProcessCredentials:
    """
    Return whose process it is, as ``data``, a /proc/PID/status, says.

    :raises SourceUnavailable: it does not say so.
    """
    try:
        lines = (line.split() for line in data.split(b"\n"))
        values = {words[0]: words[1:] for words in lines if words and words[0] in (b"Tgid:", b"Uid:")}
        [process], [real, effective, saved, _] = values[b"Tgid:"], values[b"Uid:"]
        return ProcessCredentials(int(process), int(real), int(effective), int(saved))
    except (KeyError, ValueError) as error:
        raise SourceUnavailable(f"a /proc/PID/status is not understood: {error!r}") from error


def _may(caller: Caller, *uids: int) -> bool:
    return caller.role >= Role.ADMIN or (caller.uid is not None and caller.uid in uids)


def _gone(pid: int) -> NotFound:
    return NotFound(f"there is no process {pid} on this node now; `ps` lists what runs")
