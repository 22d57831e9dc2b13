"""Our own standard output and standard error, to which the output of a job is written."""

from __future__ import annotations

import fcntl
import os
import stat
from collections import deque
from contextlib import suppress
from itertools import islice

#: Bytes that a descriptor surely accepts without blocking once poll says it is writable (PIPE_BUF).
_CERTAIN_BYTES = 4096
#: Maximum number of bytes in one write to a file or to a non-blocking pipe, and of pieces that it joins.
_MAX_WRITE_BYTES = 1 << 20
_MAX_WRITE_PIECES = 16
#: Bytes that a pipe is let have when more waits for it than it has as a rule: so both sides wake each other
#: less often.
_WIDE_PIPE_BYTES = 1 << 18
_USUAL_PIPE_BYTES = 1 << 16
#: Set how many bytes a pipe can have, and ask for it. They are in `fcntl` from Python 3.10 on, on Linux.
_F_SETPIPE_SZ = 1031
_F_GETPIPE_SZ = 1032


class OutputDescriptor:
    """
    One of our own output streams, and the data that wait to be written to it.

    :ivar open: whether the stream still has a reader, as far as is known.
    """

    def __init__(self, descriptor: int) -> None:
        self.descriptor = _own_description(descriptor)
        unblocked = self.descriptor != descriptor or _is_file(descriptor)
        self._at_once = _MAX_WRITE_BYTES if unblocked else _CERTAIN_BYTES
        self._is_wide = self.descriptor == descriptor  # no pipe, or not to be changed
        self.waiting: deque[bytes | memoryview] = deque()
        self.open = True

    def write(self) -> int:
        """
        Write some of the waiting data and return the number of bytes. Does not block after POLLOUT from poll.

        :raises BrokenPipeError: the stream has no reader.
        """
        try:
            written = self._write()
        except BlockingIOError:
            return 0
        left = written
        while self.waiting and len(self.waiting[0]) <= left:
            left -= len(self.waiting.popleft())
        if left:
            self.waiting[0] = self.waiting[0][left:]
        return written

    def _write(self) -> int:
        if self._at_once == _CERTAIN_BYTES:
            return os.write(self.descriptor, self.waiting[0][:_CERTAIN_BYTES])
        pieces = list(islice(self.waiting, _MAX_WRITE_PIECES))
        if not self._is_wide and sum(map(len, pieces)) > _USUAL_PIPE_BYTES:
            self._is_wide = True
            with suppress(OSError):  # whoever has many pipes may not
                if fcntl.fcntl(self.descriptor, _F_GETPIPE_SZ) < _WIDE_PIPE_BYTES:  # its reader may want more
                    fcntl.fcntl(self.descriptor, _F_SETPIPE_SZ, _WIDE_PIPE_BYTES)
        return os.writev(self.descriptor, pieces)

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
