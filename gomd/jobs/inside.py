"""
Work that has to be done inside the namespaces of a job: freezing it, bringing it up, looking at its tree.

The supervisor stays outside. A child of its enters, and a grandchild, which is a process of the job's PID
namespace, does the work; what is begun there and outlives it becomes a child of the namespace's first
process. Standard library only: this runs in the supervisor.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
from collections.abc import Callable
from typing import Any

from libgomd.errors import CannotMove, error_for

CLONE_NEWNS = 0x00020000
CLONE_NEWPID = 0x20000000
_MS_SLAVE_REC = 0x00080000 | 0x4000
_MS_NOSUID_NODEV_NOEXEC = 2 | 4 | 8
#: Bytes of a result.
_MAX_RESULT = 4 << 20

_libc = ctypes.CDLL(None, use_errno=True)


def own_namespaces() -> None:
    """
    Let the next child be the first process of a PID namespace, and all have the mounts to themselves.

    :raises OSError: the kernel allows it to root only.
    """
    _check(_libc.unshare(CLONE_NEWPID | CLONE_NEWNS), "unshare")


def own_proc() -> None:
    """
    Give this mount namespace the /proc of this PID namespace; called by its first process.

    Mounts of the machine still appear here, none made here leave.

    :raises OSError: the kernel refuses.
    """
    _check(_libc.mount(None, b"/", None, _MS_SLAVE_REC, None), "mount /")
    _check(_libc.mount(b"proc", b"/proc", b"proc", _MS_NOSUID_NODEV_NOEXEC, None), "mount /proc")


def call_inside(first: int, work: Callable[[], Any], limit: float) -> Any:
    """
    Return what ``work()`` returns when it is called inside the namespaces of the process ``first``. Blocks.

    :param first: the job's first process, as its pid is known here.
    :param work: what it returns can be written as JSON; it raises nothing but `CannotMove` and OSError.
    :param limit: seconds; ``work`` has to bound itself too, it is killed after them.
    :raises CannotMove: ``work`` raised it, failed, or took too long. :raises OSError: no such process.
    """
    reading, writing = os.pipe()
    spaces = [os.open(f"/proc/{first}/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC) for kind in ("pid", "mnt")]
    child = os.fork()
    if child == 0:
        try:
            os.close(reading)
            _enter(spaces, work, writing, limit)
        finally:
            os._exit(1)
    os.close(writing)
    for space in spaces:
        os.close(space)
    try:
        with open(reading, "rb") as stream:
            data = stream.read(_MAX_RESULT)
    finally:
        os.waitpid(child, 0)
    if not data:
        raise CannotMove(f"it took longer than {limit:g} s, or was killed")
    code, value = json.loads(data)
    if code == CannotMove.code:
        raise CannotMove(value)
    if code:
        raise error_for(code, value)
    return value


def _enter(spaces: list[int], work: Callable[[], Any], writing: int, limit: float) -> None:
    for space in spaces:
        _check(_libc.setns(space, 0), "setns")
    pid = os.fork()
    if pid == 0:
        try:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.setitimer(signal.ITIMER_REAL, limit)
            _do(work, writing)
        finally:
            os._exit(1)
    os.close(writing)
    os.waitpid(pid, 0)  # unreaped, it would keep the namespace from ending
    os._exit(0)


def _do(work: Callable[[], Any], writing: int) -> None:
    try:
        answer = (0, work())
    except CannotMove as error:
        answer = (error.code, str(error))
    except Exception as error:  # noqa: BLE001 - the edge of the process: the supervisor tells it
        answer = (500, f"{type(error).__name__}: {error}")
    with open(writing, "wb") as stream:
        stream.write(json.dumps(answer).encode())
    os._exit(0)


def _check(result: int, call: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{call}: {os.strerror(number)}")
