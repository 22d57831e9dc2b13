"""
The terminals that processes of a job have open, and which of them can be made anew on another node.

A job that can move has a /dev/pts of its own, so that the number of a terminal is free wherever it goes.
Standard library only: supervisors use it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from collections.abc import Collection, Iterable
from typing import Final

from gomd.jobs.checkpoint.borrowed_descriptor import duplicate_of
from libgomd.errors import CannotMove

#: Why a job stays whose terminal cannot be handed over.
TERMINAL_STAYS: Final = (
    "it has a terminal of the machine's and not one of its own, as those have that began under a version of "
    "gomd whose terminals could not move, or where the kernel lets gomd mount no /dev/pts"
)
#: Why a job stays of which criu does not carry what is open by the name of /dev/tty.
OTHER_TTY: Final = (
    "a terminal that it has made itself is open as /dev/tty, as a pager or dash has it below script or "
    "expect: leave that program"
)
ONLY_TTY: Final = "its terminal is open as /dev/tty only, and not as standard input, output or error"
_UNKNOWN_TTY: Final = "which terminal it has open as /dev/tty cannot be seen on this kernel"
_TTY: Final = "/dev/tty"
#: What a job with a /dev/pts of its own may have open, beside what is in there.
MOVABLE: Final = frozenset((_TTY, "/dev/ptmx", "/dev/pts/ptmx"))
#: Asks a terminal for its device number, whatever name it was opened by.
_TIOCGDEV: Final = 0x80045432


def has_own(pid: int, proc: str = "/proc") -> bool:
    """Return whether a process has another /dev/pts than the caller. Blocks."""
    try:
        return os.stat(f"{proc}/{pid}/root/dev/pts").st_dev != os.stat("/dev/pts").st_dev
    except OSError:
        return False


def opened_by_tty(pids: Iterable[int], proc: str = "/proc") -> set[int]:
    """
    Return the numbers of those terminals that processes have open by the name of /dev/tty. Blocks.

    :raises CannotMove: that cannot be seen.
    """
    found = set()
    for pid in pids:
        try:
            names = os.listdir(f"{proc}/{pid}/fd")
        except OSError:
            continue  # it has just ended
        for name in names:
            try:
                if os.readlink(f"{proc}/{pid}/fd/{name}") == _TTY:
                    found.add(_number(pid, int(name)))
            except OSError as error:
                if error.errno in (errno.ENOENT, errno.ESRCH, errno.EBADF):
                    continue  # it has just been closed
                raise CannotMove(_UNKNOWN_TTY) from error
    return found


def has_any(pids: Iterable[int], proc: str = "/proc") -> bool:
    """Return whether processes have a terminal open, or an end of one. Blocks."""
    return any(target in MOVABLE or target.startswith("/dev/pts/") for target in _opened(pids, proc))


def _opened(pids: Iterable[int], proc: str) -> set[str]:
    found = set()
    for pid in pids:
        try:
            found |= {os.readlink(f"{proc}/{pid}/fd/{name}") for name in os.listdir(f"{proc}/{pid}/fd")}
        except OSError:
            continue  # it has just ended
    return found


def reasons_to_stay(pids: Collection[int], has_terminal: bool, proc: str = "/proc") -> list[str]:
    """
    Return why its terminals keep a job here that has a /dev/pts of its own. Blocks.

    :param has_terminal: whether it has one of its supervisor's, which is /dev/pts/0 then.
    """
    try:
        uses_tty(pids, 0 if has_terminal else None, proc)
    except CannotMove as error:
        return [str(error)]
    return []


def uses_tty(pids: Collection[int], own: int | None, proc: str = "/proc") -> bool:
    """
    Return whether processes have the job's terminal open by the name of /dev/tty. Blocks.

    :param own: its number in /dev/pts, None when the job has none.
    :raises CannotMove: criu could not carry over what they have open by that name.
    """
    found = opened_by_tty(pids, proc)
    if not found <= {own}:
        raise CannotMove(OTHER_TTY)
    if found and f"/dev/pts/{own}" not in _opened(pids, proc):
        raise CannotMove(ONLY_TTY)
    return bool(found)


def _number(pid: int, descriptor: int) -> int:
    duplicate = duplicate_of(pid, descriptor)
    try:
        [device] = struct.unpack("I", fcntl.ioctl(duplicate, _TIOCGDEV, bytes(4)))
        return os.minor(device)
    finally:
        os.close(duplicate)
