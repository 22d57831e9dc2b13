"""The descriptors of a job's streams: made for it, and emptied when it is frozen. Standard library only."""

from __future__ import annotations

import fcntl
import os
import select
from contextlib import suppress

from libgomd.errors import CannotMove
from libgomd.wire.resumable import CHUNK

#: Standard input, output and error of a job; or the supervisor's ends of them, -1 where there is none.
Streams = tuple[int, int, int]
#: Asks how many bytes a pipe can have; sets that.
_F_GETPIPE_SZ = 1032
_F_SETPIPE_SZ = 1031
#: Bytes that the pipe of an output can have once a job has filled it: eight pieces, where the kernel gives
#: one. So many are read at a time, and the job and its supervisor wake each other less often.
OUTPUT_PIPE_BYTES = 8 * CHUNK


def make_pipes(detach: bool, merge: bool) -> tuple[Streams, Streams]:
    """
    Return the three streams of a job and the supervisor's ends of them.

    :param detach: its input is empty. :param merge: output and error are one pipe.
    """
    if detach:
        stdin, feed = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC), -1
    else:
        stdin, feed = os.pipe()
    out_read, out = os.pipe()
    if merge:
        return (stdin, out, out), (feed, out_read, -1)
    error_read, error = os.pipe()
    return (stdin, out, error), (feed, out_read, error_read)


def widen(descriptor: int) -> None:
    """
    Let a pipe have `OUTPUT_PIPE_BYTES`. Not for every pipe: a user may have 64 MiB of them, full or not.

    What is no pipe, and the pipe of a user who has that many, stays as it is.
    """
    with suppress(OSError):
        fcntl.fcntl(descriptor, _F_SETPIPE_SZ, OUTPUT_PIPE_BYTES)


def make_terminal(uid: int) -> tuple[Streams, Streams]:
    """Return the streams of a job on a new terminal that belongs to ``uid``, and the supervisor's ends."""
    master, slave = os.openpty()
    if os.geteuid() == 0:
        os.fchown(slave, uid, -1)
    os.fchmod(slave, 0o620)
    return (slave, slave, slave), (os.dup(master), master, -1)


def hold_terminal(slave: int) -> None:
    """
    Make a terminal the controlling one of this process, a session leader, and ignore what it signals.

    The job is then a process group in this session, as below a shell: Ctrl-Z can stop it. Where it led a
    session of its own, the kernel would ignore its stop signals.

    :raises OSError: the kernel refuses.
    """
    import signal
    import termios

    for number in (
        signal.SIGHUP,
        signal.SIGINT,
        signal.SIGQUIT,
        signal.SIGTSTP,
        signal.SIGTTIN,
        signal.SIGTTOU,
    ):
        signal.signal(number, signal.SIG_IGN)
    fcntl.ioctl(slave, termios.TIOCSCTTY, 0)


def set_size(terminal: int, rows: int, columns: int) -> None:
    """Set the size of a terminal; what runs on it gets SIGWINCH. :raises OSError: the job has closed it."""
    import struct
    import termios

    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("4H", rows, columns, 0, 0))


def close(descriptor: int) -> int:
    """Close a descriptor, if it is one; return -1, for no descriptor."""
    if descriptor >= 0:
        os.close(descriptor)
    return -1


def drain(descriptor: int) -> bytes:
    """Return the bytes in a pipe whose writers are stopped; at most a pipe's size, should one still write."""
    pieces, room = [], fcntl.fcntl(descriptor, _F_GETPIPE_SZ)
    try:
        while room > 0 and (piece := os.read(descriptor, min(CHUNK, room))):
            pieces.append(piece)
            room -= len(piece)
    except BlockingIOError:
        pass
    return b"".join(pieces)


def check_empty(descriptor: int) -> None:
    """Check that nobody outside the job has the pipe and writes on. :raises CannotMove: somebody does."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    if any(events & select.POLLIN for _descriptor, events in poll.poll(0)):
        raise CannotMove("a process outside the job writes to its output")


def take_back(descriptor: int) -> bytes:
    """Return the unread bytes of a pipe, given its writing end."""
    reading = os.open(f"/proc/self/fd/{descriptor}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        return drain(reading)
    finally:
        os.close(reading)
