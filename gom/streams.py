"""The caller's end of a job's streams: our standard input, output and error, signals and the terminal."""

from __future__ import annotations

import os
import select
import signal
import socket
import stat
from collections import deque
from types import TracebackType
from typing import Any

from libgomd.errors import ConnectionLost, error_for
from libgomd.wire import frames

#: Signals that are passed on to the job.
FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
#: Bytes that a descriptor takes at once for certain, when poll says that it takes some (PIPE_BUF).
_CERTAIN = 4096


class Lost(Exception):
    """The connection broke; the job may go on."""


class _Out:
    """One of our own streams of output: what waits for it, and how much of the job's stream it has had."""

    def __init__(self, kind: int, descriptor: int) -> None:
        self.kind = kind
        self.descriptor = _own_description(descriptor)
        self._at_once = 1 << 20 if self.descriptor != descriptor or _is_file(descriptor) else _CERTAIN
        self.waiting: deque[bytes] = deque()
        self.position = 0
        self.received = 0
        self.open = True

    def write(self) -> None:
        """Write some of what waits. :raises BrokenPipeError: nobody reads it."""
        data = self.waiting[0]
        try:
            written = os.write(self.descriptor, data[: self._at_once])
        except BlockingIOError:
            return
        self.position += written
        if written == len(data):
            self.waiting.popleft()
        else:
            self.waiting[0] = data[written:]


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


class Streams:
    """
    :param connection: a socket that carries frames from here on, and what came over it already.
    :param terminal: the job has a terminal, and ours is only its screen and keyboard.
    :ivar job: its number, 0 before it has begun. :ivar detachable: Ctrl-C ends this, not a detached job.
    """

    def __init__(self, connection: tuple[socket.socket, bytes], terminal: bool) -> None:
        self.job = 0
        self.detachable = False
        self._detached_job = False
        self._terminal = terminal and os.isatty(0)
        self._saved: Any = None
        self._outs = {frames.STDOUT: _Out(frames.STDOUT, 1), frames.STDERR: _Out(frames.STDERR, 2)}
        self._stdin_open = True
        self._stdin_kept: deque[bytes] = deque()
        self._stdin_base = 0
        self._stdin_taken = 0
        self._stdin_position = 0
        self._stdin_end_sent = False
        self._attached = False
        self._asked = 0
        self._status: int | None = None
        self._reason = ""
        self._signals: list[int] = []
        self._wake_read, self._wake_write = -1, -1
        self.join(connection)

    def join(self, connection: tuple[socket.socket, bytes]) -> None:
        """Use ``connection``, behind what already came over it, from here on."""
        self._connection, early = connection
        self._connection.setblocking(False)
        self._parser = frames.FrameParser()
        self._outgoing = bytearray()
        self._attached = False
        for frame in self._parser.feed(early):
            self._take(frame)

    # -- the terminal and the signals, for as long as the job runs

    def __enter__(self) -> Streams:
        self._wake_read, self._wake_write = os.pipe()
        for descriptor in (self._wake_read, self._wake_write):
            os.set_blocking(descriptor, False)
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        for number in (*FORWARDED, signal.SIGHUP, signal.SIGWINCH):
            if signal.getsignal(number) is not signal.SIG_IGN:  # nohup
                signal.signal(number, lambda number, _frame: self._signals.append(number))
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        self._raw(True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._raw(False)
        signal.set_wakeup_fd(-1)

    def _raw(self, raw: bool) -> None:
        """Let the job's terminal see every key as it is; or give our own back as it was."""
        if not self._terminal:
            return
        import termios
        import tty

        if raw:
            self._saved = termios.tcgetattr(0)
            tty.setraw(0, termios.TCSANOW)
        elif self._saved is not None:
            termios.tcsetattr(0, termios.TCSADRAIN, self._saved)

    # -- what goes out

    def _send(self, data: bytes) -> None:
        self._outgoing += data

    def attach(self) -> None:
        """Ask for the streams, from where we are; what still comes of an earlier question is passed over."""
        self._attached = False
        self._asked += 1
        out, error = self._outs[frames.STDOUT], self._outs[frames.STDERR]
        wanted = {"stdout": out.received, "stderr": error.received, "n": self._asked}
        self._send(frames.encode_json(frames.ATTACH, wanted))

    def begin(self) -> dict[str, Any]:
        """
        Wait for the job to begin and return what the daemon says of it; then hang up. Blocks.

        :raises GomdError: it cannot be started.
        """
        self._connection.setblocking(True)
        while True:
            data = self._connection.recv(frames.CHUNK)
            if not data:
                raise ConnectionLost("the daemon went away before the job began")
            for frame in self._parser.feed(data):
                if frame.kind == frames.STARTED:
                    self._connection.close()
                    return frames.decode_json(frame.payload)
                if frame.kind == frames.FAILED:
                    raise _error(frame)

    # -- the loop

    def serve(self) -> int:
        """
        Pass everything on until the job ends, and return its exit status. Blocks.

        :raises Lost: the connection broke. :raises GomdError: the job cannot be started, or is lost.
        """
        while True:
            self._pass_signals_on()
            if self._status is not None and not any(out.waiting for out in self._outs.values()):
                self._finish()
                return self._status
            self._step()

    def _step(self) -> None:
        poll = select.poll()
        poll.register(self._wake_read, select.POLLIN)
        if self._status is None:
            poll.register(self._connection, select.POLLIN | (select.POLLOUT if self._outgoing else 0))
        for out in self._outs.values():
            if out.waiting:
                poll.register(out.descriptor, select.POLLOUT)
            elif out.kind == frames.STDOUT and out.open:
                poll.register(out.descriptor, 0)  # its reader goes away: POLLERR
        if self._may_read_stdin():
            poll.register(0, select.POLLIN)
        ready = dict(poll.poll())
        if self._wake_read in ready:
            os.read(self._wake_read, 512)
        for out in self._outs.values():
            if out.descriptor in ready:
                self._write(out, ready[out.descriptor])
        if 0 in ready and self._may_read_stdin():
            self._read_stdin()
        happened = ready.get(self._connection.fileno(), 0)
        if happened & ~select.POLLOUT:
            self._receive()
        self._flush()

    def _flush(self) -> None:
        try:
            while self._outgoing:
                sent = self._connection.send(self._outgoing)
                del self._outgoing[:sent]
        except BlockingIOError:
            pass
        except OSError:
            if self._status is None and not self._receive():
                raise Lost from None

    def _receive(self) -> bool:
        """Take what came. :raises Lost: the daemon is gone."""
        try:
            data = self._connection.recv(1 << 18)
        except BlockingIOError:
            return True
        except OSError:
            raise Lost from None
        if not data:
            raise Lost
        for frame in self._parser.feed(data):
            self._take(frame)
        return True

    def _take(self, frame: frames.Frame) -> None:
        kind, payload = frame
        if kind in self._outs:
            if not self._attached:
                return  # it comes again, behind the answer to what was asked last
            out = self._outs[kind]
            out.received += len(payload)
            if out.open:
                out.waiting.append(payload)
            else:
                self._acknowledge(out, out.received)
        elif kind == frames.ACK:
            stream, position = frames.decode_ack(payload)
            if stream == frames.STDIN and self._attached:
                self._stdin_taken = position
                self._stdin_arrived(position)
        elif kind == frames.STARTED:
            told = frames.decode_json(payload)
            self.job = int(told["job"])
            self._detached_job = bool(told.get("detached"))
        elif kind == frames.ATTACHED:
            told = frames.decode_json(payload)
            if told.get("n", self._asked) == self._asked:
                self._go_on(told)
        elif kind == frames.RESUME:
            self.attach()
        elif kind == frames.EXIT:
            told = frames.decode_json(payload)
            if not self._attached and not told.get("lost"):
                return
            self._status, self._reason = int(told["exit"]), str(told.get("reason", ""))
        elif kind == frames.FAILED:
            raise _error(frame)

    def _go_on(self, told: dict[str, Any]) -> None:
        """The job's end is there: send again what of our input it has not got."""
        self._attached = True
        for kind, name in ((frames.STDOUT, "stdout"), (frames.STDERR, "stderr")):
            out = self._outs[kind]
            lost = int(told[name]) - out.received
            if lost > 0:
                _complain(f"{lost} bytes of the job's {name} are not kept any more")
            out.received = int(told[name])
            if not out.waiting:
                out.position = out.received
        self._stdin_arrived(int(told["stdin"]))
        self._stdin_taken = int(told["stdin_taken"])
        if told.get("stdin_ended"):
            self._stdin_open = False
            self._stdin_end_sent = True
            return
        self._stdin_end_sent = False
        for data in self._stdin_kept:
            self._send(frames.encode(frames.STDIN, data))
        self._end_stdin()

    # -- standard input

    def _may_read_stdin(self) -> bool:
        under_way = self._stdin_position - self._stdin_taken
        return (
            self._attached and self._stdin_open and self._status is None
            and under_way + frames.CHUNK <= frames.WINDOW and len(self._outgoing) < frames.WINDOW
        )  # fmt: skip

    def _read_stdin(self) -> None:
        try:
            data = os.read(0, frames.CHUNK)
        except BlockingIOError:
            return
        except OSError:  # in the background of a terminal, or none at all
            data = b""
        if data:
            self._stdin_position += len(data)
            self._stdin_kept.append(data)
            self._send(frames.encode(frames.STDIN, data))
        else:
            self._stdin_open = False
            self._end_stdin()

    def _end_stdin(self) -> None:
        if not self._stdin_open and not self._stdin_end_sent:
            self._stdin_end_sent = True
            self._send(frames.encode(frames.STDIN_END))

    def _stdin_arrived(self, position: int) -> None:
        while self._stdin_kept and self._stdin_base < position:
            first = self._stdin_kept.popleft()
            if self._stdin_base + len(first) > position:
                self._stdin_kept.appendleft(first[position - self._stdin_base :])
                self._stdin_base = position
            else:
                self._stdin_base += len(first)

    # -- standard output and error

    def _write(self, out: _Out, happened: int) -> None:
        try:
            if happened & select.POLLERR and not out.waiting:
                raise BrokenPipeError
            if out.waiting:
                out.write()
                self._acknowledge(out, out.position)
        except BrokenPipeError:
            # Whoever read it has enough: the job is told as a shell's pipe would tell it.
            out.open = False
            out.waiting.clear()
            self._acknowledge(out, out.received)
            if out.kind == frames.STDOUT:
                self._send(frames.encode_signal(signal.SIGPIPE, True))

    def _acknowledge(self, out: _Out, position: int) -> None:
        out.position = position
        if self._attached and self._status is None:
            self._send(frames.encode_ack(out.kind, position))

    # -- signals and the end

    def _pass_signals_on(self) -> None:
        while self._signals:
            number = self._signals.pop(0)
            if number == signal.SIGWINCH:
                if self._terminal:
                    columns, rows = os.get_terminal_size(0)
                    self._send(frames.encode_winsize(rows, columns))
            elif number == signal.SIGHUP:
                self._send(frames.encode(frames.HANGUP))
                self._flush()
                self._leave(number)
            elif self.detachable and self._detached_job:
                self._leave(number)
            else:
                self._send(frames.encode_signal(number, True))
        self._flush()

    def _leave(self, number: int) -> None:
        """End here and now, as the signal would have ended us."""
        self._raw(False)
        self._connection.close()
        os._exit(128 + number)

    def _finish(self) -> None:
        """Let the daemon know that the status has arrived."""
        self._outgoing.clear()
        self._connection.settimeout(1.0)
        try:
            self._connection.sendall(frames.encode(frames.COLLECTED))
        except OSError:
            pass
        self._connection.close()
        if self._reason:
            self._raw(False)
            _complain(self._reason)


def _error(frame: frames.Frame) -> Exception:
    told = frames.decode_json(frame.payload)
    code, text = int(told["code"]), str(told["text"])
    error = error_for(code, text)
    error.code = code  # type: ignore[misc]
    return error


def _complain(sentence: str) -> None:
    os.write(2, f"gom: {sentence}\n".encode("utf-8", "backslashreplace"))
