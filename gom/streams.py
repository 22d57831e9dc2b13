"""The caller's end of a job's streams: relays bytes between the daemon and our own standard streams."""

from __future__ import annotations

import os
import select
import signal
import socket
import time

from gom.escapes import DEFAULT_ESCAPE
from gom.foreground import die_of_interrupt
from gom.job_control import JobControl
from gom.keyboard import Keyboard
from gom.outputs import OutputDescriptor
from gom.terminal import Terminal
from libgomd.errors import ConnectionLost, GomdError
from libgomd.wire import frames
from libgomd.wire.attachment import OUTPUTS, Attached, CallerEnd, Data, Event, Exited, Started, failure_in

#: Maximum number of bytes that one system call reads from the daemon.
_MAX_READ_BYTES = 1 << 18


class KeptPoll:
    """Polls descriptors; those of the last time are not registered anew."""

    def __init__(self) -> None:
        self._registered: list[tuple[int, int]] = []
        self._poll = select.poll()

    def poll(self, watched: list[tuple[int, int]], timeout: int | None) -> list[tuple[int, int]]:
        """
        Wait until something happens at one of ``watched``, or ``timeout`` milliseconds; return what does.

        :param watched: descriptors with what they are polled for; of one that is there twice, the last.
        """
        if watched != self._registered:
            self._poll, self._registered = select.poll(), watched
            for descriptor, events in watched:
                self._poll.register(descriptor, events)
        return self._poll.poll(timeout)


class Lost(Exception):
    """The connection broke; the job may still be running."""


def job_of(started: Started) -> int:
    """Return the number of the job that has started. :raises MalformedFrame: it is missing."""
    if started.job is None:
        raise frames.MalformedFrame("a STARTED without the number of the job")
    return started.job


class Streams:
    """
    Relays the streams of one job.

    :param connection: a socket that carries frames from here on, and the bytes already received from it.
    :param terminal: our terminal and signals.
    :param detachable: whether Ctrl-C ends this program instead of the job, if the job is detached.
    :param reads_input: whether our standard input is the job's; else the job's is empty.
    :param escape: the escape character of a job that has our terminal, None for none.
    """

    def __init__(
        self,
        connection: tuple[socket.socket, bytes],
        terminal: Terminal,
        *,
        detachable: bool = False,
        reads_input: bool = True,
        escape: int | None = DEFAULT_ESCAPE,
    ) -> None:
        self._detachable = detachable
        self._terminal = terminal
        self._end = CallerEnd(serial=int.from_bytes(os.urandom(6), "big"), stops=True)
        self._outputs = {frames.STDOUT: OutputDescriptor(1), frames.STDERR: OutputDescriptor(2)}
        self._control = JobControl(self._end, terminal, self._leave, self._flush, time.monotonic)
        self._keyboard = Keyboard(self._end, terminal, self._control, reads_input, escape)
        self._poll = KeptPoll()
        self.join(connection)

    def join(self, connection: tuple[socket.socket, bytes]) -> None:
        """Use ``connection`` from here on, and handle the bytes already received from it."""
        self._connection, early = connection
        self._connection.setblocking(False)
        self._parser = frames.FrameParser()
        self._outgoing = bytearray()
        self._end.connection_replaced()
        self._take(early)

    @property
    def job(self) -> int:
        """The number of the job; 0 before it has started."""
        return self._control.job

    @property
    def attached(self) -> bool:
        """Whether the job's end has answered on the newest connection, which may have broken since."""
        return self._end.attached

    def attach(self) -> None:
        """Request the streams, from the current positions on."""
        self._end.attach()

    def begin(self) -> int:
        """
        Wait until the job has started, close the connection, and return the job's number. Blocks.

        :raises GomdError: the job cannot be started.
        """
        self._connection.setblocking(True)
        while True:
            data = self._connection.recv(frames.CHUNK)
            if not data:
                raise ConnectionLost("the daemon went away before the job began")
            for kind, payload in self._parser.feed(data):
                if kind == frames.STARTED:
                    self._connection.close()
                    return job_of(Started.decode(payload))
                if kind == frames.FAILED:
                    raise failure_in(payload)

    # -- the loop

    def serve(self) -> int:
        """
        Relay the streams until the job ends, and return its exit status. Blocks.

        :raises Lost: the connection broke. :raises GomdError: the job cannot be started, or is lost.
        """
        while True:
            self._control.handle_signals()
            self._control.follow_stops()
            self._flush()
            exited = self._end.exited
            if exited is not None and not any(output.waiting for output in self._outputs.values()):
                self._finish(exited)
                return exited.status
            self._step()

    def end_as_job(self) -> None:
        """End by SIGINT, if that is how the job was ended from our terminal; else return."""
        exited = self._end.exited
        if exited is not None and exited.signal == signal.SIGINT:
            if self._terminal.is_screen and not self._keyboard.interrupted:
                return  # somebody else sent it
            die_of_interrupt(whole_group=self._terminal.is_screen)

    def wait(self, seconds: float) -> None:
        """Wait while there is no connection; signals, and escapes that are typed, are heard. Blocks."""
        poll = select.poll()
        poll.register(self._terminal.wakeup, select.POLLIN)
        if self._terminal.is_screen and self._keyboard.may_read():
            poll.register(0, select.POLLIN)
        ready = dict(poll.poll(seconds * 1000))
        if self._terminal.wakeup in ready:
            self._terminal.woken()
        if 0 in ready:
            self._keyboard.read()
        self._control.handle_signals_offline()

    def _step(self) -> None:
        ready = dict(self._poll.poll(self._watched(), self._milliseconds_to_wait()))
        if self._terminal.wakeup in ready:
            self._terminal.woken()
        for kind, output in self._outputs.items():
            if output.descriptor in ready:
                self._write(kind, output, ready[output.descriptor])
        if 0 in ready and self._may_read_stdin():
            self._keyboard.read()
        happened = ready.get(self._connection.fileno(), 0)
        if happened & ~select.POLLOUT:
            self._receive()
        self._flush()

    def _watched(self) -> list[tuple[int, int]]:
        """Return the descriptors that are waited for, with what they are waited for."""
        watched = [(self._terminal.wakeup, select.POLLIN)]
        if self._end.exited is None:
            sending = self._outgoing or self._end.pending
            watched.append((self._connection.fileno(), select.POLLIN | (select.POLLOUT if sending else 0)))
        for kind, output in self._outputs.items():
            if output.waiting:
                watched.append((output.descriptor, select.POLLOUT))
            elif kind == frames.STDOUT and output.open:
                watched.append((output.descriptor, 0))  # POLLERR says that its reader has gone
        if self._may_read_stdin():
            watched.append((0, select.POLLIN))
        return watched

    def _may_read_stdin(self) -> bool:
        return self._keyboard.may_read(room=len(self._outgoing) < frames.WINDOW)

    def _milliseconds_to_wait(self) -> int | None:
        """Return the time until something is due that no descriptor tells; None when nothing is."""
        left = self._control.seconds_left()
        waits = [] if left is None else [int(left * 1000) + 1]
        if self._keyboard.open and (interval := self._terminal.look_interval()) is not None:
            waits.append(interval)
        return min(waits, default=None)

    def _flush(self) -> None:
        self._keyboard.pass_on()
        self._outgoing += self._end.data_to_send()
        try:
            while self._outgoing:
                sent = self._connection.send(self._outgoing)
                del self._outgoing[:sent]
        except BlockingIOError:
            pass
        except OSError:
            if self._end.exited is None and not self._receive():
                raise Lost from None

    def _receive(self) -> bool:
        """Read and handle what the daemon has sent. :raises Lost: the daemon is gone."""
        try:
            data = self._connection.recv(_MAX_READ_BYTES)
        except BlockingIOError:
            return True
        except OSError:
            raise Lost from None
        if not data:
            raise Lost
        self._take(data)
        return True

    def _take(self, data: bytes) -> None:
        for frame in self._parser.feed_pieces(data):
            event = self._end.receive(frame)
            if event is not None:
                self._happened(event)

    def _happened(self, event: Event) -> None:
        if isinstance(event, Data):
            output = self._outputs[event.kind]
            if output.open:
                output.waiting.append(event.data)
            else:
                self._end.passed_on(event.kind, len(event.data))
        elif isinstance(event, Started):
            self._control.job = job_of(event)
            self._control.stays_alone = event.detached and self._detachable
            if event.tty:
                self._terminal.become_screen()
        elif isinstance(event, Attached):
            self._control.on_attached(event.stop)
            for kind, lost in event.lost.items():
                if lost:
                    self._complain(f"{lost} bytes of the job's {OUTPUTS[kind]} are not kept any more")

    def _write(self, kind: int, output: OutputDescriptor, happened: int) -> None:
        try:
            if happened & select.POLLERR and not output.waiting:
                raise BrokenPipeError
            if output.waiting:
                self._end.passed_on(kind, output.write())
        except BrokenPipeError:
            # The reader has closed the pipe: the job gets SIGPIPE, as it would in a shell's pipeline.
            self._end.passed_on(kind, output.give_up())
            if kind == frames.STDOUT:
                self._end.signal(signal.SIGPIPE)

    # -- the end

    def _leave(self, number: int, hangs_up: bool) -> None:
        """Exit at once, with the status that the signal would have given this program."""
        if hangs_up:
            self._end.hang_up()
            try:
                self._flush()
            except (Lost, GomdError):
                pass
        self._terminal.restore()
        self._connection.close()
        os._exit(128 + number)

    def _finish(self, exited: Exited) -> None:
        """Tell the daemon that the exit status has arrived, and close the connection."""
        self._end.collected()
        self._connection.settimeout(1.0)
        try:
            self._connection.sendall(self._end.data_to_send())
        except OSError:
            pass
        self._connection.close()
        if exited.reason:
            self._terminal.restore()
            self._complain(exited.reason)

    def _complain(self, sentence: str) -> None:
        self._terminal.say(f"gom: {sentence}")
