"""Why a process cannot move, apart from its files: its state, rights, namespaces, tracer. Blocks."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Final

from gomd.jobs.checkpoint import process_tree
from gomd.jobs.checkpoint.kernel_files import read_text
from gomd.jobs.checkpoint.namespaces import KINDS, read_namespaces
from gomd.jobs.checkpoint.process_status import ProcessStatus, parse_status

#: How often, and after how many seconds each, a process is looked at that waits in the kernel.
_LOOKS: Final = 5
_LOOK_INTERVAL: Final = 0.01
#: Numbers of vfork, clone and clone3 that /proc/PID/syscall may show for a process that waits for its child.
_VFORK: Final = ("56", "58", "190", "220", "435", "120", "189")
_SYS_RESOURCE: Final = 24
_WAITING: Final = "one of its processes waits in the kernel and cannot be stopped: try again when {} answers"
_VFORKED: Final = "one of its processes waits for a child that it made with vfork: try again when that runs"


def read_status(here: str) -> ProcessStatus:
    """Return the status of a process. :raises OSError: it has ended, or may not be seen."""
    with open(f"{here}/status", encoding="utf-8", errors="replace", newline="\n") as file:
        text = file.read(65536)
    try:
        return parse_status(text)
    except ValueError as error:
        raise ProcessLookupError(str(error)) from error


def reasons(here: str, first: Mapping[str, str], reference: Mapping[str, str], uid: int) -> Iterator[str]:
    """
    Yield why a process cannot move.

    :param here: its directory in /proc. :param uid: of the user that the job belongs to.
    :param first: the namespaces of the job's first process. :param reference: those of its supervisor; empty
        when there is none.
    :raises OSError: it has ended.
    """
    own = read_namespaces(here)
    for kind in sorted(own):
        # the job has an IPC namespace of its own, which is its first process's
        against = first if kind == "ipc" or not reference else reference
        if kind in against and own[kind] != against[kind]:
            yield f"one of its processes has a {KINDS[kind]} namespace of its own"
    for kind in ("pid", "time"):
        with suppress(OSError):
            if _children_differ(here, kind, os.readlink(f"{here}/ns/{kind}")):
                yield f"one of its processes has a {kind.upper()} namespace of its own for its children"
    try:
        status = read_status(here)
    except FileNotFoundError:
        return
    if status.state in process_tree.ENDED:
        return
    if status.tracer:
        yield f"process {status.tracer}, a debugger or strace, traces it: end that first"
    others = status.uids - {uid}
    if uid and others:
        yield f"one of its processes runs with the rights of user {min(others)}"
    elif others and not _may_read_limits():
        yield "the kernel does not let root read its limits: the daemon lacks CAP_SYS_RESOURCE"
    elif uid and status.capabilities:
        yield "one of its processes has capabilities that its user has not"
    with suppress(OSError):
        if os.readlink(f"{here}/root") != "/":
            yield "one of its processes has another root directory"


def waiting(
    heres: Iterable[str], sleep: Callable[[float], None] = time.sleep, proc: str = "/proc"
) -> list[str]:
    """
    Return why processes that wait in the kernel keep the job: they cannot be stopped. Blocks, up to 50 ms.

    :param heres: the directories of the processes in /proc.
    """
    left = list(heres)
    for number in range(_LOOKS):
        left = [here for here in left if _state(here) == "D"]
        if not left:
            return []
        if number < _LOOKS - 1:
            sleep(_LOOK_INTERVAL)
    return [_why(here) for here in left]


def _children_differ(here: str, kind: str, own: str) -> bool:
    """Whether a process has set a namespace for its children; one of PIDs shows only when it has a child."""
    try:
        return os.readlink(f"{here}/ns/{kind}_for_children") != own
    except FileNotFoundError:
        return kind == "pid" and os.path.exists(f"{here}/ns/user") and _state(here) not in process_tree.ENDED


def _may_read_limits() -> bool:
    """Whether this process may read the limits of processes of all users, as criu has to."""
    return bool(read_status("/proc/self").capabilities >> _SYS_RESOURCE & 1)


def _why(here: str) -> str:
    words = read_text(f"{here}/syscall").split()
    if words and words[0] in _VFORK:
        return _VFORKED
    return _WAITING.format("its disk or file server")


def _state(here: str) -> str:
    with suppress(OSError):
        return process_tree.read_state(here)
    return "X"
