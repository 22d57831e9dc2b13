"""
Sets the timerfds of a restored copy going that criu leaves stopped.

**Periodic ones that have expired.** The kernel restarts a periodic timerfd only when its owner reads it. One
that has expired and was not read when the job was dumped therefore shows no time until it expires next; criu
up to 4.2 takes that for a timer that is switched off, and restores it so. Such a timer is told from one that
the job switched off itself by its ticks: switching off sets them to 0.

**Those that were just due.** Between the moment at which a timer is due and its interrupt, some 50 us on a
virtual machine, the kernel shows neither time nor ticks, as of one that is switched off. One that criu has
read at such a moment would never expire in the copy. So the ticks are read once more behind the dump, when
the interrupt has come, and go along.

Standard library only: supervisors use it.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import re
import struct
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Final, NamedTuple

from gomd.jobs.checkpoint.borrowed_descriptor import duplicate_of
from libgomd.errors import CannotMove
from libgomd.wire.frames import MalformedFrame

_LINK: Final = "anon_inode:[timerfd]"
_LINE = re.compile(r"^(ticks|it_value|it_interval): \(?(\d+)(?:, (\d+))?", re.MULTILINE)
#: Where the constants of ioctl have the direction in three bits.
_WIDE_DIRECTION: Final = ("mips", "ppc", "sparc", "alpha", "parisc")
#: Bytes that are read of a file.
_MAX_FILE_BYTES: Final = 4096
#: Seconds after which the interrupt of a timer that was due has come for sure.
_INTERRUPT_TIMEOUT: Final = 0.02

#: By process and descriptor, how often a timer has expired without being read.
Ticks = Mapping[int, Mapping[int, int]]


class TimerState(NamedTuple):
    """A timerfd as /proc shows it: expirations not read yet; nanoseconds until the next one, and between."""

    ticks: int
    value: int
    interval: int

    @property
    def stands_still(self) -> bool:
        """Whether it is periodic, has expired and will never expire again."""
        return self.ticks > 0 and self.value == 0 and self.interval > 0

    @property
    def is_off(self) -> bool:
        """Whether it shows nothing: it is switched off, or just due."""
        return self.ticks == 0 and self.value == 0


def parse(fdinfo: str) -> TimerState:
    """Return the timer that a file ``/proc/PID/fdinfo/N`` shows; what it does not show is 0."""
    found = {name: (int(first), int(second or 0)) for name, first, second in _LINE.findall(fdinfo)}
    value, interval = (found.get(name, (0, 0)) for name in ("it_value", "it_interval"))
    return TimerState(found.get("ticks", (0, 0))[0], _nanoseconds(*value), _nanoseconds(*interval))


def read(pids: Iterable[int], proc: str = "/proc") -> Ticks:
    """Return the ticks of the timers of stopped processes that have expired. Blocks briefly."""
    found: dict[int, dict[int, int]] = {}
    for pid, number, state in _timers(pids, proc):
        if state.ticks:
            found.setdefault(pid, {})[number] = state.ticks
    return found


def restart(pids: Iterable[int], expired: Ticks, proc: str = "/proc") -> int:
    """
    Set the timers of the stopped processes ``pids`` going that stand still. Blocks briefly.

    :param expired: what `read` returned of the original, behind its dump.
    :returns: how many there were.
    :raises CannotMove: one cannot be set going.
    """
    return restart_found(lambda: _timers(pids, proc), expired, _start)


def restart_found(
    timers: Callable[[], Iterable[tuple[int, int, TimerState]]],
    expired: Ticks,
    start: Callable[[int, int, TimerState], None],
    sleep: Callable[[float], None] = time.sleep,
) -> int:
    """
    See `restart`.

    :param timers: gives processes, descriptors, and how each timer is at that moment.
    :param start: sets one going, or only its ticks if it is to expire once.
    """

    def ticks_of(pid: int, number: int, state: TimerState) -> int:
        return expired.get(pid, {}).get(number, 0) if state.is_off else 0

    found = list(timers())
    if any(ticks_of(*each) for each in found):
        sleep(_INTERRUPT_TIMEOUT)  # one of them may be due at this very moment
        found = list(timers())
    restarted = 0
    for pid, number, state in found:
        if ticks := ticks_of(pid, number, state):
            state = state._replace(ticks=ticks)
        elif not state.stands_still:
            continue
        start(pid, number, state)
        restarted += 1
    return restarted


def encode(ticks: Ticks) -> dict[str, dict[str, int]]:
    """Return ticks as JSON has them."""
    return {str(pid): {str(number): each for number, each in of.items()} for pid, of in ticks.items()}


def decode(value: object, name: str) -> Ticks:
    """Return what `encode` returned. :raises MalformedFrame: the other node sent something else."""
    wrong = MalformedFrame(f"{name} is an object of processes, descriptors and ticks")
    if not isinstance(value, dict):
        raise wrong
    found: dict[int, dict[int, int]] = {}
    for pid, of in value.items():
        if not str(pid).isdecimal() or not isinstance(of, dict):
            raise wrong
        for number, each in of.items():
            if not str(number).isdecimal() or type(each) is not int or not 0 < each < 1 << 64:
                raise wrong
            found.setdefault(int(pid), {})[int(number)] = each
    return found


def _timers(pids: Iterable[int], proc: str) -> Iterator[tuple[int, int, TimerState]]:
    """Yield the processes, descriptors, and how each timer is now."""
    for pid in pids:
        with suppress(FileNotFoundError, ProcessLookupError):
            for name in os.listdir(f"{proc}/{pid}/fd"):
                if os.readlink(f"{proc}/{pid}/fd/{name}") != _LINK:
                    continue
                with open(f"{proc}/{pid}/fdinfo/{name}", encoding="ascii") as file:
                    yield pid, int(name), parse(file.read(_MAX_FILE_BYTES))


def _start(pid: int, number: int, state: TimerState) -> None:
    try:
        timer = duplicate_of(pid, number)
        try:
            if state.interval:
                _set(timer, state.interval)
            fcntl.ioctl(timer, _set_ticks(), struct.pack("=Q", state.ticks))  # `_set` has made them 0
        finally:
            os.close(timer)
    except OSError as error:
        raise CannotMove(
            f"a timer of its process {pid} cannot be set going again: {error.strerror}"
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
