"""Our own standard output and standard error, to which the output of a job is written."""

from __future__ import annotations

import os
import stat
from collections import deque

#: Bytes that a descriptor surely accepts without blocking once poll says it is writable (PIPE_BUF).
_CERTAIN_BYTES = 4096
#: Maximum number of bytes in one write to a file or to a non-blocking pipe.
_MAX_WRITE_BYTES = 1 << 20


class OutputDescriptor:
    """
    One of our own output streams, and the data that wait to be written to it.

    :ivar open: whether the stream still has a reader, as far as is known.
    """

    def __init__(self, descriptor: int) -> None:
        self.descriptor = _own_description(descriptor)
        unblocked = self.descriptor != descriptor or _is_file(descriptor)
        self._at_once = _MAX_WRITE_BYTES if unblocked else _CERTAIN_BYTES
        self.waiting: deque[bytes] = deque()
        self.open = True

    def write(self) -> int:
        """
        Write some of the waiting data and return the number of bytes. Does not block after POLLOUT from poll.

        :raises BrokenPipeError: the stream has no reader.
        """
        data = self.waiting[0]
        try:
            written = os.write(self.descriptor, data[: self._at_once])
        except BlockingIOError:
            return 0
        if written == len(data):
            self.waiting.popleft()
        else:
            self.waiting[0] = data[written:]
        return written

    def give_up(self) -> int:
        """Discard the waiting data, write nothing more, and return how many bytes were waiting."""
        self.open = False
        size = sum(map(len, self.waiting))
        self.waiting.clear()
        return size


def _is_file(descriptor: int) -> bool:
    return stat.S_ISREG(os.fstat(descriptor).st_mode)


def _own_description(descriptor: int) -> int:
    """
    Return a non-blocking descriptor for the same pipe. Other holders of the pipe are not affected.

    A descriptor that is not a pipe, or cannot be reopened, is returned unchanged.
    """
    try:
        if stat.S_ISFIFO(os.fstat(descriptor).st_mode):
            return os.open(f"/proc/self/fd/{descriptor}", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        pass
    return descriptor
