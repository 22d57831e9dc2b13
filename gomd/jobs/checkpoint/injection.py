"""
Lets a thread of another process make system calls, and go on afterwards as if nothing had happened.

Some of what a process has can be asked by itself only. The thread is stopped with ptrace, given a system
call, and stopped again where the kernel handles signals; with its own registers put back there, the kernel
itself restarts the call in which the thread was. That is what criu does, and it takes part of a millisecond.

Theory of operation: after PTRACE_SEIZE and PTRACE_INTERRUPT the thread stops where it handles signals. It is
continued at a ``syscall`` instruction of its vdso as far as the entry of the call, told to stop again, and
continued: the next stop is behind the call, in the handling of signals again. Meanwhile all of its signals
are blocked: a shell always has the end of a child coming, and that would stop it on the way.

Standard library only: supervisors use it.
"""

from __future__ import annotations

import ctypes
import errno
import os
import re
import signal
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Final

_libc: Final = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.restype = ctypes.c_long
_CONT, _SYSCALL, _DETACH, _GETREGSET, _SETREGSET = 7, 24, 17, 0x4204, 0x4205
_SEIZE, _INTERRUPT, _GETSIGMASK, _SETSIGMASK = 0x4206, 0x4207, 0x420A, 0x420B
_VDSO: Final = re.compile(r"^([0-9a-f]+)-([0-9a-f]+) .*\[vdso\]$", re.MULTILINE)
_PEEKSIGINFO: Final = 0x4209
_INFO_SIZE, _MAX_INFOS = 128, 1000
_TRACE_SYSTEM_CALLS: Final = 1
_SUSPEND_SECCOMP: Final = 1 << 21
_GENERAL_REGISTERS: Final = 1
_WALL: Final = 0x40000000
_EVENT_STOP: Final = 128
_ENTRY: Final = signal.SIGTRAP | 0x80
#: Seconds that a thread may take to stop again before its registers are put back, or before it is let go as
#: it is. It takes microseconds, unless the machine has no processor left for it.
_RESTORE_TIMEOUT: Final = 600.0
_RELEASE_TIMEOUT: Final = 1.0
#: Signals that wait while a thread is held.
_DEFERRED: Final = (signal.SIGTERM, signal.SIGALRM, signal.SIGINT, signal.SIGHUP)


class CannotInject(Exception):
    """The thread does not stop, cannot be traced, or is of a kind for which this is not possible."""


@dataclass(frozen=True, slots=True)
class _Machine:
    """
    How a system call is made. :ivar words: of the registers. :ivar instruction: that makes the call.

    :ivar number: the register of its number; ``arguments`` those of the arguments; ``result`` of its result.
    :ivar at: the register of the next instruction. :ivar no_restart: registers and what to put there, so
        that no interrupted call is restarted in between.
    :ivar calls: numbers by name.
    """

    words: int
    instruction: bytes
    number: int
    arguments: tuple[int, ...]
    result: int
    at: int
    no_restart: tuple[tuple[int, int], ...]
    calls: dict[str, int]


_ALL_BITS: Final = (1 << 64) - 1
_MACHINES: Final = {
    "x86_64": _Machine(
        27, b"\x0f\x05", 10, (14, 13, 12, 7, 9), 10, 16, ((15, _ALL_BITS),), {"prctl": 157, "kcmp": 312}
    ),
    "aarch64": _Machine(
        34, b"\x01\x00\x00\xd4", 8, (0, 1, 2, 3, 4), 0, 32, (), {"prctl": 167, "kcmp": 272}
    ),
}  # fmt: skip


class _Vector(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class StoppedThread:
    """A thread that `stopped` holds. Its system calls must not block."""

    def __init__(self, thread: int, machine: _Machine, deadline: float) -> None:
        self._thread = thread
        self._machine = machine
        self._deadline = deadline
        #: Whether it may be on its way: then it has to stop once more before anything can be put back.
        self._runs = True
        self._pending = 0
        self._instruction = 0
        self._saved: list[int] = []
        self._mask = 0

    def stop(self) -> None:
        """
        Wait for its first stop, and keep what it has.

        :raises CannotInject: it does not stop in time, or its memory cannot be read.
        """
        while pending := self._stop(self._deadline):  # a signal was on its way before the interruption
            _ptrace(_INTERRUPT, self._thread)  # that stop has taken the place of ours
            self._go_on(_CONT, pending)
        self._instruction = _instruction(self._thread, self._machine.instruction)  # no exec can come now
        self._mask = _signal_mask(self._thread)
        self._saved = self._registers()
        _set_signal_mask(self._thread, _ALL_BITS)

    def call(self, name: str, *arguments: int) -> int:
        """
        Let the thread make a system call; return its result, negative the number of an error.

        :raises CannotInject: it does not stop behind it in time.
        """
        machine = self._machine
        registers = list(self._saved)
        registers[machine.number] = machine.calls[name]
        for place, word in zip(machine.arguments, (*arguments, 0, 0, 0, 0, 0), strict=False):
            registers[place] = word & _ALL_BITS
        registers[machine.at] = self._instruction
        for place, word in machine.no_restart:
            registers[place] = word
        self._set(registers)
        self._go_on(_SYSCALL)
        while (stop := self._stop(self._deadline)) in (0, signal.SIGSTOP):
            self._go_on(_SYSCALL, stop)  # the kernel may tell first that the job was stopped or continued
        self._pending = stop
        if stop != _ENTRY:
            raise CannotInject(f"signal {stop} came in between")
        self._finish_call(self._deadline)
        word = self._registers()[machine.result]
        return word - (1 << 64) if word >> 63 else word

    def restore(self) -> None:
        """
        Put its registers and its signal mask back and let it go on.

        A thread that went on with the registers of another call would crash: this waits until it has stopped.
        One that has never stopped is as it was; the end of this process lets it go.

        :raises CannotInject: it does not stop.
        """
        end = time.monotonic() + (_RESTORE_TIMEOUT if self._saved else _RELEASE_TIMEOUT)
        with suppress(ProcessLookupError):
            if self._runs:
                _ptrace(_INTERRUPT, self._thread)
                self._pending = self._stop(end)
            if self._pending == _ENTRY:
                self._finish_call(end)
            if self._saved:
                self._set(self._saved)
                _set_signal_mask(self._thread, self._mask)
            _ptrace(_DETACH, self._thread, 0, self._pending)

    def _finish_call(self, deadline: float) -> None:
        """Go on from the entry of a call to the stop behind it."""
        _ptrace(_INTERRUPT, self._thread)
        self._go_on(_CONT)
        self._pending = self._stop(deadline)

    def _go_on(self, request: int, pending: int = 0) -> None:
        _ptrace(request, self._thread, 0, pending)
        self._runs = True

    def _stop(self, deadline: float) -> int:
        stop = _wait(self._thread, deadline)
        self._runs = False
        return stop

    def _registers(self) -> list[int]:
        words = (ctypes.c_uint64 * self._machine.words)()
        vector = _Vector(ctypes.addressof(words), ctypes.sizeof(words))
        _ptrace(_GETREGSET, self._thread, _GENERAL_REGISTERS, ctypes.addressof(vector))
        if vector.length != ctypes.sizeof(words):
            raise CannotInject("it is a program of another kind of processor")
        return list(words)

    def _set(self, registers: list[int]) -> None:
        words = (ctypes.c_uint64 * self._machine.words)(*registers)
        vector = _Vector(ctypes.addressof(words), ctypes.sizeof(words))
        _ptrace(_SETREGSET, self._thread, _GENERAL_REGISTERS, ctypes.addressof(vector))


@contextmanager
def stopped(
    thread: int, limit: float, filtered: bool = False, now: Callable[[], float] = time.monotonic
) -> Iterator[StoppedThread]:
    """
    Hold a thread for the block. Blocks.

    Signals that ask this process to end wait meanwhile: a thread that is let go by the end of its tracer goes
    on with the registers of another call.

    :param thread: its id. :param limit: seconds that all of it may take. :param filtered: it has seccomp
        filters, which must not see the calls.
    :raises CannotInject: it does not stop, is traced already, or this machine is not known.
    :raises ProcessLookupError: it has ended.
    """
    machine = _MACHINES.get(os.uname().machine)
    if machine is None:
        raise CannotInject(f"system calls of {os.uname().machine} are not known to gomd")
    earlier = signal.pthread_sigmask(signal.SIG_BLOCK, _DEFERRED)
    try:
        _ptrace(_SEIZE, thread, 0, _TRACE_SYSTEM_CALLS | (_SUSPEND_SECCOMP if filtered else 0))
        held = StoppedThread(thread, machine, now() + limit)
        try:
            _ptrace(_INTERRUPT, thread)
            held.stop()
            yield held
        finally:
            held.restore()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, earlier)


def queued(thread: int, shared: bool, limit: float = 1.0) -> list[bytes]:
    """
    Return ``siginfo_t`` of each signal that waits for a stopped thread. Blocks briefly.

    :param shared: those of its process, else its own. :param limit: seconds.
    :raises CannotInject: it cannot be traced. :raises ProcessLookupError: it has ended.
    """
    _ptrace(_SEIZE, thread)
    try:
        _ptrace(_INTERRUPT, thread)
        pending = _wait(thread, time.monotonic() + limit)
        infos = ctypes.create_string_buffer(_INFO_SIZE * _MAX_INFOS)
        asked = ctypes.create_string_buffer(struct.pack("=QIi", 0, int(shared), _MAX_INFOS))
        count = _ptrace(_PEEKSIGINFO, thread, ctypes.addressof(asked), ctypes.addressof(infos))
        _ptrace(_DETACH, thread, 0, pending)
    except CannotInject:
        with suppress(CannotInject, ProcessLookupError):
            _ptrace(_DETACH, thread)
        raise
    return [infos.raw[at : at + _INFO_SIZE] for at in range(0, count * _INFO_SIZE, _INFO_SIZE)]


def _instruction(thread: int, code: bytes) -> int:
    """Return where the vdso of a process has the instruction ``code``."""
    try:
        with open(f"/proc/{thread}/maps", encoding="utf-8", errors="replace") as file:
            found = _VDSO.search(file.read(16 << 20))
        if found is None:
            raise CannotInject("it has no vdso")
        begin, end = int(found[1], 16), int(found[2], 16)
        with open(f"/proc/{thread}/mem", "rb", buffering=0) as memory:
            memory.seek(begin)
            at = memory.read(end - begin).find(code)
    except FileNotFoundError as error:
        raise ProcessLookupError(f"thread {thread} has ended") from error
    except OSError as error:
        raise CannotInject(f"its memory cannot be read: {error.strerror}") from error
    if at < 0:
        raise CannotInject("its vdso makes no system call")
    return begin + at


def _wait(thread: int, deadline: float, now: Callable[[], float] = time.monotonic) -> int:
    """
    Wait for the next stop of a thread.

    :returns: the signal that is about to be delivered, 0 when it was stopped for this process alone.
    """
    while True:
        try:
            pid, status = os.waitpid(thread, os.WNOHANG | _WALL)
        except ChildProcessError as error:
            raise ProcessLookupError(f"thread {thread} has ended") from error
        if pid == thread:
            break
        if now() > deadline:
            raise CannotInject("it does not stop")
        time.sleep(0.00005)
    if not os.WIFSTOPPED(status):
        raise ProcessLookupError(f"thread {thread} has ended")
    return 0 if status >> 16 == _EVENT_STOP else status >> 8 & 0xFF


def _signal_mask(thread: int) -> int:
    mask = ctypes.c_uint64()
    _ptrace(_GETSIGMASK, thread, ctypes.sizeof(mask), ctypes.addressof(mask))
    return mask.value


def _set_signal_mask(thread: int, signals: int) -> None:
    mask = ctypes.c_uint64(signals)
    _ptrace(_SETSIGMASK, thread, ctypes.sizeof(mask), ctypes.addressof(mask))


def _ptrace(request: int, thread: int, address: int = 0, data: int = 0) -> int:
    result = _libc.ptrace(
        ctypes.c_long(request), ctypes.c_long(thread), ctypes.c_void_p(address), ctypes.c_void_p(data)
    )
    if result == -1:
        number = ctypes.get_errno()
        if number == errno.ESRCH:
            raise ProcessLookupError(number, f"thread {thread} has ended")
        raise CannotInject(os.strerror(number))
    return int(result)
