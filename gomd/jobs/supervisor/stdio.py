"""What a supervisor makes for its job, and unmakes: pipes, a terminal, what the job left behind."""

from __future__ import annotations

import os
import signal

#: Standard input, output and error of a job; and our ends of them, -1 where there is none.
Streams = tuple[int, int, int]


def make_pipes(detach: bool, merge: bool) -> tuple[Streams, Streams]:
    """
    Return the three streams of a job and our ends of them.

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


def make_terminal(uid: int) -> tuple[Streams, Streams]:
    """Return the streams of a job on a terminal of its own, which belongs to user ``uid``, and our ends."""
    master, slave = os.openpty()
    if os.geteuid() == 0:
        os.fchown(slave, uid, -1)
    os.fchmod(slave, 0o620)
    return (slave, slave, slave), (os.dup(master), master, -1)


def set_size(terminal: int, rows: int, columns: int) -> None:
    """Tell a terminal how large it is; what runs on it gets SIGWINCH."""
    import fcntl
    import struct
    import termios

    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("4H", rows, columns, 0, 0))


def end_the_rest(namespace: bool, group: int) -> None:
    """
    Kill what the program has left behind.

    :param namespace: we are number 1 of its PID namespace. :param group: its process group, else.
    """
    try:
        if namespace:
            os.kill(-1, signal.SIGKILL)
        else:
            os.killpg(group, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass
    if namespace:
        return
    for _ in range(100):  # each round kills a generation
        with open(f"/proc/self/task/{os.getpid()}/children", encoding="ascii") as file:
            children = [int(word) for word in file.read().split()]
        if not children:
            return
        for child in children:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
