"""
The terminal of a job that can move: made by the supervisor, emptied at the freeze, made anew elsewhere.

Theory of operation. The supervisor, process 1 of the job's PID namespace, is the leader of the terminal's
session, and the job is a process group in it. So the job does not lose its terminal when criu restores it as
another supervisor's child. The supervisor is in the background of the terminal, and ignores the signals that
the terminal sends it for that.

While the job is frozen the supervisor puts itself into the foreground. It can then read what was typed ahead.
And if it ends, however that happens, the SIGHUP and SIGCONT that the kernel sends to the foreground as the
leader of a session ends do not reach the frozen job, which must not run once more.

Standard library only: supervisors use it.
"""

from __future__ import annotations

import fcntl
import os
import signal
import struct
import termios
from contextlib import suppress
from typing import Final

from gomd.jobs.supervisor.terminal_state import (
    MAX_TYPED,
    HandedTerminal,
    TerminalModes,
    TypedAhead,
    device_name,
)
from libgomd.wire.resumable import CHUNK

#: Signals of a terminal that mean the job, not its supervisor.
_IGNORED: Final = (
    signal.SIGTTOU, signal.SIGTTIN, signal.SIGTSTP, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT,
)  # fmt: skip
#: Bytes that are taken out of a terminal at most, whatever comes.
_MAX_TAKEN_BYTES: Final = 1 << 20


class JobTerminal:
    """
    A new pseudo-terminal, with this process, a session leader without one, as the leader of its session.

    :param uid: its owner.
    :ivar master: the supervisor's end. :ivar slave: the job's end, held open until `release`, so that the job
        may close all of its descriptors and open /dev/tty later; -1 then.
    :raises OSError: there can be none.
    """

    def __init__(self, uid: int) -> None:
        for number in _IGNORED:
            signal.signal(number, signal.SIG_IGN)
        self.master, self.slave = os.openpty()
        if os.geteuid() == 0:
            os.fchown(self.slave, uid, -1)
        os.fchmod(self.slave, 0o620)
        fcntl.ioctl(self.slave, termios.TIOCSCTTY, 0)

    def release(self) -> None:
        """Let the terminal end with the last process of the job that has it. May be called twice."""
        if self.slave >= 0:
            os.close(self.slave)
            self.slave = -1

    # -- a job that is frozen

    @property
    def number(self) -> int:
        """Its number in /dev/pts."""
        return os.minor(os.fstat(self.slave).st_rdev)

    def take(self, used_as_tty: bool) -> tuple[HandedTerminal, bytes]:
        """
        Put this process into the foreground, and take out of the terminal what was typed ahead.

        :param used_as_tty: whether the job has descriptors of /dev/tty.
        :returns: all that `put` needs, and what was typed ahead too far: it is still to be typed, as it is.
        :raises OSError: the terminal is gone.
        """
        foreground = os.tcgetpgrp(self.slave)
        modes = TerminalModes.read(self.slave)
        size = struct.unpack("4H", fcntl.ioctl(self.slave, termios.TIOCGWINSZ, bytes(8)))
        self.hold()
        try:
            typed = self._take_typed(modes)
        except OSError:
            self.put(HandedTerminal(size, modes, foreground))
            raise
        ends = tuple(each for each in typed.ends if each <= MAX_TYPED)
        kept = TypedAhead(typed.data[:MAX_TYPED], ends)
        told = HandedTerminal(size, modes, foreground, kept, tty_device() if used_as_tty else "")
        return told, typed.data[MAX_TYPED:]

    def hold(self) -> None:
        """Put this process into the foreground, so that nothing from the terminal reaches the job."""
        os.tcsetpgrp(self.slave, os.getpgrp())

    def _take_typed(self, modes: TerminalModes) -> TypedAhead:
        data, ends = bytearray(), list[int]()
        # A description of its own: whether reading waits must not change for the job's.
        reading = os.open(
            f"/proc/self/fd/{self.slave}", os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC
        )
        try:
            modes.literal().write(self.slave)
            with suppress(BlockingIOError):  # there is no whole line more
                while modes.gives_lines and len(data) + len(ends) < _MAX_TAKEN_BYTES:
                    line = os.read(reading, CHUNK)
                    data += line
                    if not line or not modes.ends_line(line):
                        ends.append(len(data))
            modes.immediate().write(self.slave)
            with suppress(BlockingIOError):
                while len(data) < _MAX_TAKEN_BYTES and (piece := os.read(reading, CHUNK)):
                    data += piece
        finally:
            os.close(reading)
        return TypedAhead(bytes(data), tuple(ends))

    # -- a job that goes on

    def set_size(self, told: HandedTerminal) -> None:
        """Give the terminal its size; what is in the foreground gets SIGWINCH if that is another one."""
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("4H", *told.size))

    def put(self, told: HandedTerminal) -> bytes:
        """
        Let the terminal be as ``told``, just before the job goes on.

        :returns: what the kernel did not let be typed; it is to be typed as input is.
        """
        data, end = told.typed.with_ends()
        told.modes.literal(end).write(self.slave)
        for place in range(len(data)):
            try:
                # Not written to the master: the terminal would take that later, in other modes.
                fcntl.ioctl(self.slave, termios.TIOCSTI, data[place : place + 1])
            except OSError:
                rest = data[place:]
                break
        else:
            rest = b""
        told.modes.write(self.slave)
        self.set_size(told)
        with suppress(OSError):  # the group has ended: so nobody is in the foreground, as before
            os.tcsetpgrp(self.slave, told.foreground)
        return rest

    # -- signals

    def hang_up(self, group: int) -> None:
        """Tell the process group in the foreground that the caller is gone, unless it is ``group``."""
        with suppress(OSError):
            foreground = os.tcgetpgrp(self.slave)
            if foreground not in (group, os.getpgrp()) and foreground > 1:
                os.killpg(foreground, signal.SIGHUP)
                os.killpg(foreground, signal.SIGCONT)


def drain(master: int) -> bytes:
    """Return the output left in a terminal whose writers are stopped, given its non-blocking master."""
    pieces, taken = [], 0
    with suppress(OSError):  # nothing is left, or nobody has it any more
        while taken < _MAX_TAKEN_BYTES and (piece := os.read(master, CHUNK)):
            pieces.append(piece)
            taken += len(piece)
    return b"".join(pieces)


def tty_device() -> str:
    """Return criu's name of descriptors of this machine's /dev/tty. :raises OSError: there is no /dev/tty."""
    known = os.stat("/dev/tty")
    return device_name(known.st_rdev, known.st_dev)
