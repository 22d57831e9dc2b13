"""Whether this program is in the foreground of the terminal at its standard input."""

from __future__ import annotations

import os
import signal
import stat
from typing import Final

#: Field of /proc/PID/stat, behind the name in parentheses, that names the controlling terminal.
_TERMINAL_FIELD: Final = 4


class Foreground:
    """
    Tells whether a terminal may be read and changed now.

    That is so in the foreground process group of our controlling terminal. A terminal that does not control
    us (`setsid` has run, or whoever started us opened it) is ours unless it controls other processes: those
    have a shell that reads it.

    :param descriptor: the terminal; what is no terminal is never ours.
    """

    def __init__(self, descriptor: int = 0) -> None:
        self._descriptor = descriptor
        self._foreign: bool | None = None

    @property
    def ours(self) -> bool:
        """Whether it is ours now."""
        try:
            return os.tcgetpgrp(self._descriptor) == os.getpgrp()
        except OSError:
            if not os.isatty(self._descriptor):
                return False
        if self._foreign is None:
            self._foreign = _controls_others(self._descriptor)
        return not self._foreign


def die_of_interrupt(whole_group: bool) -> None:
    """
    End this program as Ctrl-C ends one at a prompt: by SIGINT, so that a shell leaves its loop or script.

    Returns, and does nothing, where no shell waits for us in the foreground of our controlling terminal.

    :param whole_group: also end the other processes of our process group, as the terminal would have.
    """
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if os.tcgetpgrp(terminal) != os.getpgrp() or os.getsid(0) == os.getpid():
            return
    except OSError:
        return
    finally:
        os.close(terminal)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.kill(0 if whole_group else os.getpid(), signal.SIGINT)


def _controls_others(descriptor: int) -> bool:
    """Return whether a terminal is the controlling terminal of any process that can be seen. Blocks."""
    try:
        found = os.fstat(descriptor)
        device = found.st_rdev if stat.S_ISCHR(found.st_mode) else 0
        return any(
            _terminal_of(name) == device and _is_same(name, found)
            for name in os.listdir("/proc")
            if name.isdigit()
        )
    except OSError:
        return False


def _is_same(pid: str, terminal: os.stat_result) -> bool:
    """
    Return whether the terminal of a process, of the same device number, is this one.

    Each container has pseudo terminals of its own, which are numbered from 0 as those of the host are. They
    are told apart by their file system, or, where another user's process does not let us see it, by whether
    the process is in a PID namespace below ours.
    """
    for name in ("fd/0", "fd/1", "fd/2"):
        try:
            found = os.stat(f"/proc/{pid}/{name}")
        except OSError:
            continue
        if found.st_rdev == terminal.st_rdev:
            return found.st_dev == terminal.st_dev
    return _namespaces_of(pid) == _namespaces_of("self")


def _namespaces_of(pid: str) -> int:
    """Return in how many PID namespaces a process is, as far as /proc shows them; 0 when it has ended."""
    try:
        with open(f"/proc/{pid}/status", "rb") as file:
            return next((len(line.split()) - 1 for line in file if line.startswith(b"NSpid:")), 0)
    except OSError:
        return 0


def _terminal_of(pid: str) -> int | None:
    """Return the device of the controlling terminal of a process, None when that cannot be seen."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            words = file.read(4096).rpartition(b")")[2].split()
        number = int(words[_TERMINAL_FIELD])
    except (OSError, ValueError, IndexError):
        return None
    # The kernel packs it in its older 32 bits: minor in bits 0-7 and 20-31, major in bits 8-19.
    return os.makedev((number >> 8) & 0xFFF, (number & 0xFF) | ((number >> 12) & 0xFFF00)) if number else None
