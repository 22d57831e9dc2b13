"""
Sends signals to processes of this kernel and sets their niceness, with the rights of the caller.

The daemon usually runs as root, so the kernel would refuse it nothing. This module therefore applies the
rules of kill(2) and setpriority(2) for the user id of the caller before each call.
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
from libgomd.errors import Conflict, MalformedRequest, NotAllowed, NotFound, NotPossible, SourceUnavailable
from libgomd.model import Caller, Role

_SIGNALS: Final = range(1, 65)
_NICE: Final = range(-20, 20)
_MAX_STATUS_BYTES: Final = 16384


class ProcessCredentials(NamedTuple):
    """The ids in a process's status that decide who may act on it. ``process`` is the process of a thread."""

    process: int
    real: int
    effective: int
    saved: int


class _Target(NamedTuple):
    """A process, identified by an open /proc/PID directory, which never becomes that of another process."""

    directory: int
    credentials: ProcessCredentials
    nice: int | None
    of_system: bool


@implementer(IProcessControl)
class KernelProcessControl:
    """
    `IProcessControl` for the processes of this kernel.

    :param proc_root: the tree that the daemon reads. Processes of a captured tree cannot be signalled.
    :param own_pid: returns the pid of the daemon, which changes when twistd goes to the background. Only an
        admin may signal the daemon.
    """

    def __init__(self, proc_root: str, own_pid: Callable[[], int]) -> None:
        self._root = ProcRoot(proc_root)
        self._own_pid = own_pid

    def signal(self, pid: int, number: int, caller: Caller, started: int | None = None) -> None:
        """Send a signal; see `IProcessControl`. :raises MalformedRequest: there is no such signal."""
        if number not in _SIGNALS:
            raise MalformedRequest(f"a signal is a number from 1 to {_SIGNALS[-1]}, not {number}")
        with self._held(pid, caller, started) as target:
            if not _may(caller, target.credentials.real, target.credentials.saved):
                raise NotAllowed(f"process {pid} is not yours: you can signal only your own processes")
            _send(target, pid, number)

    def renice(self, pid: int, nice: int, caller: Caller, started: int | None = None) -> None:
        """Set the niceness; see `IProcessControl`. :raises MalformedRequest: it is not from -20 to 19."""
        if nice not in _NICE:
            raise MalformedRequest(f"a niceness is a number from -20 to 19, not {nice}")
        with self._held(pid, caller, started) as target:
            if not _may(caller, target.credentials.real, target.credentials.effective):
                raise NotAllowed(f"process {pid} is not yours: you can renice only your own processes")
            if caller.role < Role.ADMIN and (target.nice is None or nice < target.nice):
                now = "an unknown niceness" if target.nice is None else f"niceness {target.nice}"
                raise NotAllowed(f"process {pid} has {now}: only an admin can set a smaller one")
            _send(target, pid, 0)  # setpriority takes a pid: check that it is still the same process
            os.setpriority(os.PRIO_PROCESS, pid, nice)

    @contextmanager
    def _held(self, pid: int, caller: Caller, started: int | None) -> Iterator[_Target]:
        """Open the process, check the caller's rights, and translate errors of the kernel."""
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
            if started is not None and parse_pid_stat(_read(directory, "stat")).started != started:
                raise another_process(pid)
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
    Read what decides about a caller's rights, through the open directory of the process.

    The stat file is read only if the caller is not an admin and the process may be a kernel thread. It blocks
    for a process that hangs in an exec, which is just the kind that somebody wants to end.
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
        return os.read(descriptor, _MAX_STATUS_BYTES)
    finally:
        os.close(descriptor)


def _send(target: _Target, pid: int, number: int) -> None:
    """
    Send a signal to the process whose directory is open.

    pidfd_send_signal(2) accepts a /proc/PID directory as a pidfd. A kernel before 5.1, or a Python built for
    one, has only kill(2), so that the pid could be reused at the last moment.
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
    Return the credentials in ``data``, the content of /proc/PID/status.

    :raises SourceUnavailable: it does not contain them.
    """
    try:
        lines = (line.split() for line in data.split(b"\n"))
        values = {words[0]: words[1:] for words in lines if words and words[0] in (b"Tgid:", b"Uid:")}
        [process], [real, effective, saved, _] = values[b"Tgid:"], values[b"Uid:"]
        return ProcessCredentials(int(process), int(real), int(effective), int(saved))
    except (KeyError, ValueError) as error:
        raise SourceUnavailable(f"a /proc/PID/status is not understood: {error!r}") from error


def another_process(pid: int) -> Conflict:
    """Return the error for an identity whose process id the kernel has given to another process."""
    return Conflict(f"process {pid} is another process now, the one you mean has ended: `ps` lists what runs")


def _may(caller: Caller, *uids: int) -> bool:
    return caller.role >= Role.ADMIN or (caller.uid is not None and caller.uid in uids)


def _gone(pid: int) -> NotFound:
    return NotFound(f"there is no process {pid} on this node now; `ps` lists what runs")
