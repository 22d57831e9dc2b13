"""
The pending signals of a job's processes, to which a restore must add none.

A signal that is pending in a stopped copy, and was not pending when the job was dumped, comes from the
restore itself. The copy would get it as soon as it is continued, and most signals end it. Those that its own
timers send are not counted: a timer may expire while the copy is held.

Standard library only: supervisors use it.
"""

from __future__ import annotations

import functools
import operator
import os
import re
import signal
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Final

from libgomd.errors import CannotMove

#: Signals that a copy may have: its children have been stopped, as it was itself, and its timers go on.
_EXPECTED: Final = (
    signal.SIGCHLD, signal.SIGSTOP, signal.SIGCONT, signal.SIGALRM, signal.SIGVTALRM, signal.SIGPROF,
)  # fmt: skip
_MASK = re.compile(r"^(?:SigPnd|ShdPnd):\s*([0-9a-f]+)$", re.MULTILINE)
_ENDED = re.compile(r"^State:\s*[ZX]", re.MULTILINE)
_TIMER = re.compile(r"^signal: (\d+)/", re.MULTILINE)
#: Bytes that are read of a file.
_MAX_FILE_BYTES: Final = 1 << 20


def read(pids: Iterable[int], proc: str = "/proc") -> dict[int, int]:
    """
    Return which signals are pending for each process or one of its threads: bit 0 is signal 1. Blocks.

    Processes that have ended are left out.
    """
    found: dict[int, int] = {}
    for pid in pids:
        with suppress(FileNotFoundError, ProcessLookupError):
            for thread in os.listdir(f"{proc}/{pid}/task"):
                found[pid] = found.get(pid, 0) | _pending(f"{proc}/{pid}/task/{thread}/status")
    return found


def check(pids: Iterable[int], before: Mapping[int, int], proc: str = "/proc") -> None:
    """
    Check that for the stopped processes ``pids`` no signal is pending that was not so ``before``. Blocks.

    :param before: what `read` returned when the job was dumped.
    :raises CannotMove: there is one.
    """
    for pid, pending in read(pids, proc).items():
        new = pending & ~before.get(pid, 0)
        for number in (*_EXPECTED, *_of_timers(f"{proc}/{pid}/timers")):
            new &= ~(1 << number - 1)
        if new:
            number = new.bit_length()
            name = signal.Signals(number).name if number in _NAMED else f"signal {number}"
            raise CannotMove(f"its restore sent {name} to its process {pid}")


_NAMED: Final = frozenset(int(number) for number in signal.Signals)


def _pending(path: str) -> int:
    with open(path, encoding="ascii", errors="replace", newline="\n") as file:
        text = file.read(_MAX_FILE_BYTES)
    if _ENDED.search(text):
        return 0  # what ended it may still be noted, and does nothing any more
    masks = [int(found, 16) for found in _MASK.findall(text)]
    return functools.reduce(operator.or_, masks, 0)


def _of_timers(path: str) -> list[int]:
    """Return the signals of a process's POSIX timers; none where the kernel does not show them."""
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return [
                number for number in map(int, _TIMER.findall(file.read(_MAX_FILE_BYTES))) if 0 < number < 65
            ]
    except OSError:
        return []
