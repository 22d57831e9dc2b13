"""
Saves the signals that reach a job during its dump, after criu has read the pending ones.

criu reads the signals of a process first, then sends its memory, then reads its timers. A timer that expires
in between is in the images as one that is over, and its signal is not in them: the copy would never get it.
The original has it, though. So what waits for the original when the dump is complete and is not in the images
is sent to the copy again. The signal of a timer that goes on in the images is left out, as the copy's own
timer sends it.

An ordinary signal is seen only while criu still holds the original (`note`): when criu lets it go, it takes
those below SIGSTOP on its way into being stopped. Real-time signals wait on, and with the stopped original
the kernel tells all that is to be known of each.

Standard library only: supervisors use it.
"""

from __future__ import annotations

import ctypes
import os
import signal
import struct
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Final, NamedTuple

from gomd.jobs.checkpoint import core_signals, injection, pending_signals, syscalls
from gomd.jobs.checkpoint.core_signals import CoreImage

#: Signals that the copy has by itself: it was stopped, and its children were.
_OWN: Final = (signal.SIGCHLD, signal.SIGSTOP, signal.SIGCONT)
_INTERVAL_TIMERS: Final = (signal.SIGALRM, signal.SIGVTALRM, signal.SIGPROF)
_FROM_TIMER, _FROM_KERNEL = -2, 0x80
_FIRST_REAL_TIME: Final = 32
_NOTE: Final = "pending-signals"
#: Maximum number of signals, bytes of ``siginfo_t``, and bytes of an image that are read.
MAX_SIGNALS: Final = 1000
INFO_SIZE: Final = 128
_MAX_IMAGE_BYTES: Final = 4 << 20


class LateSignal(NamedTuple):
    """:ivar thread: to which it goes, 0 for the process. :ivar info: its ``siginfo_t``."""

    pid: int
    thread: int
    info: bytes


def note(pids: Iterable[int], directory: str) -> None:
    """
    Write down which signals wait for the processes ``pids``, which criu has dumped and still holds. Blocks.

    :param directory: of their images.
    """
    lines = (f"{pid} {mask}\n" for pid, mask in pending_signals.read(pids).items())
    with open(os.path.join(directory, _NOTE), "w", encoding="ascii") as file:
        file.writelines(lines)


def noted(directory: str) -> dict[int, int]:
    """Return the signals that `note` wrote down, as `pending_signals.read` does. :raises OSError: none."""
    with open(os.path.join(directory, _NOTE), encoding="ascii") as file:
        return {int(pid): int(mask) for pid, mask in map(str.split, file)}


def read(before: Mapping[int, int], after: Mapping[int, int], directory: str) -> tuple[LateSignal, ...]:
    """
    Return what waits for the stopped processes of a job and is not in their images. Blocks.

    :param before: what waited while criu held them: `noted`. :param after: what waits now.
    :param directory: of the images.
    """
    found: list[LateSignal] = []
    for pid in before.keys() | after.keys():
        ordinary = [number for number in _numbers(before.get(pid, 0)) if number < _FIRST_REAL_TIME]
        real_time = [number for number in _numbers(after.get(pid, 0)) if number >= _FIRST_REAL_TIME]
        if not ordinary and not real_time:
            continue
        with suppress(OSError, injection.CannotInject):
            leader = _image(directory, pid)
            found += _ordinary(pid, ordinary, leader)
            found += _real_time(pid, directory, leader) if real_time else ()
    return tuple(found[:MAX_SIGNALS])


def send(signals: Iterable[LateSignal]) -> None:
    """Send signals to the stopped processes of a copy. Those that have no such process are left out."""
    for pid, thread, info in signals:
        number = struct.unpack_from("=i", info)[0]
        buffer = ctypes.create_string_buffer(info[:INFO_SIZE].ljust(INFO_SIZE, b"\0"), INFO_SIZE)
        try:
            if thread:
                syscalls.call("rt_tgsigqueueinfo", pid, thread, number, buffer)
            else:
                syscalls.call("rt_sigqueueinfo", pid, number, buffer)
        except PermissionError:  # the kernel lets nobody say that it was the kernel
            with suppress(OSError):
                os.kill(pid, number)
        except OSError:
            continue


def _numbers(mask: int) -> list[int]:
    return [number for number in range(1, 65) if mask >> number - 1 & 1 and number not in _OWN]


def _ordinary(pid: int, numbers: Iterable[int], leader: CoreImage) -> Iterator[LateSignal]:
    """Yield those of ``numbers``, of which one each can wait, that are not in the image of a process."""
    known = {struct.unpack_from("=i", info)[0] for info in (*leader.shared, *leader.private)}
    for number in numbers:
        info = struct.pack("=iii", number, 0, _FROM_KERNEL).ljust(INFO_SIZE, b"\0")
        if number not in known and not _comes_again(info, leader):
            yield LateSignal(pid, 0, info)


def _real_time(pid: int, directory: str, leader: CoreImage) -> Iterator[LateSignal]:
    for info in _not_in(injection.queued(pid, shared=True), leader.shared, leader):
        yield LateSignal(pid, 0, info)
    for name in os.listdir(f"/proc/{pid}/task"):
        thread = int(name)
        own = leader if thread == pid else _image(directory, thread)
        for info in _not_in(injection.queued(thread, shared=False), own.private, leader):
            yield LateSignal(pid, thread, info)


def _not_in(waiting: Collection[bytes], known: Iterable[bytes], leader: CoreImage) -> Iterator[bytes]:
    """Yield the real-time signals in ``waiting`` that are lost. :param leader: has the timers."""
    left = list(known)
    for info in waiting:
        same = next((each for each in left if each[:INFO_SIZE] == info), None)
        if same is not None:
            left.remove(same)
        elif struct.unpack_from("=i", info)[0] >= _FIRST_REAL_TIME and not _comes_again(info, leader):
            yield info


def _comes_again(info: bytes, leader: CoreImage) -> bool:
    """Whether the copy gets a signal by itself."""
    number, _error, code, _pad, timer = struct.unpack_from("=iiiii", info)
    if number in _OWN or not 0 < number < 65:
        return True
    if code == _FROM_TIMER:
        return leader.posix_timers.get(timer, False)
    return number in _INTERVAL_TIMERS and leader.interval_timers[_INTERVAL_TIMERS.index(number)]


def _image(directory: str, thread: int) -> CoreImage:
    with open(os.path.join(directory, f"core-{thread}.img"), "rb") as file:
        return core_signals.parse(file.read(_MAX_IMAGE_BYTES))
