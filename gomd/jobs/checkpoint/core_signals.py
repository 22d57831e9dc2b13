"""
The signals and timers in criu's image of a process or thread (``core-PID.img``). No I/O.

An image is a magic number and one protobuf message; only the few fields that are needed are read.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

from gomd.jobs.checkpoint.protobuf import Values, readable_values

_MAGIC: Final = struct.pack("=II", 0x54564319, 0x55053847)
#: Values of criu's messages (images/core.proto, timer.proto, siginfo.proto).
_TASK, _THREAD = 3, 5
_TASK_TIMERS, _TASK_SIGNALS, _THREAD_SIGNALS = 7, 10, 9
_POSIX_TIMER, _TIMER_ID = 4, 1
_TIMER_VALUES: Final = ((7, 8), (9, 10))
_INTERVAL_VALUES: Final = ((1, 2), (3, 4))


class CoreImage(NamedTuple):
    """
    :ivar shared: ``siginfo_t`` of each signal that waited for the process; ``private``: for this thread.

    :ivar posix_timers: whether each POSIX timer, by its id, goes on.
    :ivar interval_timers: whether each of the three interval timers goes on, real, virtual and profiling.
    """

    shared: tuple[bytes, ...] = ()
    private: tuple[bytes, ...] = ()
    posix_timers: dict[int, bool] = {}
    interval_timers: tuple[bool, bool, bool] = (False, False, False)


def parse(image: bytes) -> CoreImage:
    """Return the signals in ``image``; those that cannot be read are left out."""
    if not image.startswith(_MAGIC):
        return CoreImage()
    core = readable_values(image[len(_MAGIC) + 4 :])
    task, thread = readable_values(_message(core, _TASK)), readable_values(_message(core, _THREAD))
    timers = readable_values(_message(task, _TASK_TIMERS))
    posix = {}
    for each in timers.get(_POSIX_TIMER, ()):
        timer = readable_values(each) if isinstance(each, bytes) else {}
        posix[_number(timer, _TIMER_ID)] = _goes_on(timer, _TIMER_VALUES)
    real, virtual, profiling = (
        _goes_on(readable_values(_message(timers, number)), _INTERVAL_VALUES) for number in (1, 2, 3)
    )
    return CoreImage(
        tuple(_signals(_message(task, _TASK_SIGNALS))), tuple(_signals(_message(thread, _THREAD_SIGNALS))),
        posix, (real, virtual, profiling),
    )  # fmt: skip


def _signals(queue: bytes) -> Iterator[bytes]:
    for each in readable_values(queue).get(1, ()):
        if isinstance(each, bytes):
            yield from (info for info in readable_values(each).get(1, ()) if isinstance(info, bytes))


def _goes_on(timer: Values, values: tuple[tuple[int, int], ...]) -> bool:
    return any(_number(timer, name) for pair in values for name in pair)


def _message(message: Values, name: int) -> bytes:
    found = message.get(name, [b""])[0]
    return found if isinstance(found, bytes) else b""


def _number(message: Values, name: int) -> int:
    found = message.get(name, [0])[0]
    return found if isinstance(found, int) else 0
