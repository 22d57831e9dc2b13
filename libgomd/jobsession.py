"""
A job as its caller sees it, without I/O: bytes of a connection in, pieces of output and an end out.

`JobSession` stands on the state machine of the streams (`libgomd.wire.attachment`) and adds what both clients
need alike: what the daemon says of the job, output that waits for its reader, input that waits for room, and
which errors mean that the connection can be replaced. `libgomd.client_job` and `libgomd.blocking_job` move
the bytes.
"""

from __future__ import annotations

import os
import signal
from collections import deque
from typing import Final, NamedTuple

from libgomd.errors import ConnectionLost, MalformedRequest, NotPossible
from libgomd.wire import frames
from libgomd.wire.attachment import OUTPUTS, Attached, CallerEnd, Data, Event, Exited, Started

#: Seconds for a daemon that has gone away under a job to be there again, unless the caller says otherwise.
RECONNECT_LIMIT: Final = 30.0
#: Seconds between two attempts to reach it.
RECONNECT_INTERVAL: Final = 0.1


class OutputChunk(NamedTuple):
    """
    A piece of a job's output.

    :ivar stream: ``stdout`` or ``stderr``. :ivar data: at least one byte, at most `frames.MAX_PAYLOAD`.
    """

    stream: str
    data: bytes


class JobFacts(NamedTuple):
    """
    What the daemon says of a job that has begun.

    :ivar job: its number, at its home. :ivar home: id of the node it was asked for at.
    :ivar node: id of the node it ran on when this was said; `where` and `jobs` follow a move.
    :ivar pid: its process id at home, above all that a kernel gives for a job that was started elsewhere;
        None when it is not known. :ivar detached: nobody waits for it, its output is kept at home.
    """

    job: int
    home: int
    node: int
    pid: int | None
    detached: bool

    @classmethod
    def read(cls, started: Started) -> JobFacts:
        """Return the facts in ``started``. :raises MalformedFrame: one of the first three is missing."""
        if started.job is None or started.home is None or started.node is None:
            raise frames.MalformedFrame("a STARTED that does not say job, home, node and pid as numbers")
        return cls(started.job, started.home, started.node, started.pid, started.detached)


class JobSession:
    """
    The streams of one job at its caller, over as many connections as it takes.

    Output that nobody has taken (`next_chunk`) is not acknowledged: at most a window of it (1 MiB a stream)
    waits here, then the job waits. Input waits here until the job's end has room for it.

    :ivar facts: what the daemon says of the job, None before it has begun.
    :ivar exited: how it ended, None while it runs; there may still be output to take.
    :ivar lost_output: bytes of both outputs that were not kept and never come: a detached job's oldest.
    :ivar input_written: bytes that were ever written. :ivar input_waiting: those for which there is no room
        yet.
    """

    def __init__(self) -> None:
        self.facts: JobFacts | None = None
        self.exited: Exited | None = None
        self.lost_output = 0
        self._end = CallerEnd(serial=int.from_bytes(os.urandom(6), "big"))
        self._parser = frames.FrameParser()
        self._chunks: deque[tuple[int, bytes]] = deque()
        self._input: deque[memoryview] = deque()
        self._input_ended = False
        self._input_dropped = False
        self._early_exit = False
        self.input_waiting = self.input_written = 0

    # -- the connection

    def connected(self) -> None:
        """Begin on a new connection: ask for the streams from where this end is."""
        self._parser = frames.FrameParser()
        self._early_exit = False
        self._end.connection_replaced()
        self._end.attach()

    def receive(self, data: bytes) -> None:
        """
        Take bytes of the connection.

        :raises MalformedReply: the daemon does not keep to the protocol. Close the connection.
        :raises GomdError: the job could not be started, or is lost: what the daemon says.
        """
        for frame in self._parser.feed(data):
            event = self._end.receive(frame)
            self._early_exit = not self._end.attached and (self._early_exit or frame.kind == frames.EXIT)
            if event is not None:
                self._happened(event)
        self._send_input()

    def _happened(self, event: Event) -> None:
        if isinstance(event, Data):
            if event.data:
                self._chunks.append((event.kind, bytes(event.data)))  # which copies nothing
        elif isinstance(event, Started):
            self.facts = JobFacts.read(event)
        elif isinstance(event, Attached):
            self.lost_output += sum(event.lost.values())
        elif isinstance(event, Exited):
            if self.facts is None:
                raise frames.MalformedFrame("an EXIT of a job that has not begun")
            self.exited = event
            self._drop_input()
            self._end.collected()

    def data_to_send(self) -> bytes:
        """Return the bytes to send now, and forget them."""
        return self._end.data_to_send()

    @property
    def attached(self) -> bool:
        """Whether the job's end has answered on this connection."""
        return self._end.attached

    @property
    def answer_due(self) -> bool:
        """
        Whether the daemon owes something at once: the rest of a frame, or ATTACHED behind an early EXIT.
        """
        return self.exited is None and (self._parser.inside or self._early_exit)

    def gone(self, why: str) -> ConnectionLost:
        """Return the error for a daemon that has gone away and does not come back."""
        if self.facts is None:
            return ConnectionLost(f"the daemon went away before the job began ({why})")
        job = self.facts.job
        return ConnectionLost(f"the daemon went away; job {job} may go on: attach to it again ({why})")

    # -- input

    def write(self, data: bytes) -> None:
        """
        Let ``data`` be sent when there is room; `input_waiting` says how many bytes wait.

        :raises NotPossible: the input has been closed, or the job has ended.
        """
        if self.exited is not None:
            raise NotPossible(f"{self} has ended and takes no more input")
        if self._input_ended:
            raise NotPossible(f"the standard input of {self} has been closed")
        if data:
            self._input.append(memoryview(bytes(data)))
            self.input_waiting += len(data)
            self.input_written += len(data)
            self._send_input()

    def close_stdin(self) -> None:
        """Let the job's input end behind what waits; a second time does nothing."""
        if not self._input_ended:
            self._input_ended = True
            self._send_input()

    def _send_input(self) -> None:
        while self._input and (room := self._end.input_room()) > 0:
            piece = self._input.popleft()
            if len(piece) > room:
                self._input.appendleft(piece[room:])
                piece = piece[:room]
            self.input_waiting -= len(piece)
            self._end.send_input(bytes(piece))
        if self._end.attached and self._end.input_has_ended:  # it is closed, or a detached job's
            self._drop_input()
            self._input_ended = True
        elif self._input_ended and not self._input:
            self._end.end_input()

    def _drop_input(self) -> None:
        self._input_dropped = self._input_dropped or bool(self._input)
        self._input.clear()
        self.input_waiting = 0

    def check_input(self) -> None:
        """
        :raises NotPossible: some input that was written will never reach the job: it has closed it or ended.
        """
        if self._input_dropped:
            raise NotPossible(f"{self} did not take all that was written: it has ended, or closed its input")

    # -- output

    @property
    def has_output(self) -> bool:
        """Whether `next_chunk` has something."""
        return bool(self._chunks)

    def next_chunk(self) -> OutputChunk | None:
        """Return the next piece of output and acknowledge it, None when there is none now."""
        if not self._chunks:
            return None
        kind, data = self._chunks.popleft()
        self._end.passed_on(kind, len(data))
        return OutputChunk(OUTPUTS[kind], data)

    # -- signals

    def signal(self, number: int | str, group: bool = True) -> None:
        """
        Let a signal be sent to the job's process group, or to its first process.

        :param number: or a name, ``TERM`` or ``SIGTERM``. :raises MalformedRequest: there is no such signal.
        """
        self._end.signal(_signal_number(number), group)

    def set_size(self, rows: int, columns: int) -> None:
        """Let the job's terminal have so many rows and columns. :raises MalformedRequest: it cannot."""
        if not (0 <= rows <= 65535 and 0 <= columns <= 65535):
            raise MalformedRequest(f"no size of a terminal: {rows} rows and {columns} columns")
        self._end.window_size(rows, columns)

    def __str__(self) -> str:
        return "the job" if self.facts is None else f"job {self.facts.job}"


def _signal_number(number: int | str) -> int:
    if isinstance(number, str):
        name = number.upper()
        found = signal.Signals.__members__.get(name if name.startswith("SIG") else f"SIG{name}")
        if found is None:
            raise MalformedRequest(f"there is no signal {number[:20]}")
        return int(found)
    if not 1 <= number <= 64:
        raise MalformedRequest(f"there is no signal {number}: they are 1 to 64")
    return int(number)
