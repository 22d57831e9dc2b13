"""
Resets what a job would inherit from the daemon to what a login gives.

A process passes on far more to its children than its files and its user: keys, priorities, processors,
limits, rights. The daemon has its own, and whoever started the daemon had others. docs/jobs.md has a table of
all of it. What the kernel does not allow to be reset stays as it is, unless a user would get something that
is another's: then the job does not start.

Standard library only: this runs between fork and exec of every job.
"""

from __future__ import annotations

import ctypes
import errno
import os
import resource
import signal
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Final

from gomd.jobs.supervisor import syscalls

#: Soft and hard limit of open files, as systemd sets them.
SOFT_FILES: Final = 1024
HARD_FILES: Final = 524288
#: Nanoseconds by which timers may be late: the kernel's default.
TIMER_SLACK: Final = 50_000
#: Which memory goes into a core file: the kernel's default.
CORE_FILTER: Final = "0x33"

#: Processors to ask for at least, as their numbers may have gaps; the kernel ignores those that are absent.
_MIN_PROCESSORS: Final = 1024
_JOIN, _CHOWN, _LINK, _REQUEST_KEYS_INTO = 1, 4, 8, 14
_SESSION, _USER = -3, -4
_PR_SET_KEEPCAPS, _PR_SET_SECUREBITS, _PR_SET_TIMERSLACK = 8, 28, 29
_PR_MCE_KILL, _PR_SET_THP_DISABLE, _PR_CAP_AMBIENT = 33, 41, 47
_CAP_AMBIENT_CLEAR_ALL = 4
_CAPABILITIES_3: Final = 0x20080522
_QUERY_PERSONALITY: Final = 0xFFFFFFFF
#: The lines of /proc/PID/limits, by the names that `resource` has.
_LIMITS: Final = {
    "Max cpu time": "CPU", "Max file size": "FSIZE", "Max data size": "DATA", "Max stack size": "STACK",
    "Max core file size": "CORE", "Max resident set": "RSS", "Max processes": "NPROC",
    "Max open files": "NOFILE", "Max locked memory": "MEMLOCK", "Max address space": "AS",
    "Max pending signals": "SIGPENDING", "Max msgqueue size": "MSGQUEUE", "Max nice priority": "NICE",
    "Max realtime priority": "RTPRIO", "Max realtime timeout": "RTTIME",
}  # fmt: skip
Limits = Mapping[int, tuple[int, int]]

_libc = ctypes.CDLL(None, use_errno=True)


class CannotReset(Exception):
    """The job would keep something that is another user's; the text says what."""


def reset_before(uid: int, gid: int, proc: int) -> bool:
    """
    Reset what only root can reset, before this process takes on its user's ids.

    :param uid: whose job it is. :param proc: an open directory: the machine's /proc.
    :returns: whether its session keyring is the user's already. :raises CannotReset: the job must not start.
    """
    has_keyring = reset_keys(uid, gid)
    if os.geteuid() == 0:
        _write("/proc/self/loginuid", str(uid))
        with suppress(OSError):  # locked by whoever started the daemon: see drop_capabilities
            _prctl(_PR_SET_SECUREBITS, 0)
    reset_scheduling()
    limit(_limits_of(proc, 1))
    core_filter = _read(proc, "1/coredump_filter").strip()
    _write("/proc/self/coredump_filter", f"0x{core_filter}" if core_filter else CORE_FILTER)
    return has_keyring


def reset_after(uid: int, has_keyring: bool) -> None:
    """
    Reset what the user can reset, once this process has that user's ids.

    :param uid: whose job it is. :param has_keyring: what `reset_before` returned.
    :raises CannotReset: the job must not start.
    """
    drop_capabilities(uid)
    with suppress(OSError):  # a quota of 200 keys a user: then it has the keyring that root made for it
        if not has_keyring:
            _keyctl(_JOIN, 0)
        _keyctl(_LINK, _USER, _SESSION)
    _libc.personality(ctypes.c_ulong(_libc.personality(ctypes.c_ulong(_QUERY_PERSONALITY)) & 0xFF))


def reset_for_copy(uid: int, gid: int) -> None:
    """
    Reset what a copy inherits that criu restores as a child of this process.

    :raises CannotReset: the copy must not run.
    """
    reset_keys(uid, gid)
    _write("/proc/self/loginuid", str(uid))
    reset_scheduling()


def reset_keys(uid: int, gid: int) -> bool:
    """
    Give this process a new, empty session keyring, the user's where the kernel lets it be that.

    :returns: whether it is the user's.
    :raises CannotReset: it would keep the daemon's, which may contain another user's secrets.
    """
    try:
        keyring = _keyctl(_JOIN, 0)
    except OSError as error:
        # No keys in this kernel, or none for programs in this container: then there are none to be read.
        none_here = error.errno in (errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM)
        if none_here or uid == os.geteuid():
            return True
        raise CannotReset(f"it cannot be given a session keyring of its own: {error.args[-1]}") from error
    with suppress(OSError):
        _keyctl(_REQUEST_KEYS_INTO, 0)
    try:
        if uid != os.geteuid():
            _keyctl(_CHOWN, keyring, uid, gid)
        return True
    except OSError:  # the user's quota, or a container without CAP_SYS_ADMIN
        return False


def reset_scheduling() -> None:
    """Allow every processor and memory node; reset the priorities of time, disk and the OOM killer."""
    with suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, 0)
    with suppress(OSError, ValueError):
        os.sched_setaffinity(0, range(max(_MIN_PROCESSORS, os.sysconf("SC_NPROCESSORS_CONF"))))
    with suppress(OSError):
        syscalls.call("ioprio_set", 1, 0, 0)
    with suppress(OSError):
        syscalls.call("set_mempolicy", 0, 0, 0)
    for option, value in ((_PR_SET_TIMERSLACK, TIMER_SLACK), (_PR_MCE_KILL, 0), (_PR_SET_THP_DISABLE, 0)):
        with suppress(OSError):
            _prctl(option, value)
    _write("/proc/self/oom_score_adj", "0")


def reset_oom_score(pid: int) -> None:
    """Let a child that was just started, and its descendants, be killed as any other when memory runs out."""
    _write(f"/proc/{pid}/oom_score_adj", "0")


def limit(limits: Limits) -> None:
    """Set these limits, none of them above what this process may have."""
    for number, (soft, hard) in limits.items():
        with suppress(OSError, ValueError):
            resource.setrlimit(number, within(number, (soft, hard), resource.getrlimit(number)))


def within(number: int, wanted: tuple[int, int], own: tuple[int, int]) -> tuple[int, int]:
    """
    Return the limit a job gets.

    :param number: of the resource. :param wanted: soft and hard limit of the machine's first process.
    :param own: the daemon's, whose hard limit is never passed.
    """
    soft, hard = wanted
    if number == resource.RLIMIT_NOFILE:
        soft, hard = _less(soft, SOFT_FILES), _less(hard, HARD_FILES)
    hard = _less(hard, own[1])
    return _less(soft, hard), hard


def parse_limits(text: str) -> Limits:
    """Return the limits in /proc/PID/limits by the numbers of `resource`; unknown ones are left out."""
    found = {}
    for line in text.split("\n"):
        name, words = line[:26].strip(), line[26:].split()
        number = getattr(resource, f"RLIMIT_{_LIMITS.get(name, '')}", None)
        if number is None or len(words) < 2:
            continue
        values = [resource.RLIM_INFINITY if word == "unlimited" else word for word in words[:2]]
        if all(isinstance(value, int) or value.isdigit() for value in values):
            found[int(number)] = (int(values[0]), int(values[1]))
    return found


def drop_capabilities(uid: int) -> None:
    """
    Drop all capabilities of a user's job, whatever securebits say; of root's job those that are inherited.

    :raises CannotReset: the user would keep some.
    """
    with suppress(OSError):
        _prctl(_PR_CAP_AMBIENT, _CAP_AMBIENT_CLEAR_ALL)
    with suppress(OSError):
        _prctl(_PR_SET_KEEPCAPS, 0)
    header = (ctypes.c_uint32 * 2)(_CAPABILITIES_3, 0)
    values = (ctypes.c_uint32 * 6)()
    if not uid and _libc.capget(header, values) == 0:
        values[2] = values[5] = 0  # inheritable alone
    if _libc.capset(header, values) != 0 and uid:
        number = ctypes.get_errno()
        raise CannotReset(f"it would keep rights of the daemon's: {os.strerror(number)}")


def reset_signals() -> None:
    """Set every signal to its default and block none."""
    for number in range(1, signal.NSIG):
        with suppress(OSError, ValueError):  # KILL, STOP and those of the C library
            signal.signal(number, signal.SIG_DFL)
    nothing = ctypes.create_string_buffer(64)
    for number in (32, 33):  # the C library's own, which posix_spawn leaves ignored
        with suppress(OSError):
            syscalls.call("rt_sigaction", number, nothing, None, 8)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def close_all_but(kept: Iterable[int]) -> None:
    """Close every file of this process but ``kept``, however high its number is."""
    low, kept = 0, sorted(kept)
    top = max((int(name) for name in os.listdir("/proc/self/fd")), default=0) + 1
    for descriptor in (*kept, top):
        if low < descriptor:
            os.closerange(low, descriptor)
        low = descriptor + 1


def _limits_of(proc: int, pid: int) -> Limits:
    return parse_limits(_read(proc, f"{pid}/limits"))


def _less(one: int, other: int) -> int:
    """Return the lower of two limits; RLIM_INFINITY is -1 here."""
    if one == resource.RLIM_INFINITY:
        return other
    return one if other == resource.RLIM_INFINITY else min(one, other)


def _read(proc: int, name: str) -> str:
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=proc)
    except OSError:
        return ""
    try:
        return os.read(descriptor, 65536).decode("ascii", "replace")
    except OSError:
        return ""
    finally:
        os.close(descriptor)


def _write(path: str, text: str) -> None:
    """Write a kernel file; the kernel may not have it, or not allow that."""
    with suppress(OSError):
        descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(descriptor, text.encode("ascii"))
        finally:
            os.close(descriptor)


def _keyctl(*arguments: int) -> int:
    return syscalls.call("keyctl", *arguments)


def _prctl(option: int, value: int) -> None:
    words = [ctypes.c_ulong(word) for word in (value, 0, 0, 0)]
    if _libc.prctl(option, *words) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
