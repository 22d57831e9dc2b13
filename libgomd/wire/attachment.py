"""
The caller's end of a job's streams as a state machine, without I/O: frames in, events and frames out.

Theory of operation
===================

A job has three streams (`libgomd.wire.resumable`): its input, which the caller sends, and its two outputs,
which the job's supervisor sends. They are *attached* to one caller at a time::

    caller                                    job
    ATTACH {stdout, stderr, n}      ->                 send the outputs from these positions on
                                    <-        ATTACHED {stdout, stderr, stdin, stdin_taken, n}
    STDIN ..., ACK ...              <->       STDOUT ..., STDERR ..., ACK ...

Anything between the two may be replaced at any time: the caller's connection, a daemon on the way, the
supervisor when the job moves. Whoever notices says so (`RESUME`, or a new connection), and the caller sends
`ATTACH` again. Two of them may be under way at once, those of two callers too when one follows the other,
so each has a number ``n``: everything that comes before the `ATTACHED` with the newest number belongs to an
older attachment and is ignored, and no input is sent until then.

`CallerEnd` is the caller's side, used by `gom`, by the clients of libgomd and by the home daemon that keeps
the output of a detached job. `libgomd.wire.job_end.JobEnd` is the supervisor's. Neither knows sockets:
`CallerEnd.receive` takes a frame and returns what it means, and `data_to_send` gives the bytes that are to be
written.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from libgomd.errors import GomdError, NotFound, NotPossible, error_for
from libgomd.wire import frames
from libgomd.wire.resumable import CHUNK, WINDOW, MemoryStore, Receiver, Sender

#: The outputs by the names they have in ATTACH and ATTACHED.
OUTPUTS: Final = {frames.STDOUT: "stdout", frames.STDERR: "stderr"}


class Started(NamedTuple):
    """
    The job runs. This is what its end says of it; None stands for what it does not say.

    :ivar job: its number on its home node. :ivar home: id of that node. :ivar node: id of the node that it
        runs on. :ivar pid: its process id at home. :ivar detached: nobody waits for it. :ivar tty: it has a
        terminal of its own.
    """

    job: int | None = None
    home: int | None = None
    node: int | None = None
    pid: int | None = None
    detached: bool = False
    tty: bool = False

    @classmethod
    def decode(cls, payload: bytes) -> Started:
        """Return the facts in a `STARTED`. :raises MalformedFrame: a number in it is none."""
        told = frames.decode_json(payload)
        job, home, node, pid = (told.get(name) for name in ("job", "home", "node", "pid"))
        if any(type(number) is not int for number in (job, home, node, pid) if number is not None):
            raise frames.MalformedFrame("a STARTED that does not say job, home, node and pid as numbers")
        return cls(job, home, node, pid, bool(told.get("detached")), bool(told.get("tty")))


class Attached(NamedTuple):
    """
    The streams go on from here.

    :ivar lost: bytes of each output that are not kept any more and never come, by the kind of its frames.
    :ivar stop: 0 while the job's first process runs; while that is stopped, which time it is that it has
        stopped, 1 for the first. None when the job's end does not tell.
    """

    lost: dict[int, int]
    stop: int | None = None


class Data(NamedTuple):
    """Bytes of an output, as they were given. :ivar kind: `frames.STDOUT` or `frames.STDERR`."""

    kind: int
    data: bytes | memoryview


class InputTaken(NamedTuple):
    """The job's end has acknowledged input up to ``position``: there may be room for more."""

    position: int


class Exited(NamedTuple):
    """
    The job has ended; all of its output came before.

    :ivar status: as a shell reports it, 128 + N for signal N. :ivar reason: a sentence, empty as a rule.
    :ivar signal: that ended its first process; 0 for none, and where the job's end does not tell.
    """

    status: int
    reason: str
    signal: int = 0


Event = Started | Attached | Data | InputTaken | Exited


class CallerEnd:
    """
    The caller's end of a job's streams.

    :param received: positions from which the outputs are wanted, by the kind of their frames.
    :param serial: the number before that of the first `ATTACH`. Drawn at random (below 2**48), it keeps an
        answer that was meant for the caller before this one from being taken for an answer to this one.
    :param stops: whether this end wants to hear that the job stops: see `Attached.stop`.
    :ivar attached: whether the job's end has answered the newest `ATTACH`.
    :ivar exited: how the job ended, None while it runs.
    """

    def __init__(
        self,
        received: dict[int, int] | None = None,
        window: int = WINDOW,
        *,
        serial: int = 0,
        stops: bool = False,
    ) -> None:
        start = received or {}
        self.outputs = {kind: Receiver(start.get(kind, 0), window) for kind in OUTPUTS}
        self.stdin = Sender(window=window)
        self.attached = False
        self.exited: Exited | None = None
        self._asked = serial
        self._stops = stops
        self._stdin_ended = False
        self._stdin_end_sent = False
        self._size = b""
        self._outgoing = bytearray()

    # -- what goes out

    def data_to_send(self) -> bytes:
        """Return the bytes that are to be written to the connection now, and forget them."""
        data = bytes(self._outgoing)
        self._outgoing.clear()
        return data

    @property
    def pending(self) -> int:
        """Bytes that `data_to_send` would return now."""
        return len(self._outgoing)

    def connection_replaced(self) -> None:
        """Forget what was to be sent over a connection that is gone; `attach` begins anew on the next one."""
        self._outgoing.clear()
        self.attached = False

    def attach(self) -> None:
        """Ask for the streams from where this end is."""
        self.attached = False
        self._asked += 1
        stdout, stderr = self.outputs[frames.STDOUT].received, self.outputs[frames.STDERR].received
        self._outgoing += frames.encode_attach(frames.AttachRequest(stdout, stderr, self._asked, self._stops))

    def input_room(self) -> int:
        """Return how many bytes of input may be given to `send_input` now; 0 while not attached."""
        if not self.attached or self._stdin_ended or self.exited is not None:
            return 0
        return self.stdin.room()

    @property
    def input_has_ended(self) -> bool:
        """Whether no more input can be sent: `end_input` was called, or the job's end has said so."""
        return self._stdin_ended

    def send_input(self, data: bytes) -> None:
        """Send input, at most `input_room` bytes of it."""
        self.stdin.append(data)
        self._send_input()

    def end_input(self) -> None:
        """Say that no more input comes. May be called more than once, and before the job is attached."""
        self._stdin_ended = True
        self._send_input()

    def _send_input(self) -> None:
        if not self.attached:
            return
        while piece := self.stdin.next_piece(CHUNK):
            self._outgoing += frames.encode(frames.STDIN, piece)
        if self._stdin_ended and not self._stdin_end_sent and self.stdin.drained:
            self._stdin_end_sent = True
            self._outgoing += frames.encode(frames.STDIN_END)

    def passed_on(self, kind: int, size: int) -> None:
        """Count ``size`` bytes of an output as passed on, and acknowledge them."""
        self.outputs[kind].pass_on(size)
        self._acknowledge(kind)

    def _acknowledge(self, kind: int) -> None:
        if self.attached and self.exited is None:
            position = self.outputs[kind].acknowledgement()
            if position is not None:
                self._outgoing += frames.encode_ack(kind, position)

    def signal(self, number: int, group: bool = True) -> None:
        """Send a signal to the job's foreground process group, or to its first process."""
        self._outgoing += frames.encode_signal(number, group)

    def window_size(self, rows: int, columns: int) -> None:
        """Tell the size of the caller's terminal. It is told again with each attachment: one may be lost."""
        self._size = frames.encode_winsize(rows, columns)
        self._outgoing += self._size

    def hang_up(self) -> None:
        """Say that the caller is gone: the job is to end."""
        self._outgoing += frames.encode(frames.HANGUP)

    def collected(self) -> None:
        """Say that the exit status has arrived: the job's end may forget the job."""
        self._outgoing.clear()
        self._outgoing += frames.encode(frames.COLLECTED)

    # -- what comes in

    def receive(self, frame: frames.Frame | frames.Piece) -> Event | None:
        """
        Take a frame; return what it means to the caller, None when it means nothing.

        :raises GomdError: the job could not be started, or is lost: what its end says of it.
        :raises MalformedFrame: the frame cannot be read. Close the connection.
        """
        if frame[0] in self.outputs:
            if not self.attached:
                return None  # of an older attachment: it comes again
            self.outputs[frame[0]].receive(len(frame[1]))
            return Data(*frame)
        assert isinstance(frame, frames.Frame)
        kind, payload = frame
        if kind == frames.ACK:
            stream, position = frames.decode_ack(payload)
            if stream == frames.STDIN and self.attached and self.stdin.acknowledge(position):
                self._send_input()
                return InputTaken(position)
            return None
        if kind == frames.STARTED:
            return Started.decode(payload)
        if kind == frames.ATTACHED:
            return self._on_attached(frames.decode_json(payload))
        if kind == frames.RESUME:
            self.attach()
            return None
        if kind == frames.EXIT:
            return self._on_exit(frames.decode_json(payload))
        if kind == frames.FAILED:
            raise failure_in(payload)
        return None

    def _on_attached(self, told: dict[str, Any]) -> Attached | None:
        if _number(told, "n", self._asked) != self._asked:
            return None
        self.attached = True
        self._outgoing += self._size
        lost = {kind: self.outputs[kind].resume(_number(told, name)) for kind, name in OUTPUTS.items()}
        stdin = _number(told, "stdin")
        if stdin > self.stdin.end:  # another caller has sent the input up to here
            self.stdin = Sender(MemoryStore(stdin), self.stdin.window)
        self.stdin.resume(stdin, _number(told, "stdin_taken", stdin))
        if told.get("stdin_ended"):
            self._stdin_ended = self._stdin_end_sent = True
        else:
            self._stdin_end_sent = False
            self._send_input()
        return Attached(lost, _number(told, "stopped") if "stopped" in told else None)

    def _on_exit(self, told: dict[str, Any]) -> Exited | None:
        if not self.attached and not told.get("lost"):
            return None  # it comes again, behind the output
        self.exited = Exited(_number(told, "exit"), str(told.get("reason", "")), _number(told, "signal"))
        return self.exited


#: The errors of a program that cannot be started, by the exit status that a shell would give.
_UNSTARTED: Final[dict[int, type[GomdError]]] = {126: NotPossible, 127: NotFound}


def failure_in(payload: bytes) -> GomdError:
    """
    Return the error that a `FAILED` frame tells.

    Its ``code`` is 127 or 126, as a shell's, for a program that is not there or cannot be executed.

    :raises MalformedFrame: it tells none.
    """
    told = frames.decode_json(payload)
    code = _number(told, "code", 500)
    text = str(told.get("text") or "the daemon gives no reason")
    error = _UNSTARTED[code](text) if code in _UNSTARTED else error_for(code, text)
    error.code = code  # type: ignore[attr-defined]
    return error


def _number(told: dict[str, Any], name: str, default: int = 0) -> int:
    value = told.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 63:
        raise frames.MalformedFrame(f"a frame whose {name} is no number that can be")
    return value
