"""
Restarts the periodic timerfds of a restored copy, which criu leaves stopped.

The kernel restarts a periodic timerfd only when its owner reads it. One that has expired and was not read
when the job was dumped therefore shows no time until it expires next; criu up to 4.2 takes that for a timer
that is switched off, and restores it so. Such a timer is told from one that the job switched off itself by
its ticks: switching off sets them to 0.

Standard library only: supervisors use it.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import re
import struct
from collections.abc import Iterable
from contextlib import suppress
from typing import Final, NamedTuple

from gomd.jobs.checkpoint.borrowed_descriptor import duplicate_of
from libgomd.errors import CannotMove

_LINK: Final = "anon_inode:[timerfd]"
_LINE = re.compile(r"^(ticks|it_value|it_interval): \(?(\d+)(?:, (\d+))?", re.MULTILINE)
#: Where the constants of ioctl have the direction in three bits.
_WIDE_DIRECTION: Final = ("mips", "ppc", "sparc", "alpha", "parisc")
#: Bytes that are read of a file.
_MAX_FILE_BYTES: Final = 4096


class TimerState(NamedTuple):
    """A timerfd as /proc shows it: expirations not read yet; nanoseconds until the next one, and between."""

    ticks: int
    value: int
    interval: int

    @property
    def stands_still(self) -> bool:
        """Whether it is periodic, has expired and will never expire again."""
        return self.ticks > 0 and self.value == 0 and self.interval > 0


def parse(fdinfo: str) -> TimerState:
    """Return the timer that a file ``/proc/PID/fdinfo/N`` shows; what it does not show is 0."""
    found = {name: (int(first), int(second or 0)) for name, first, second in _LINE.findall(fdinfo)}
    value, interval = (found.get(name, (0, 0)) for name in ("it_value", "it_interval"))
    return TimerState(found.get("ticks", (0, 0))[0], _nanoseconds(*value), _nanoseconds(*interval))


def restart(pids: Iterable[int], proc: str = "/proc") -> int:
    """
    Set the periodic timers of the stopped processes ``pids`` going that stand still. Blocks briefly.

    :returns: how many there were.
    :raises CannotMove: one cannot be set going.
    """
    restarted = 0
    for pid in pids:
        with suppress(FileNotFoundError, ProcessLookupError):
            for name in os.listdir(f"{proc}/{pid}/fd"):
                if os.readlink(f"{proc}/{pid}/fd/{name}") != _LINK:
                    continue
                with open(f"{proc}/{pid}/fdinfo/{name}", encoding="ascii") as file:
                    state = parse(file.read(_MAX_FILE_BYTES))
                if state.stands_still:
                    _start(pid, int(name), state)
                    restarted += 1
    return restarted


def _start(pid: int, number: int, state: TimerState) -> None:
    try:
        timer = duplicate_of(pid, number)
        try:
            _set(timer, state.interval)
            fcntl.ioctl(timer, _set_ticks(), struct.pack("=Q", state.ticks))  # `_set` has made them 0
        finally:
            os.close(timer)
    except OSError as error:
        raise CannotMove(
            f"a periodic timer of its process {pid} cannot be set going again: {error.strerror}"
        ) from error


class _Spec(ctypes.Structure):
    """``struct itimerspec``: the interval and the first time, in seconds and nanoseconds."""

    _fields_ = (("times", ctypes.c_long * 4),)


def _set(timer: int, interval: int) -> None:
    """Set a timerfd to expire every ``interval`` nanoseconds. :raises OSError: the kernel refuses."""
    times = (*divmod(interval, 10**9), *divmod(interval, 10**9))
    spec = _Spec((ctypes.c_long * 4)(*times))
    _checked(_libc.timerfd_settime(timer, 0, ctypes.byref(spec), None))


def _set_ticks() -> int:
    """Return the constant TFD_IOC_SET_TICKS of this architecture."""
    wide = os.uname().machine.startswith(_WIDE_DIRECTION)
    return (4 << 29 if wide else 1 << 30) | 8 << 16 | ord("T") << 8


def _nanoseconds(seconds: int, rest: int) -> int:
    return seconds * 10**9 + rest


_libc = ctypes.CDLL(None, use_errno=True)


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
