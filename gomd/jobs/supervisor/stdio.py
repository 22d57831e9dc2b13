"""The supervisor's ends of a job's input and outputs: reads and writes their descriptors."""

from __future__ import annotations

import os
import select
from contextlib import suppress

from gomd.jobs.supervisor import pipes
from gomd.jobs.supervisor.pipes import Streams
from libgomd.wire import frames
from libgomd.wire.job_end import JobEnd
from libgomd.wire.resumable import CHUNK

#: Pieces of an output that are read at a time, as many as its pipe can have when it is wide.
_PIECES = pipes.OUTPUT_PIPE_BYTES // CHUNK
#: Bytes that are kept of the end of an output.
_LAST_BYTES = 4096


class JobStdio:
    """
    Writes the job's input and reads its outputs, as far as there is room for them.

    Input that does not fit into the job's pipe waits here; `JobEnd` bounds it by the window.

    :param end: the job's end of the streams. :param bounded: its stores keep what they can and take anything,
        so that the job never waits.
    :ivar stdin: descriptor; -1 when closed. :ivar outputs: descriptors by the kind of frames; -1 when closed.
    :ivar waiting: input that is not in the job's pipe yet.
    :ivar last: by the kind of frames, the last bytes of an output.
    :ivar paused: nothing may be put into the job's pipe, nor the pipe be closed, as the job is frozen.
    """

    def __init__(self, end: JobEnd, bounded: bool) -> None:
        self._end = end
        self._bounded = bounded
        self.stdin = -1
        self.outputs = {frames.STDOUT: -1, frames.STDERR: -1}
        self.waiting = bytearray()
        self.last: dict[int, bytes] = {}
        self.paused = False
        self._wide: set[int] = set()
        self._terminal = -1
        self._size: tuple[int, int] | None = None

    def adopt(self, streams: Streams, terminal: bool = False) -> None:
        """Take the supervisor's ends of the streams of a job that has begun."""
        self.stdin, self.outputs[frames.STDOUT], self.outputs[frames.STDERR] = streams
        if terminal:
            self._terminal = streams[1]
        for descriptor in streams:
            if descriptor >= 0:
                os.set_blocking(descriptor, False)

    def register(self, poll: select.poll) -> None:
        """Poll for outputs that there is room for, and for a pipe that takes more input."""
        for kind, descriptor in self.outputs.items():
            if descriptor >= 0 and self._room(kind) > 0:
                poll.register(descriptor, select.POLLIN)
        if self.stdin >= 0 and self.waiting and not self.paused:
            poll.register(self.stdin, select.POLLOUT)

    def _room(self, kind: int) -> int:
        return CHUNK if self._bounded else self._end.outputs[kind].room()

    # -- outputs

    def read_outputs(self, ready: dict[int, int]) -> bool:
        """Read what has come; return whether anything has."""
        came = False
        for kind, descriptor in self.outputs.items():
            if descriptor in ready:
                for _piece in range(_PIECES):
                    size = self._read(kind, descriptor, self._room(kind))
                    came = came or size > 0
                    if size < CHUNK or self._room(kind) <= 0:
                        break
        return came

    def _read(self, kind: int, descriptor: int, most: int) -> int:
        """Read a piece of an output, at most so many bytes, and return its size; 0: there is none."""
        try:
            data = os.read(descriptor, min(CHUNK, most))
        except BlockingIOError:
            return 0
        except OSError:  # EIO: nobody has the terminal any more
            data = b""
        if data:
            self._end.outputs[kind].append(data)
            if len(data) == CHUNK and kind not in self._wide:
                self._wide.add(kind)
                pipes.widen(descriptor)
            before = b"" if len(data) >= _LAST_BYTES else self.last.get(kind, b"")
            self.last[kind] = (before + data[-_LAST_BYTES:])[-_LAST_BYTES:]
        else:
            self.outputs[kind] = pipes.close(descriptor)
        return len(data)

    @property
    def has_output_open(self) -> bool:
        """Whether the job, or what it left behind, can still write."""
        return any(descriptor >= 0 for descriptor in self.outputs.values())

    def close_outputs(self) -> None:
        """
        Read no more.

        What is in the pipes already is kept, though a caller who reads slowly leaves no room for it. It is
        not more than a pipe can have.
        """
        for kind, descriptor in self.outputs.items():
            left = pipes.OUTPUT_PIPE_BYTES
            while self.outputs[kind] >= 0 and left > 0 and (size := self._read(kind, descriptor, left)):
                left -= size
            self.outputs[kind] = pipes.close(self.outputs[kind])

    # -- input

    def receive_input(self, data: bytes) -> None:
        """Take input of the caller. :raises WindowExceeded: it is more than the caller may send."""
        self._end.stdin.receive(len(data))
        if self.stdin >= 0:
            self.waiting += data
            self.feed()
        else:
            self._end.stdin.pass_on_all()

    def end_input(self) -> None:
        """Close the job's input as soon as all of it is in its pipe."""
        self._end.stdin_ended = True
        if not self.waiting:
            self.close_input()

    def feed(self) -> None:
        """Put as much of the waiting input into the job's pipe as that takes now."""
        if self.paused:
            return
        try:
            written = os.write(self.stdin, self.waiting)
        except BlockingIOError:
            return
        except OSError:  # the job reads no more: unlike in a shell's pipe the caller is not told
            self.close_input()
            return
        del self.waiting[:written]
        self._end.stdin.pass_on_all_but(len(self.waiting))
        if self._end.stdin_ended and not self.waiting:
            self.close_input()

    def close_input(self) -> None:
        """Close the job's input; what waits for it, and what still comes, is dropped."""
        if self.paused:
            return
        self.waiting.clear()
        self._end.stdin.pass_on_all()
        self.stdin = pipes.close(self.stdin)

    # -- the terminal

    def set_size(self, rows: int, columns: int) -> None:
        """Set the size of the job's terminal, if it has one; that of a frozen job is set as it goes on."""
        if self.paused:
            self._size = (rows, columns)
        elif self._terminal >= 0:
            with suppress(OSError):  # the job has just closed it
                pipes.set_size(self._terminal, rows, columns)

    def set_waiting_size(self) -> None:
        """Set the size that has come while the job was frozen, if one has."""
        size, self._size = self._size, None
        if size is not None:
            self.set_size(*size)

    def close(self) -> None:
        """Leave the streams of a job that has ended."""
        self.close_input()
        self._terminal = -1
