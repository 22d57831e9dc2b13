"""
Attributes of processes and threads that criu does not restore: read at the dump, set in the copy.

docs/migration-attributes.md has a table of all attributes. These are here: processors, I/O priority, timer
slack and the flags of scheduling of each thread; the core dump filter and the priority of the session of
each process; and the processor time that it has used, where that is limited.

Standard library only: supervisors use it.
"""

from __future__ import annotations

import ctypes
import math
import os
import re
import resource
import struct
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any, Final, NamedTuple

from gomd.jobs.checkpoint import processors, syscalls
from gomd.jobs.checkpoint.inherited_attributes import EXPOSED, PROTECTED, speculation
from gomd.jobs.checkpoint.kernel_files import read_text, write_text
from gomd.jobs.checkpoint.process_tree import ENDED, state
from libgomd.errors import CannotMove
from libgomd.wire import json_fields
from libgomd.wire.frames import MalformedFrame

_THREAD: Final = 1  # IOPRIO_WHO_PROCESS, which means a thread
#: ``struct sched_attr`` with its clamps of utilisation, and the flags that set these.
_SCHEDULING = struct.Struct("=IIQiIQQQII")
_CLAMPS: Final = 0x60
_RESET_ON_FORK: Final = 0x01
_DEADLINE_POLICY: Final = 6
_CPU_LIMIT = re.compile(r"^Max cpu time +(\S+) +(\S+)", re.MULTILINE)
_AUTOGROUP = re.compile(r"nice (-?\d+)")


class ThreadAttributes(NamedTuple):
    """
    What a thread is given again.

    :ivar cpus: see `gomd.jobs.checkpoint.processors.bound`. :ivar io: class and priority, as the kernel packs
        them. :ivar slack: of its timers, in nanoseconds; -1 unknown.
    :ivar scheduling: policy, flags, and the nine numbers of ``struct sched_attr``; empty when unknown.
    :ivar speculation: how the kernel says it is protected from speculation of the processor.
    """

    cpus: tuple[int, ...] = ()
    io: int = 0
    slack: int = -1
    scheduling: tuple[int, ...] = ()
    speculation: tuple[str, ...] = ()


class ProcessAttributes(NamedTuple):
    """
    What a process is given again.

    :ivar core_filter: as in /proc, hexadecimal; empty when unknown.
    :ivar autogroup: nice value of its session.
    :ivar cpu_seconds: processor time that it has used of a limit (RLIMIT_CPU), with the part of a second by
        which the limit was not lowered before; 0 when it has no limit.
    :ivar threads: by their numbers.
    """

    core_filter: str = ""
    autogroup: int = 0
    cpu_seconds: float = 0.0
    threads: Mapping[int, ThreadAttributes] = {}


Attributes = Mapping[int, ProcessAttributes]


def read(pids: Iterable[int], arrival: Attributes | None = None) -> Attributes:
    """
    Return the attributes of the stopped processes ``pids``. Blocks briefly. Unbinds the caller.

    :param arrival: what the job came here with: a thread that is still bound as `apply` has bound it for
        this node keeps what it was bound to before.
    """
    here = processors.usable()
    found: dict[int, ProcessAttributes] = {}
    for pid in pids:
        if state(pid) in ENDED:
            continue
        came = (arrival or {}).get(pid, ProcessAttributes())
        with suppress(FileNotFoundError, ProcessLookupError):
            threads = {
                int(name): _read_thread(int(name), here, came.threads)
                for name in os.listdir(f"/proc/{pid}/task")
            }
            autogroup = _AUTOGROUP.search(read_text(f"/proc/{pid}/autogroup"))
            found[pid] = ProcessAttributes(
                read_text(f"/proc/{pid}/coredump_filter").strip(), int(autogroup[1]) if autogroup else 0,
                _limited_time(pid, came.cpu_seconds % 1), threads,
            )  # fmt: skip
    return found


def apply(attributes: Attributes) -> None:
    """
    Give the stopped processes of a copy their attributes. Blocks briefly. Unbinds the caller.

    :raises CannotMove: one would lose a restriction that it has set itself.
    """
    here = processors.usable()
    for pid, told in attributes.items():
        if state(pid) in ENDED:
            continue
        if told.core_filter and read_text(f"/proc/{pid}/coredump_filter").strip() != told.core_filter:
            write_text(f"/proc/{pid}/coredump_filter", f"0x{told.core_filter}")
        if told.autogroup:
            write_text(f"/proc/{pid}/autogroup", str(told.autogroup))
        if told.cpu_seconds:
            _limit_time(pid, told.cpu_seconds)
        for thread, each in told.threads.items():
            _apply_thread(pid, thread, each, here)


def encode(attributes: Attributes) -> dict[str, Any]:
    """Return ``attributes`` as JSON has them."""
    return {
        str(pid): each._asdict() | {"threads": {str(tid): one._asdict() for tid, one in each.threads.items()}}
        for pid, each in attributes.items()
    }


def decode(value: object, name: str) -> Attributes:
    """Return what `encode` returned. :raises MalformedFrame: the other node sent something else."""
    return {pid: json_fields.read(ProcessAttributes, each, _READERS) for pid, each in _numbered(value, name)}


# -- one thread


def _read_thread(tid: int, here: frozenset[int], before: Mapping[int, ThreadAttributes]) -> ThreadAttributes:
    try:
        allowed = frozenset(os.sched_getaffinity(tid))
    except OSError:
        allowed = here
    cpus = processors.bound(allowed, here)
    came = before.get(tid, ThreadAttributes()).cpus
    if came and allowed == processors.mapped(came, here):
        cpus = came
    io = 0
    with suppress(OSError):
        io = syscalls.call("ioprio_get", _THREAD, tid)
    slack = read_text(f"/proc/{tid}/timerslack_ns").strip()
    return ThreadAttributes(
        cpus, io, int(slack) if slack.isdigit() else -1, _scheduling(tid),
        _speculation(tid),
    )  # fmt: skip


def _apply_thread(pid: int, tid: int, told: ThreadAttributes, here: frozenset[int]) -> None:
    with suppress(OSError):
        os.sched_setaffinity(tid, processors.mapped(told.cpus, here))
    with suppress(OSError):
        if syscalls.call("ioprio_get", _THREAD, tid) != told.io:
            syscalls.call("ioprio_set", _THREAD, tid, told.io)
    if told.slack >= 0 and read_text(f"/proc/{tid}/timerslack_ns").strip() != str(told.slack):
        write_text(f"/proc/{tid}/timerslack_ns", str(told.slack))
    _set_scheduling(tid, told.scheduling)
    if loses_protection(told.speculation, _speculation(tid)):
        raise CannotMove(
            f"its process {pid} has restricted speculation of the processor (PR_SET_SPECULATION_CTRL), "
            "which cannot be carried over"
        )


def loses_protection(before: Iterable[str], after: Iterable[str]) -> bool:
    """Whether a thread was protected from speculation, as the kernel words it, and is not any more."""
    return any(old in PROTECTED and new in EXPOSED for old, new in zip(before, after, strict=False))


def _speculation(tid: int) -> tuple[str, ...]:
    """Return the kernel's words for how a thread is protected from speculation."""
    return tuple(words for _kind, words in speculation(read_text(f"/proc/{tid}/status")))


def _scheduling(tid: int) -> tuple[int, ...]:
    """Return policy, flags and the rest of how a thread is scheduled; empty when the kernel does not tell."""
    data = ctypes.create_string_buffer(_SCHEDULING.size)
    try:
        syscalls.call("sched_getattr", tid, data, _SCHEDULING.size, 0)
    except OSError:
        return ()
    return tuple(_SCHEDULING.unpack(data.raw)[1:])


def _set_scheduling(tid: int, told: tuple[int, ...]) -> None:
    """Schedule a thread as it was: criu restores the policy and its priority only."""
    now = _scheduling(tid)
    if not told or not now or told == now:
        return
    policy, flags, nice, priority, *times, least, most = told
    flags &= _RESET_ON_FORK
    if (least, most) != now[-2:]:
        flags |= _CLAMPS
    if (flags, policy) == (now[1] & _RESET_ON_FORK, now[0]) and policy != _DEADLINE_POLICY:
        return
    words = (_SCHEDULING.size, policy, flags, nice, priority, *times, least, most)
    with suppress(OSError, struct.error):  # a kernel without clamps has nothing to clamp
        syscalls.call("sched_setattr", tid, ctypes.create_string_buffer(_SCHEDULING.pack(*words)), 0)


# -- processor time


def _limited_time(pid: int, more: float) -> float:
    """Return the processor time that a process has used and ``more``, 0 when it has no limit of that."""
    found = _CPU_LIMIT.search(read_text(f"/proc/{pid}/limits"))
    if found is None or found.groups() == ("unlimited", "unlimited"):
        return 0.0
    words = read_text(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return more + (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK") if len(words) > 12 else 0.0


def _limit_time(pid: int, used: float) -> None:
    """
    Lower the limit of processor time of a process by what it used before: this kernel counts from 0.

    As the user of the process, for without CAP_SYS_RESOURCE even root may do that to its own only.
    """
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        return
    try:
        known = os.stat(f"/proc/{pid}/task")
        os.setgroups([])
        os.setresgid(known.st_gid, known.st_gid, known.st_gid)
        os.setresuid(known.st_uid, known.st_uid, known.st_uid)
        limits = resource.prlimit(pid, resource.RLIMIT_CPU)
        resource.prlimit(pid, resource.RLIMIT_CPU, (_less(limits[0], used), _less(limits[1], used)))
    finally:
        os._exit(0)


def _less(limit: int, used: float) -> int:
    return limit if limit == resource.RLIM_INFINITY else max(1, limit - math.floor(used))


# -- files, and JSON


def _numbered(value: object, name: str) -> Iterable[tuple[int, object]]:
    if not isinstance(value, dict) or not all(str(key).isdecimal() for key in value):
        raise MalformedFrame(f"{name} is an object of process ids")
    return ((int(key), each) for key, each in value.items())


def _threads(value: object, name: str) -> dict[int, ThreadAttributes]:
    return {tid: json_fields.read(ThreadAttributes, each, _READERS) for tid, each in _numbered(value, name)}


def _hexadecimal(value: object, name: str) -> str:
    text = json_fields.text(value, name)
    if text.strip("0123456789abcdef"):
        raise MalformedFrame(f"{name} is a hexadecimal number")
    return text


def _scheduling_numbers(value: object, name: str) -> tuple[int, ...]:
    return tuple(_number(each, name) for each in json_fields.list_of(value, name, 9 if value else 0))


def _number(value: object, name: str) -> int:
    if type(value) is not int or not -(1 << 63) <= value < 1 << 64:
        raise MalformedFrame(f"{name} is a number")
    return value


_READERS: Final[dict[str, json_fields.Reader]] = {
    **dict.fromkeys(("autogroup", "io", "slack"), _number),
    "core_filter": _hexadecimal,
    "cpu_seconds": json_fields.seconds,
    "cpus": json_fields.wholes(),
    "scheduling": _scheduling_numbers,
    "speculation": json_fields.texts(),
    "threads": _threads,
}
