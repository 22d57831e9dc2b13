"""
The process beside each job that keeps its streams and its exit status while daemons come and go.

It is forked by the launcher, starts the job and stays until somebody has taken note of its end. One
daemon at a time is connected to it: the one that had it started, over the connection it was given, or
a later one, over the socket in the job's directory. docs/jobs.md says what travels there.

Standard library only, and as little of it as will do: there is one of these for every job.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import time
from contextlib import suppress
from typing import Any

from gomd.jobs.supervisor.backlog import LOST, Backlog, Spool
from gomd.jobs.supervisor.cgroups import JobGroup, NoLimit, group_of
from gomd.jobs.supervisor.output import OutputStream
from gomd.jobs.supervisor.spawn import CannotStart, Program, SupervisorEnvironment, begin
from gomd.jobs.supervisor.stdio import end_the_rest, make_pipes, make_terminal, set_size
from libgomd.private import create_private, make_private_directory, open_private, open_private_directory
from libgomd.wire import frames

#: The names in a job's directory.
SOCKET, JOB, EXIT = "socket", "job", "exit"
#: What `MOVED` says did happen when the description of the job has arrived: the daemon may start others.
RECEIVED = "received"
#: Seconds for the first word of the daemon.
_SPEC_LIMIT = 30.0
#: Seconds between SIGHUP and SIGKILL when the caller is gone.
HANGUP_GRACE = 5.0
#: Seconds the output may stay open after the job has ended, held by what left its process group.
_DRAIN_LIMIT = 1.0
#: Seconds after which a job that has ended and that nobody asks for is let go.
LINGER = 900.0
#: Seconds between two looks, while no daemon is connected, whether one can still come.
DESERTED_LOOK = 60.0
#: Milliseconds between two looks at files that another process writes.
_LOOK_EACH = 100
#: Bytes for the daemon that may wait here.
_OUTGOING = 262144


def serve(connection: socket.socket, around: SupervisorEnvironment, kind: type[Supervisor]) -> None:
    """Be the supervisor of the job that the daemon at ``connection`` describes. Blocks until its end."""
    parser = frames.FrameParser()
    connection.settimeout(_SPEC_LIMIT)
    received: list[frames.Frame] = []
    while not received:
        data = connection.recv(frames.CHUNK)
        if not data:
            return
        received.extend(parser.feed(data))
    spec = frames.decode_json(received[0].payload)
    if received[0].kind != frames.SPEC:
        return
    connection.sendall(frames.encode_json(frames.MOVED, {"did": RECEIVED, "error": ""}))
    connection.setblocking(False)
    kind(spec, around, connection, parser).run(received[1:])


class Supervisor:
    """
    One job.

    :param spec: what the daemon says of it; docs/jobs.md names what is in it. :param around: where this is.
    :param connection: the daemon's, which does not block. :param parser: of what comes over it.
    """

    def __init__(
        self,
        spec: dict[str, Any],
        around: SupervisorEnvironment,
        connection: socket.socket,
        parser: frames.FrameParser,
    ) -> None:
        self._spec = spec
        self._around = around
        self._connection: socket.socket | None = connection
        self._parser = parser
        self._outgoing = bytearray()
        self._listener: socket.socket | None = None
        self._program: Program | None = None
        self._group: JobGroup | None = None
        self._child_ended, self._wakeup = -1, -1
        self._terminal = -1
        self._stdin = -1
        self._stdin_waiting = bytearray()
        self._stdin_received = 0
        self._stdin_acknowledged = 0
        self._stdin_taken = 0
        self._stdin_ended = False
        self._attached = False
        self._exit_told = False
        self._exit: dict[str, Any] | None = None
        self._status: int | None = None
        self._kill_at: float | None = None
        self._drain_until: float | None = None
        self._idle_since: float | None = None
        self._look_at: float | None = None
        self._deserted = False
        self._done = False
        self._frozen = False
        make_private_directory(os.path.dirname(spec["directory"]))
        if spec.get("images"):
            make_private_directory(spec["directory"])
        elif not spec.get("view"):
            os.mkdir(spec["directory"], 0o700)
        directory = open_private_directory(spec["directory"])
        os.fchdir(directory)
        self._spooled = bool(spec.get("detach"))
        self._outputs = {
            kind: OutputStream(kind, self._spool(directory, name) if self._spooled else Backlog())
            for kind, name in ((frames.STDOUT, "stdout"), (frames.STDERR, "stderr"))
        }

    def _spool(self, directory: int, name: str) -> Spool:
        return Spool(directory, name, int(self._spec["spool_bytes"]), int(self._spec.get("spool_reserve", 0)))

    # -- the beginning

    def run(self, received: list[frames.Frame]) -> None:
        """Start the job and serve it to its end. Blocks."""
        if self._spec.get("view"):
            self._look()
        else:
            try:
                self._start()
            except CannotStart as error:
                self._refuse(error)
                return
        if not self._spec.get("view"):
            self._listen()
        self._tell_started()
        for frame in received:
            self._take(frame)
        while not self._done:
            self._step()
        self._leave()
        self._remove_group()

    def _look(self) -> None:
        """See how far the job is whose output is only shown here, and whether it has ended."""
        try:
            with open(open_private(EXIT), encoding="ascii") as file:
                self._exit = json.load(file)
        except FileNotFoundError:
            pass
        for output in self._outputs.values():
            assert isinstance(output.backlog, Spool)
            output.backlog.refresh()

    def _refuse(self, error: CannotStart) -> None:
        """Tell why nothing runs, and leave no trace."""
        self._remove_group()
        assert self._connection is not None
        self._connection.settimeout(_SPEC_LIMIT)
        self._connection.sendall(frames.encode_json(frames.FAILED, {"code": error.code, "text": str(error)}))
        if not (self._spooled and self._spec.get("images")):  # else its output so far is there
            self._remove()

    def _start(self) -> None:
        spec = self._spec
        try:
            self._group = group_of(spec)
        except NoLimit as error:
            raise CannotStart(405, f"its memory cannot be limited on {spec['where']}: {error}") from error
        streams, ours = self._make_terminal() if spec.get("tty") else self._make_pipes()
        self._watch_children()
        try:
            self._program = begin(spec, streams, self._around, self._group)
        finally:
            for descriptor in set(streams):
                os.close(descriptor)
        self._stdin, self._outputs[frames.STDOUT].descriptor, self._outputs[frames.STDERR].descriptor = ours
        for descriptor in ours:
            if descriptor >= 0:
                os.set_blocking(descriptor, False)
        self._write(JOB, self._description())

    def _watch_children(self) -> None:
        """Be woken when a child ends."""
        self._child_ended, self._wakeup = os.pipe()
        os.set_blocking(self._child_ended, False)
        os.set_blocking(self._wakeup, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._wakeup, warn_on_full_buffer=False)

    def _description(self) -> dict[str, Any]:
        assert self._program is not None
        names = ("id", "argv", "uid", "gid", "user", "cwd", "detach", "tty", "lock", "nmigs",
                 "images", "began", "used", "pid_at_home", "memory_max")  # fmt: skip
        kept = {name: self._spec.get(name) for name in names}
        return {
            **kept,
            "pid": self._program.outside,
            "supervisor": self._around.pid,
            "cantmove": self._around.why_not,
        }

    def _make_pipes(self) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
        detach = bool(self._spec.get("detach"))
        self._stdin_ended = self._stdin_ended or detach
        return make_pipes(detach, bool(self._spec.get("merge")))

    def _make_terminal(self) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
        streams, ours = make_terminal(self._spec["uid"])
        self._terminal = ours[1]
        self._set_size(*self._spec.get("size", (24, 80)))
        return streams, ours

    def _set_size(self, rows: int, columns: int) -> None:
        if self._terminal >= 0:
            try:
                set_size(self._terminal, rows, columns)
            except OSError:
                pass  # the job has just closed it

    def _listen(self) -> None:
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.setblocking(False)
        if os.path.lexists(SOCKET):
            os.unlink(SOCKET)
        self._listener.bind(SOCKET)
        self._listener.listen(2)

    def _tell_started(self) -> None:
        if self._program is not None:
            self._send(frames.encode_json(frames.STARTED, self._description()))
        self._send_exit()

    # -- the loop

    def _step(self) -> None:
        """Wait for something to happen and do what it asks for."""
        poll = select.poll()
        for output in self._outputs.values():
            if output.descriptor >= 0 and output.backlog.room() > 0:
                poll.register(output.descriptor, select.POLLIN)
        if self._stdin >= 0 and self._stdin_waiting and not self._frozen:
            poll.register(self._stdin, select.POLLOUT)
        if self._child_ended >= 0:
            poll.register(self._child_ended, select.POLLIN)
        if self._listener is not None:
            poll.register(self._listener, select.POLLIN)
        if self._connection is not None:
            poll.register(self._connection, select.POLLIN | (select.POLLOUT if self._outgoing else 0))
        self._watch(poll)
        ready = dict(poll.poll(self._timeout()))
        self._see(ready)
        for output in self._outputs.values():
            if output.descriptor in ready:
                self._read_output(output)
        if self._stdin in ready:
            self._feed()
        if self._listener is not None and self._listener.fileno() in ready:
            self._accept()
        elif self._connection is not None and self._connection.fileno() in ready:
            self._receive()
        if self._child_ended in ready:
            self._reap()
        if self._spec.get("view") and self._exit is None:
            self._look()
        self._by_the_clock()
        self._pump()

    def _timeout(self) -> int | None:
        """Return the milliseconds until something has to happen by itself."""
        if self._spec.get("view") and self._exit is None:
            return _LOOK_EACH
        due = [at for at in (self._kill_at, self._drain_until) if at is not None and not self._frozen]
        if self._idle_since is not None:
            due.append(self._idle_since + LINGER)
        if self._look_at is not None:
            due.append(self._look_at)
        if not due:
            return None
        return max(0, int((min(due) - time.monotonic()) * 1000) + 1)

    def _by_the_clock(self) -> None:
        now = time.monotonic()
        if self._look_at is not None and now >= self._look_at:
            self._look_at = now + DESERTED_LOOK
            if not os.path.lexists(SOCKET):
                self._desert()
        if self._kill_at is not None and now >= self._kill_at and not self._frozen:
            self._kill_at = None
            self._signal(signal.SIGKILL, group=True)
        if self._status is not None and self._exit is None and not self._frozen:
            open_still = any(output.descriptor >= 0 for output in self._outputs.values())
            late = self._drain_until is not None and now >= self._drain_until
            if late:
                for output in self._outputs.values():
                    output.close()
            if late or not open_still:
                self._drain_until = None
                self._end()
        if self._exit is not None and not self._attached:
            self._idle_since = self._idle_since or now
            self._done = self._done or self._deserted or now >= self._idle_since + LINGER
        else:
            self._idle_since = None

    def _desert(self) -> None:
        """
        The directory is gone, and no daemon is connected: none will ever come. End the job as at a hang-up.

        What is frozen nobody can let go on any more: it ends with this process.
        """
        self._look_at = None
        self._deserted = True
        if self._frozen:
            self._done = True
        else:
            self._hang_up()

    def _read_output(self, output: OutputStream) -> None:
        try:
            data = os.read(output.descriptor, min(frames.CHUNK, output.backlog.room()))
        except BlockingIOError:
            return
        except OSError:  # EIO: nobody has the terminal any more
            data = b""
        if data:
            output.backlog.append(data)
            if self._drain_until is not None:
                self._drain_until = time.monotonic() + _DRAIN_LIMIT
        else:
            output.close()

    # -- standard input

    def _feed(self) -> None:
        if self._frozen:
            return
        try:
            written = os.write(self._stdin, self._stdin_waiting)
        except BlockingIOError:
            return
        except (
            OSError
        ):  # the job reads no more: let the caller send into the void, as a shell's pipe does not
            self._close_stdin()
            return
        del self._stdin_waiting[:written]
        self._acknowledge_stdin()
        if self._stdin_ended and not self._stdin_waiting:
            self._close_stdin()

    def _close_stdin(self) -> None:
        self._stdin_waiting.clear()
        self._acknowledge_stdin()
        if self._stdin >= 0:
            os.close(self._stdin)
            self._stdin = -1

    def _stdin_position(self) -> int:
        """Return how much the job's pipe has had; never less than before, though a move takes some back."""
        self._stdin_taken = max(self._stdin_taken, self._stdin_received - len(self._stdin_waiting))
        return self._stdin_taken

    def _acknowledge_stdin(self) -> None:
        position = self._stdin_position()
        if position != self._stdin_acknowledged:
            self._stdin_acknowledged = position
            if self._attached:
                self._send(frames.encode_ack(frames.STDIN, position))

    # -- the daemon

    def _accept(self) -> None:
        """Take a new daemon's connection in the place of the old one's."""
        assert self._listener is not None
        try:
            connection, _ = self._listener.accept()
        except OSError:
            return
        self._disconnect()
        connection.setblocking(False)
        self._connection = connection
        self._parser = frames.FrameParser()
        self._look_at = None
        self._tell_started()

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None
        if self._listener is not None:
            self._look_at = time.monotonic() + DESERTED_LOOK
        self._outgoing.clear()
        self._attached = False
        self._exit_told = False
        self._done = self._done or bool(self._spec.get("view"))

    def _send(self, data: bytes) -> None:
        if self._connection is not None:
            self._outgoing += data

    def _receive(self) -> None:
        """Send what waits, take what came."""
        assert self._connection is not None
        try:
            data = self._connection.recv(frames.CHUNK)
            if not data:
                raise ConnectionResetError
            for frame in self._parser.feed(data):
                self._take(frame)
        except BlockingIOError:
            pass
        except (OSError, frames.MalformedFrame):
            self._disconnect()

    def _take(self, frame: frames.Frame) -> None:
        kind, payload = frame
        if kind == frames.STDIN:
            self._stdin_received += len(payload)
            if self._stdin >= 0:
                self._stdin_waiting += payload
                self._feed()
            else:
                self._acknowledge_stdin()
        elif kind == frames.ACK:
            stream, position = frames.decode_ack(payload)
            output = self._outputs.get(stream)
            if output is not None and output.acknowledged < position <= output.sent:
                output.acknowledged = position
                output.backlog.acknowledge(position)
        elif kind == frames.STDIN_END:
            self._stdin_ended = True
            if not self._stdin_waiting:
                self._close_stdin()
        elif kind == frames.ATTACH:
            self._attach(frames.decode_attach(payload))
        elif kind == frames.SIGNAL:
            number, group = frames.decode_signal(payload)
            self._signal(number, group)
        elif kind == frames.WINSIZE:
            self._set_size(*frames.decode_winsize(payload))
        elif kind == frames.HANGUP:
            self._hang_up()
        elif kind == frames.COLLECTED:
            self._done = self._exit is not None
        elif kind == frames.MOVE:
            order = frames.decode_json(payload)
            if order.get("do") == "keep":
                self._keep(int(order["bytes"]))
            else:
                self._move(order)

    def _keep(self, limit: int) -> None:
        """Keep less of the output of a detached job."""
        for output in self._outputs.values():
            if isinstance(output.backlog, Spool):
                output.backlog.keep(limit)

    def _move(self, order: dict[str, Any]) -> None:
        """Do a step of a migration; what cannot move does none."""

    def _watch(self, poll: select.poll) -> None:
        """Wait for more than the streams of the job."""

    def _see(self, ready: dict[int, int]) -> None:
        """Look after what `_watch` added."""

    def _attach(self, wanted: dict[str, Any]) -> None:
        if wanted.get("detach"):
            self._attached = False
            return
        self._attached = True
        self._exit_told = False
        out, error = self._outputs[frames.STDOUT], self._outputs[frames.STDERR]
        told = {
            "stdout": out.attach(wanted.get("stdout", 0)),
            "stderr": error.attach(wanted.get("stderr", 0)),
            "stdin": self._stdin_received,
            "stdin_taken": self._stdin_position(),
            "stdin_ended": self._stdin_ended,
        }
        if "n" in wanted:
            told["n"] = wanted["n"]
        self._stdin_acknowledged = -1
        self._send(frames.encode_json(frames.ATTACHED, told))
        self._acknowledge_stdin()

    def _pump(self) -> None:
        """Send what may be sent, and as much of it as the connection takes now."""
        if self._connection is None:
            return
        if self._attached and any(output.is_overtaken() for output in self._outputs.values()):
            self._attached = False
            self._send(frames.encode(frames.RESUME))
        if self._attached:
            for output in self._outputs.values():
                while len(self._outgoing) < _OUTGOING and (data := output.to_send()):
                    self._send(frames.encode(output.kind, data))
                    output.sent += len(data)
        self._send_exit()
        while self._outgoing:
            try:
                sent = self._connection.send(self._outgoing)
            except BlockingIOError:
                return
            except OSError:
                self._disconnect()
                return
            del self._outgoing[:sent]

    def _send_exit(self) -> None:
        """Tell the end: to who is attached, behind everything the job wrote."""
        if self._exit is None or self._exit_told:
            return
        if not self._attached or all(output.complete() for output in self._outputs.values()):
            self._exit_told = True
            self._send(frames.encode_json(frames.EXIT, self._exit))

    # -- signals and the end

    def _signal(self, number: int, group: bool) -> None:
        """Send a signal, unless the program has ended."""
        if self._program is None or self._status is not None:
            return  # until it is waited for, its number is its own
        try:
            if group:
                os.killpg(self._program.pid, number)
            else:
                os.kill(self._program.pid, number)
        except (ProcessLookupError, PermissionError):
            pass  # the latter: a daemon that is not root's, and a program with another user's rights

    def _hang_up(self) -> None:
        """The caller is gone: say so as a terminal would, and see to it that the job ends."""
        if self._status is None and self._kill_at is None:
            self._signal(signal.SIGHUP, group=True)
            self._signal(signal.SIGCONT, group=True)
            self._kill_at = time.monotonic() + HANGUP_GRACE

    def _reap(self) -> None:
        """Wait for the children that have ended; when the program has, leave nothing of it running."""
        assert self._program is not None
        os.read(self._child_ended, 512)
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid == self._program.pid:
                code = os.waitstatus_to_exitcode(status)
                self._status = code if code >= 0 else 128 - code
                self._kill_at = None
                self._drain_until = time.monotonic() + _DRAIN_LIMIT
                end_the_rest(self._around.namespace, self._program.pid)

    def _end(self) -> None:
        """Everything is known: write it down."""
        assert self._status is not None
        lost = sum(getattr(output.backlog, "lost", 0) for output in self._outputs.values())
        reasons = [LOST.format(lost)] if lost else []
        if self._group is not None:
            reasons = [text for text in (self._group.out_of_memory(), *reasons) if text]
        self._exit = {"exit": self._status, "reason": "; ".join(reasons)}
        self._remove_group()
        self._write(EXIT, self._exit)
        self._close_stdin()
        self._terminal = -1

    def _write(self, name: str, value: dict[str, Any]) -> None:
        """Write a file of the job's directory: all of it or none; on the disk when no daemon hears of it."""
        try:
            with open(create_private(f"{name}.new"), "w", encoding="ascii") as file:
                json.dump(value, file)
                if self._connection is None:
                    file.flush()
                    os.fsync(file.fileno())
            os.rename(f"{name}.new", name)
        except OSError:
            pass  # a full disk: whoever is connected is told, and that is what counts

    def _leave(self) -> None:
        if self._spec.get("view") or self._deserted:
            return
        if self._spooled:
            with suppress(FileNotFoundError):  # its output has been removed meanwhile, to make room
                os.unlink(SOCKET)
        else:
            self._remove()

    def _remove_group(self) -> None:
        """Remove the job's cgroup."""
        group, self._group = self._group, None
        if group is not None:
            group.remove()

    def _remove(self) -> None:
        """Remove the job's directory."""
        for name in os.listdir("."):
            os.unlink(name)
        os.rmdir(self._spec["directory"])
