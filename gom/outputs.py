"""Our own standard output and error, as the places where a job's output goes."""

from __future__ import annotations

import os
import stat
from collections import deque

#: Bytes that a descriptor takes at once for certain, when poll says that it takes some (PIPE_BUF).
_CERTAIN_BYTES = 4096
#: Bytes that are offered at once to a file, and to a pipe that does not block.
_MAX_WRITE_BYTES = 1 << 20


class Output:
    """
    One of our own streams of output, and what waits to be written there.

    :ivar open: whether anybody reads it, as far as is known.
    """

    def __init__(self, descriptor: int) -> None:
        self.descriptor = _own_description(descriptor)
        unblocked = self.descriptor != descriptor or _is_file(descriptor)
        self._at_once = _MAX_WRITE_BYTES if unblocked else _CERTAIN_BYTES
        self.waiting: deque[bytes] = deque()
        self.open = True

    def write(self) -> int:
        """
        Write some of what waits, and return how many bytes. Does not block once poll has said POLLOUT.

        :raises BrokenPipeError: nobody reads it.
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
        """Write nothing more; return how many bytes waited."""
        self.open = False
        size = sum(map(len, self.waiting))
        self.waiting.clear()
        return size


def _is_file(descriptor: int) -> bool:
    return stat.S_ISREG(os.fstat(descriptor).st_mode)


def _own_description(descriptor: int) -> int:
    """
    Return a descriptor for the same pipe that does not block, without changing it for others who have it.

    Anything else is returned as it is.
    """
    try:
        if stat.S_ISFIFO(os.fstat(descriptor).st_mode):
            return os.open(f"/proc/self/fd/{descriptor}", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        pass
    return descriptor
