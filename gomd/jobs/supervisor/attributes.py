"""
Resets the attributes that a job would inherit from the daemon to those that a login gives.

A process passes on far more to its children than its files and its user: keys, priorities, processors,
limits, capabilities. Those of the daemon, or of whoever started it, are not meant for jobs. docs/jobs.md has
a table of all of them. What the kernel does not allow to be reset stays as it is. But if a user would get
something that belongs to another user, the job does not start.

This module uses only the standard library, because it runs between fork and exec of every job.
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

from gomd.jobs.checkpoint import syscalls
from gomd.jobs.checkpoint.kernel_files import write_text

#: Soft and hard limit of open files, as systemd sets them.
SOFT_FILES: Final = 1024
HARD_FILES: Final = 524288
#: Nanoseconds by which timers may be late; this is the kernel's default.
TIMER_SLACK: Final = 50_000
#: The memory that goes into a core file; this is the kernel's default.
CORE_FILTER: Final = "0x33"

#: Minimum number of processors to request, as their numbers may have gaps. The kernel ignores absent ones.
_MIN_PROCESSORS: Final = 1024
_JOIN, _CHOWN, _LINK, _REQUEST_KEYS_INTO = 1, 4, 8, 14
_SESSION, _USER = -3, -4
_PR_SET_KEEPCAPS, _PR_SET_SECUREBITS, _PR_SET_TIMERSLACK, _PR_SET_NO_NEW_PRIVS = 8, 28, 29, 38
_PR_MCE_KILL, _PR_SET_THP_DISABLE, _PR_CAP_AMBIENT = 33, 41, 47
_CAP_AMBIENT_CLEAR_ALL = 4
_CAPABILITIES_3: Final = 0x20080522
_QUERY_PERSONALITY: Final = 0xFFFFFFFF
#: For each line of /proc/PID/limits: the name of that limit in `resource`.
_LIMITS: Final = {
    "Max cpu time": "CPU", "Max file size": "FSIZE", "Max data size": "DATA", "Max stack size": "STACK",
    "Max core file size": "CORE", "Max resident set": "RSS", "Max processes": "NPROC",
    "Max open files": "NOFILE", "Max locked memory": "MEMLOCK", "Max address space": "AS",
    "Max pending signals": "SIGPENDING", "Max msgqueue size": "MSGQUEUE", "Max nice priority": "NICE",
    "Max realtime priority": "RTPRIO", "Max realtime timeout": "RTTIME",
}  # fmt: skip
Limits = Mapping[int, tuple[int, int]]
#: Soft and hard limits by their names in `resource`, without ``RLIMIT_``; -1 for none.
NamedLimits = Mapping[str, tuple[int, int]]

_libc = ctypes.CDLL(None, use_errno=True)


class CannotReset(Exception):
    """The job would keep something that belongs to another user; the text says what."""


def reset_before(uid: int, gid: int, proc: int, nice: int = 0, limits: NamedLimits | None = None) -> bool:
    """
    Reset what only root can reset. Call it before this process takes on the ids of the job's user.

    :param uid: the user of the job. :param gid: the group of the job.
    :param proc: a descriptor of the machine's /proc directory.
    :param nice: the caller's nice value; a user's below 0 counts as 0.
    :param limits: the caller's limits, None when they are not known. `limit_as_caller` sets them.
    :returns: whether the session keyring already belongs to the user.
    :raises CannotReset: the job must not start.
    """
    has_keyring = reset_keys(uid, gid)
    if os.geteuid() == 0:
        write_text("/proc/self/loginuid", str(uid))
        with suppress(OSError):  # locked by whoever started the daemon: see drop_capabilities
            _prctl(_PR_SET_SECUREBITS, 0)
    reset_scheduling()
    own = uid == os.geteuid()
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, nice if own else max(nice, 0))
    # Who is root, or the user this daemon runs as, may have whatever the daemon may have.
    kept = frozenset(map(_limit_number, limits or ())) if own else frozenset()
    limit({number: pair for number, pair in limits_of(proc, 1).items() if number not in kept})
    core_filter = _read(proc, "1/coredump_filter").strip()
    write_text("/proc/self/coredump_filter", f"0x{core_filter}" if core_filter else CORE_FILTER)
    return has_keyring


def reset_after(uid: int, has_keyring: bool) -> None:
    """
    Reset what the user can reset. Call it once this process has the ids of that user.

    :param uid: the user of the job. :param has_keyring: what `reset_before` returned.
    :raises CannotReset: the job must not start.
    """
    drop_capabilities(uid)
    with suppress(OSError):  # beyond the quota of 200 keys a user, it keeps root's keyring
        if not has_keyring:
            _keyctl(_JOIN, 0)
        _keyctl(_LINK, _USER, _SESSION)
    _libc.personality(ctypes.c_ulong(_libc.personality(ctypes.c_ulong(_QUERY_PERSONALITY)) & 0xFF))


def reset_for_copy(uid: int, gid: int) -> None:
    """
    Reset the attributes that a copy, restored by criu as a child of this process, would inherit.

    :raises CannotReset: the copy must not run.
    """
    reset_keys(uid, gid)
    write_text("/proc/self/loginuid", str(uid))
    reset_scheduling()


def reset_keys(uid: int, gid: int) -> bool:
    """
    Give this process a new, empty session keyring, owned by the user where the kernel allows that.

    :returns: whether the keyring belongs to the user.
    :raises CannotReset: it would keep the daemon's keyring, which may contain secrets of another user.
    """
    try:
        keyring = _keyctl(_JOIN, 0)
    except OSError as error:
        # This kernel or container has no keys for programs, so there are none that the job could read.
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
    write_text("/proc/self/oom_score_adj", "0")


def limit(limits: Limits) -> None:
    """Set these limits, but none above the hard limit of this process."""
    for number, (soft, hard) in limits.items():
        with suppress(OSError, ValueError):
            resource.setrlimit(number, within(number, (soft, hard), resource.getrlimit(number)))


def limit_as_caller(limits: NamedLimits) -> None:
    """Set the caller's limits, but none above the hard limit of this process. Call it last before exec."""
    for name, (soft, hard) in limits.items():
        number = _limit_number(name)
        if number is not None:
            with suppress(OSError, ValueError):
                hard = _less(hard, resource.getrlimit(number)[1])
                resource.setrlimit(number, (_less(soft, hard), hard))


def _limit_number(name: str) -> int | None:
    number: int | None = getattr(resource, f"RLIMIT_{name}", None)
    return number


def within(number: int, wanted: tuple[int, int], own: tuple[int, int]) -> tuple[int, int]:
    """
    Return the soft and hard limit that a job gets.

    :param number: the number of the resource.
    :param wanted: soft and hard limit of the machine's first process.
    :param own: soft and hard limit of the daemon. Its hard limit is never exceeded.
    """
    soft, hard = wanted
    if number == resource.RLIMIT_NOFILE:
        soft, hard = _less(soft, SOFT_FILES), _less(hard, HARD_FILES)
    hard = _less(hard, own[1])
    return _less(soft, hard), hard


def parse_limits(text: str) -> Limits:
    """Return the limits in /proc/PID/limits, by their numbers in `resource`. Unknown ones are left out."""
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
    Drop all capabilities of a user's job, whatever its securebits; for root, only the inheritable ones.

    :raises CannotReset: the user would keep some.
    """
    with suppress(OSError):
        _prctl(_PR_CAP_AMBIENT, _CAP_AMBIENT_CLEAR_ALL)
    with suppress(OSError):
        _prctl(_PR_SET_KEEPCAPS, 0)
    header = (ctypes.c_uint32 * 2)(_CAPABILITIES_3, 0)
    values = (ctypes.c_uint32 * 6)()
    if not uid and _libc.capget(header, values) == 0:
        values[2] = values[5] = 0  # only the inheritable ones
    if _libc.capset(header, values) != 0 and uid:
        number = ctypes.get_errno()
        raise CannotReset(f"it would keep rights of the daemon's: {os.strerror(number)}")


def gain_no_rights() -> None:
    """
    Let no program that this process executes have more rights than it has, whatever set-id bits it has.

    That holds for ever, and for all that it starts.

    :raises CannotReset: the job must not start.
    """
    try:
        _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    except OSError as error:
        raise CannotReset(f"set-id programs cannot be kept from having rights: {error.strerror}") from error


def reset_signals() -> None:
    """Set every signal to its default action and unblock all signals."""
    for number in range(1, signal.NSIG):
        with suppress(OSError, ValueError):  # KILL, STOP and the signals of the C library
            signal.signal(number, signal.SIG_DFL)
    nothing = ctypes.create_string_buffer(64)
    for number in (32, 33):  # the C library's own, which posix_spawn leaves ignored
        with suppress(OSError):
            syscalls.call("rt_sigaction", number, nothing, None, 8)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def close_all_but(kept: Iterable[int]) -> None:
    """Close every descriptor of this process except ``kept``, however high its number is."""
    low, kept = 0, sorted(kept)
    top = max((int(name) for name in os.listdir("/proc/self/fd")), default=0) + 1
    for descriptor in (*kept, top):
        if low < descriptor:
            os.closerange(low, descriptor)
        low = descriptor + 1


def limits_of(proc: int, pid: int) -> Limits:
    """Return the limits of process ``pid``. :param proc: a descriptor of the /proc that has it."""
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


def _keyctl(*arguments: int) -> int:
    return syscalls.call("keyctl", *arguments)


def _prctl(option: int, value: int) -> None:
    words = [ctypes.c_ulong(word) for word in (value, 0, 0, 0)]
    if _libc.prctl(option, *words) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
