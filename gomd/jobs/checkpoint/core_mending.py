"""
Repairs criu's core images (``core-PID.img``): system calls that the freeze interrupted, and a stale SIGCONT.

**System calls that criu has interrupted** go on in a copy, as they do for a process that is stopped.
poll(2), nanosleep(2) and clock_nanosleep(2) are among the calls that the kernel takes up again by itself when
a process was stopped and continued. What it needs for that is lost with a copy, so criu lets them fail with
EINTR there. That is an error which no program expects that handles no signals: a relay such as script(1)
ends, and a sleep is over. So the images are changed: the call is made again. A sleep has only what is left of
it, which the kernel has written to where the program wants that; without such a place it begins anew.

**The SIGCONT of an earlier move** waits for ever in a process that blocks it, and criu fails to restore it:
"stopped by signal 5". It is left out; any other signal stays.

A core image is two words, then messages of protocol buffers, each behind its length. Calls are mended on
x86-64 only. Standard library only: supervisors use it.
"""

from __future__ import annotations

import os
import re
import signal
import struct
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Final, NamedTuple

from gomd.jobs.checkpoint.protobuf import BYTES, VARINT, Field, encode, read_fields

#: Numbers of the fields on the way to the registers, and the machine that they are of.
_MACHINE_TYPE, _THREAD_INFO, _REGISTERS = 1, 2, 2
#: And to the signals that wait: of the process, of each one the kernel's siginfo_t.
_TASK, _WAITING, _SIGNAL, _SIGINFO = 3, 10, 1, 1
#: SIGCONT, sent by kill(2) from process 1 of the namespace, which is the supervisor.
_CONTINUED: Final = (int(signal.SIGCONT), 0, 1)
_X86_64: Final = 1
#: Numbers of registers in an image.
_R10, _AX, _DX, _SI, _DI, _CALL, _IP, _SP, _MODE = 8, 11, 13, 14, 15, 16, 17, 20, 28
_NATIVE: Final = 1
#: System calls by their numbers.
_POLL, _NANOSLEEP, _CLOCK_NANOSLEEP = 7, 35, 230
_CALLS: Final = (_POLL, _NANOSLEEP, _CLOCK_NANOSLEEP)
#: The one by which the kernel lets a call go on that was stopped.
_RESTART: Final = 219
#: -EINTR, as a register has it.
_INTERRUPTED: Final = (1 << 64) - 4
#: Bytes of the instruction by which a call is made.
_INSTRUCTION: Final = 2
_HEAD: Final = 8
_MAX_IMAGE_BYTES: Final = 16 << 20
#: Of a siginfo_t: signal, error, code, and behind padding the process that has sent it.
_SIGINFO_HEAD: Final = struct.Struct("<iii4xi")
_CORE = re.compile(r"core-\d+\.img")


class WaitingCall(NamedTuple):
    """A system call in which a thread waits: its number, and where its stack and its program are."""

    number: int
    stack: int
    place: int


def waiting_calls(pids: Iterable[int], proc: str = "/proc") -> dict[int, WaitingCall]:
    """
    Return, by thread, the calls in which threads wait now that are to be made again. Blocks briefly.

    Call it before anything stops the job: the kernel does not tell which call it is that goes on behind that.
    """
    found = {}
    for pid in pids:
        try:
            for thread in os.listdir(f"{proc}/{pid}/task"):
                with open(f"{proc}/{pid}/task/{thread}/syscall", encoding="ascii") as file:
                    words = file.read(300).split()
                if len(words) == 9 and words[0].isdecimal() and int(words[0]) in _CALLS:
                    found[int(thread)] = WaitingCall(int(words[0]), int(words[7], 16), int(words[8], 16))
        except OSError:
            continue  # it has just ended, or the kernel does not tell
    return found


def mend(directory: str, waiting: Mapping[int, WaitingCall] = MappingProxyType({})) -> int:
    """
    Change the images in ``directory``; return how many have changed. Blocks briefly.

    :param waiting: what `waiting_calls` returned before the job was stopped.

    An image that looks other than expected is left as it is.

    :raises OSError: an image cannot be read or written.
    """
    count = 0
    for name in os.listdir(directory):
        if _CORE.fullmatch(name):
            path = os.path.join(directory, name)
            with open(path, "rb") as file:
                data = file.read(_MAX_IMAGE_BYTES)
            changed = changed_image(data, waiting.get(int(name[5:-4])))
            if changed != data:
                with open(path, "wb") as file:
                    file.write(changed)
                count += 1
    return count


def changed_image(data: bytes, waiting: WaitingCall | None = None) -> bytes:
    """
    Return a core image as it has to be; ``data`` itself when nothing has to be changed.

    :param waiting: the call in which the thread was before it was stopped, None when that is not known.
    """
    try:
        [size] = struct.unpack_from("<I", data, _HEAD)
        begin, end = _HEAD + 4, _HEAD + 4 + size
        if end > len(data):
            return data
        core = data[begin:end]
        inner = _changed(core, (_TASK, _WAITING), _without_continued)
        if (_MACHINE_TYPE, VARINT, _X86_64) in read_fields(core):
            inner = _changed(inner, (_THREAD_INFO, _REGISTERS), partial(_with_call, waiting=waiting))
    except (ValueError, struct.error):
        return data
    if inner == core:
        return data
    return data[:_HEAD] + struct.pack("<I", len(inner)) + inner + data[end:]


def _changed(data: bytes, path: tuple[int, ...], change: Callable[[bytes], bytes]) -> bytes:
    """Return a message with the messages at ``path`` in it changed."""
    if not path:
        return change(data)
    fields: list[Field] = [
        (number, kind, _changed(value, path[1:], change))
        if number == path[0] and kind == BYTES and isinstance(value, bytes)
        else (number, kind, value)
        for number, kind, value in read_fields(data)
    ]
    return encode(fields)


def _without_continued(data: bytes) -> bytes:
    """Return signals that wait without the one that let the job go on behind an earlier move."""
    return encode([each for each in read_fields(data) if not _is_continued(each)])


def _is_continued(field: Field) -> bool:
    number, _kind, value = field
    if number != _SIGNAL or not isinstance(value, bytes):
        return False
    told = next((each for inner, _, each in read_fields(value) if inner == _SIGINFO), b"")
    if not isinstance(told, bytes) or len(told) < _SIGINFO_HEAD.size:
        return False
    signo, _error, code, sender = _SIGINFO_HEAD.unpack_from(told)
    return (signo, code, sender) == _CONTINUED


def _with_call(data: bytes, waiting: WaitingCall | None) -> bytes:
    """Return registers with which an interrupted call is made again."""
    fields = list(read_fields(data))
    values = {number: value for number, kind, value in fields if isinstance(value, int)}
    call, native = values.get(_CALL), values.get(_MODE, _NATIVE) == _NATIVE
    if call == _RESTART and waiting is not None and waiting[1:] == (values[_SP], values[_IP]):
        call = waiting.number
    if not native or values.get(_AX) != _INTERRUPTED or call not in _CALLS:
        return data
    new: dict[int, int | bytes] = {_AX: call, _IP: values[_IP] - _INSTRUCTION}
    if call == _NANOSLEEP and values[_SI]:
        new[_DI] = values[_SI]
    elif call == _CLOCK_NANOSLEEP and values[_R10]:
        new[_DX] = values[_R10]
    return encode([(number, kind, new.get(number, value)) for number, kind, value in fields])
