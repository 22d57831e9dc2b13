"""
Attributes that no process can set for another one, only inherit: the personality, and some flags.

criu does not restore them. A copy gets them because the process that becomes criu takes them on before. So
all threads of a job must have the same, and a personality must be one in which criu works. Only protection
from speculation of the processor (PR_SET_SPECULATION_CTRL) may differ: all threads of the copy get the
strictest, which is never less than a thread had.

Standard library only: supervisors use it.
"""

from __future__ import annotations

import ctypes
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Final, NamedTuple

from libgomd.errors import CannotMove

#: Bits of a personality with which a copy was seen to be right: no randomised addresses, and the old layout.
_CARRIED: Final = 0x0040000 | 0x0200000
#: Flags of a thread: its policy for memory errors, and that it serves disks (PR_SET_IO_FLUSHER).
_MCE_SET: Final = 0x0000_0080
_MCE_EARLY: Final = 0x0800_0000
_FLUSHER: Final = 0x0008_0000 | 0x0010_0000
_PR_MCE_KILL, _PR_MCE_KILL_SET, _PR_SET_IO_FLUSHER = 33, 1, 57
_LATE, _EARLY = 0, 1
#: Protection from speculation, as flags beyond those of the kernel: what is switched off, and for good.
_NO_BYPASS, _NO_BYPASS_EVER, _NO_BRANCHES, _NO_BRANCHES_EVER = (1 << bit for bit in range(32, 36))
#: How /proc/TID/status words that a thread is protected.
_SPECULATION: Final = {
    "Speculation_Store_Bypass": {
        "thread mitigated": _NO_BYPASS,
        "thread force mitigated": _NO_BYPASS | _NO_BYPASS_EVER,
    },
    "SpeculationIndirectBranch": {
        "conditional disabled": _NO_BRANCHES,
        "conditional force disabled": _NO_BRANCHES | _NO_BRANCHES_EVER,
    },
}
_SPECULATION_LINE: Final = re.compile(rf"^({'|'.join(_SPECULATION)}):[ \t]*(.*)$", re.MULTILINE)
#: All words for a thread that is protected, and those for one that could be and is not.
PROTECTED: Final = frozenset(words for kind in _SPECULATION.values() for words in kind)
EXPOSED: Final = frozenset({"thread vulnerable", "vulnerable", "conditional enabled", "always enabled"})
_ALL_SPECULATION: Final = _NO_BYPASS | _NO_BYPASS_EVER | _NO_BRANCHES | _NO_BRANCHES_EVER
_PR_SET_SPECULATION_CTRL: Final = 53
_STORE_BYPASS, _INDIRECT_BRANCH = 0, 1
_DISABLE, _FORCE_DISABLE = 4, 8
#: Bytes that are read of a file.
_MAX_FILE_BYTES: Final = 4096
#: Bytes of a status file, which names up to 65,536 groups of the thread before what is read here.
_MAX_STATUS_BYTES: Final = 1 << 20


class Inherited(NamedTuple):
    """:ivar personality: as in /proc. :ivar flags: those above that are set."""

    personality: int = 0
    flags: int = 0


def read(pids: Iterable[int], proc: str = "/proc") -> set[Inherited]:
    """
    Return what the threads of the processes ``pids`` have; more than one when they differ. Blocks.

    It is empty where this kernel shows none of it.
    """
    found: set[Inherited] = set()
    for pid in pids:
        with suppress(OSError):  # it has just ended, or this kernel shows none of it
            found.update(_of_threads(f"{proc}/{pid}/task"))
    strictest = 0
    for each in found:
        strictest |= each.flags & _ALL_SPECULATION
    return {each._replace(flags=each.flags | strictest) for each in found}


def speculation(status: str) -> list[tuple[str, str]]:
    """
    Return how the kernel says that a thread is protected from speculation: each kind with its words.

    :param status: what the thread's file ``status`` in /proc holds.
    """
    return _SPECULATION_LINE.findall(status)


def reasons_to_stay(found: set[Inherited]) -> Iterator[str]:
    """Yield why a job whose threads have what `read` has found cannot move."""
    personalities = {each.personality for each in found}
    if strange := sorted(each for each in personalities if each & ~_CARRIED):
        yield f"it runs with the personality {strange[0]:#x} (see setarch), which cannot be carried over"
    elif len(personalities) > 1:
        yield "its processes have different personalities (see setarch)"
    if len({each.flags for each in found}) > 1:
        yield "its threads differ in what prctl has set (PR_MCE_KILL or PR_SET_IO_FLUSHER)"


def take_on(told: Inherited) -> None:
    """
    Give this process what its children are to have.

    :raises CannotMove: this kernel does not allow it.
    """
    if told.personality & ~_CARRIED:
        raise CannotMove(f"its personality {told.personality:#x} cannot be carried over")
    _checked(_libc.personality(ctypes.c_ulong(told.personality)), "its personality")
    if told.flags & _MCE_SET:
        policy = _EARLY if told.flags & _MCE_EARLY else _LATE
        _prctl("its policy for memory errors (PR_MCE_KILL)", _PR_MCE_KILL, _PR_MCE_KILL_SET, policy)
    if told.flags & _FLUSHER == _FLUSHER:
        _prctl("PR_SET_IO_FLUSHER", _PR_SET_IO_FLUSHER, 1)
    _protect(_STORE_BYPASS, told.flags & _NO_BYPASS, told.flags & _NO_BYPASS_EVER)
    _protect(_INDIRECT_BRANCH, told.flags & _NO_BRANCHES, told.flags & _NO_BRANCHES_EVER)


def _protect(what: int, off: int, ever: int) -> None:
    """Switch a speculation off, if the processor has it. Whether a thread lacks it is seen in the copy."""
    if off:
        with suppress(CannotMove):
            value = _FORCE_DISABLE if ever else _DISABLE
            _prctl("PR_SET_SPECULATION_CTRL", _PR_SET_SPECULATION_CTRL, what, value)


def _of_threads(directory: str) -> Iterator[Inherited]:
    for thread in os.listdir(directory):
        with open(f"{directory}/{thread}/stat", encoding="utf-8", errors="replace", newline="\n") as file:
            words = file.read(_MAX_FILE_BYTES).rpartition(")")[2].split()
        with open(f"{directory}/{thread}/personality", encoding="ascii") as file:
            personality = int(file.read(_MAX_FILE_BYTES), 16)
        if words[0] not in "ZXx":
            yield Inherited(personality, _set_by_prctl(int(words[6])) | _protection(f"{directory}/{thread}"))


def _protection(thread: str) -> int:
    """Return how a thread, given its directory in /proc, is protected from speculation."""
    with open(f"{thread}/status", encoding="utf-8", errors="replace", newline="\n") as file:
        status = file.read(_MAX_STATUS_BYTES)
    found = 0
    for kind, words in speculation(status):
        found |= _SPECULATION[kind].get(words, 0)
    return found


def _set_by_prctl(flags: int) -> int:
    """Return those flags that prctl sets; the kernel sets one of a flusher's two for a moment by itself."""
    found = flags & (_MCE_SET | _MCE_EARLY)
    return found | _FLUSHER if flags & _FLUSHER == _FLUSHER else found


_libc = ctypes.CDLL(None, use_errno=True)


def _prctl(what: str, *values: int) -> None:
    words = [ctypes.c_ulong(value) for value in (*values, 0, 0, 0)[:5]]
    _checked(_libc.prctl(ctypes.c_int(values[0]), *words[1:]), what)


def _checked(result: int, what: str) -> None:
    if result < 0:
        raise CannotMove(f"{what} cannot be set here: {os.strerror(ctypes.get_errno())}")
