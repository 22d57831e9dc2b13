"""
A job's streams for scripts that may wait: what `libgomd.blocking.Client.run` and ``attach`` return.

Standard library only. Nothing happens between two calls: a script that computes for a while holds its job
back once the window of 1 MiB is full, as it would at the other end of a pipe.
"""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Final

from libgomd.errors import ConnectionLost, GomdError, NotFound, TimedOut
from libgomd.jobhandle import JobHandle
from libgomd.jobsession import RECONNECT_INTERVAL, OutputChunk

#: A connection that carries frames, and what came over it already.
Connected = tuple[socket.socket, bytes]
#: Connects to a job again by its number, within so many seconds.
Reopen = Callable[[int, float], Connected]
#: Bytes that one call of the kernel reads at most.
_MAX_READ_BYTES: Final = 1 << 18


class BlockingJob(JobHandle):
    """
    A job that was started, or attached to. For one thread at a time; a context manager that closes it.

    Every method raises `GomdError` when the streams are lost for good: `ConnectionLost` when the daemon went
    away and was not there again within the time that `run` or ``attach`` was given, `MalformedReply` and
    `TimedOut` when it does not keep to the protocol, `NotFound` when the job is not there any more. A
    ``timeout`` is in seconds, None for as long as it takes; `TimedOut` from one of those leaves the job as it
    is, and the call may be made again.

    :param connected: answered with 202. :param reopen: opens the next connection.
    :param timeout: seconds for what the daemon owes at once.
    :param reconnect: seconds to try to reach a daemon again that went away.
    """

    def __init__(self, connected: Connected, reopen: Reopen, *, timeout: float, reconnect: float) -> None:
        super().__init__()
        self._socket: socket.socket | None = None
        self._reopen = reopen
        self._timeout = timeout
        self._reconnect = reconnect
        self._outgoing = bytearray()
        self._due: float | None = None
        self._lost_at: float | None = None
        self._why = ""
        self._error: GomdError | None = None
        try:
            self._join(connected)
        except BaseException:
            self.close()
            raise

    # -- streams

    def write(self, data: bytes, timeout: float | None = None) -> None:
        """
        Write to its standard input. Blocks until all of it is on its way, at most 1 MiB ahead of the job.

        Output waits here meanwhile, 1 MiB of each stream; a job that writes more than that before it reads
        its input is for `communicate`.

        :raises NotPossible: it has ended, or its input is closed. :raises TimedOut: what did not fit is still
            to be written, by the next call of any method.
        """
        self._session.write(data)
        self._until(lambda: not self._session.input_waiting and not self._outgoing, timeout, "room for input")
        self._session.check_input()

    def close_stdin(self) -> None:
        """End its standard input. Blocks only while the connection is full."""
        self._session.close_stdin()
        self._flushed()

    def read(self, timeout: float | None = None) -> OutputChunk | None:
        """
        Return the next piece of output as ``(stream, data)``, None behind the last. Blocks until there is
        one.
        """
        session = self._session
        self._until(lambda: session.has_output or session.exited is not None, timeout, "output")
        chunk = session.next_chunk()
        if session.exited is None:
            self._send()
        return chunk

    def __iter__(self) -> Iterator[OutputChunk]:
        """
        Yield output piece by piece, both streams in the order they come, until the job has ended. Blocks.
        """
        while (chunk := self.read()) is not None:
            yield chunk

    def communicate(self, input: bytes = b"", timeout: float | None = None) -> tuple[bytes, bytes]:
        """
        Send ``input``, end its standard input, and return all of its output and of its errors. Blocks until
        it ends.

        :raises TimedOut: what was read so far is lost, use `read` where that matters.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        if input:
            self._session.write(input)
        self._session.close_stdin()
        found: dict[str, list[bytes]] = {"stdout": [], "stderr": []}
        while (chunk := self.read(_left(deadline))) is not None:
            found[chunk.stream].append(chunk.data)
        return b"".join(found["stdout"]), b"".join(found["stderr"])

    def wait(self, timeout: float | None = None) -> int:
        """
        Return its exit status: its own, or 128 + N when signal N ended it. Blocks until it has ended.

        Output that was not read waits, and can still be read behind the end. When there is more than 1 MiB of
        a stream the job waits for its reader, as for that of a pipe: read it, or call `communicate`.
        """
        self._until(lambda: self._session.exited is not None, timeout, "the end of the job")
        assert self.exit is not None
        return self.exit

    # -- signals and the end

    def signal(self, signal: int | str, *, group: bool = True) -> None:
        """
        Send a signal, by number or name (``TERM``), to its process group, or to its first process only.

        Blocks only while the connection is full. One for a job that has ended does nothing.
        """
        self._session.signal(signal, group)
        if self._session.exited is None:
            self._flushed()

    def set_size(self, rows: int, columns: int) -> None:
        """Tell the size of the terminal of a job that was started with ``tty=True``. Blocks as `signal`."""
        self._session.set_size(rows, columns)
        self._flushed()

    def kill(self) -> None:
        """Send SIGKILL to its process group; `wait` then returns 137."""
        self.signal("KILL")

    def detach(self) -> None:
        """
        Leave a detached job running and close the connection; its output is kept for `attach`.

        :raises NotPossible: it was not started with ``detach=True``, and would end with its caller.
        """
        self._check_detachable()
        self.close()

    def close(self) -> None:
        """
        Close the connection; a second time does nothing. Never raises.

        A job that still runs gets SIGHUP, and SIGKILL after 5 s, unless it is a detached one.
        """
        self._fail(ConnectionLost(f"this connection to {self._session} is closed"))

    def leave(self) -> None:
        """Close the connection of a detached job that has begun; its streams are for `attach`."""
        self._fail(self._left_alone())

    def __enter__(self) -> BlockingJob:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- the connection

    def begun(self, timeout: float) -> None:
        """
        Wait until the daemon has said that the job runs. :raises GomdError: it does not; closes everything.
        """
        try:
            self._until(lambda: self._session.facts is not None, timeout, "the beginning of the job")
        except BaseException:
            self.close()
            raise

    def feed(self, data: bytes) -> None:
        """Let ``data`` be all of its standard input: it is sent while other methods wait. Does not block."""
        self._session.write(data)
        self._session.close_stdin()
        self._send()

    def _flushed(self) -> None:
        self._until(lambda: not self._outgoing, self._timeout, "room on the connection")

    def _until(self, ready: Callable[[], bool], timeout: float | None, what: str) -> None:
        deadline = None if timeout is None else time.monotonic() + timeout
        self._take_outgoing()
        while not ready():
            if self._error is not None:
                raise self._error
            if deadline is not None and time.monotonic() >= deadline:
                raise TimedOut(f"{what} did not come within {timeout:g} seconds")
            try:
                self._step(deadline)
            except GomdError as error:
                raise self._fail(error)
            self._take_outgoing()

    def _take_outgoing(self) -> None:
        self._outgoing += self._session.data_to_send()
        if self._session.exited is not None:
            self._finish()

    def _step(self, deadline: float | None) -> None:
        """Wait for something to happen on the connection, make a new one if need be."""
        now = time.monotonic()
        if self._socket is None:
            self._try_again(now, deadline)
            return
        ends = [end for end in (deadline, self._due) if end is not None]
        poll = select.poll()
        poll.register(self._socket, select.POLLIN | (select.POLLOUT if self._outgoing else 0))
        happened = poll.poll(max(0.0, min(ends) - now) * 1000 + 1 if ends else None)
        if happened and happened[0][1] & ~select.POLLOUT:
            self._receive()
        elif self._due is not None and time.monotonic() >= self._due:
            raise TimedOut(f"the daemon began to answer, and then nothing came for {self._timeout:g} s")
        self._send()

    def _receive(self) -> None:
        assert self._socket is not None
        try:
            data = self._socket.recv(_MAX_READ_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            self._lost(error.strerror or str(error))
            return
        if data:
            self._taken(data)
        else:
            self._lost("it closed the connection")

    def _taken(self, data: bytes) -> None:
        self._session.receive(data)
        if self._session.attached:
            self._lost_at = None
        self._due = time.monotonic() + self._timeout if self._session.answer_due else None

    def _send(self) -> None:
        """Send what the connection takes now."""
        self._outgoing += self._session.data_to_send()
        if self._socket is None:
            return
        try:
            while self._outgoing:
                sent = self._socket.send(self._outgoing)
                del self._outgoing[:sent]
        except BlockingIOError:
            pass
        except OSError:  # what the daemon said before it went is still to be read
            self._outgoing.clear()

    def _lost(self, why: str) -> None:
        """The connection is gone. :raises ConnectionLost: and no other one will do."""
        self._close_socket()
        self._why = why
        if self._lost_at is None:
            self._lost_at = time.monotonic()
        else:  # it led nowhere: the daemon is not really back
            time.sleep(RECONNECT_INTERVAL)
        if self._session.facts is None or not self._reconnect:
            raise self._session.gone(why)

    def _try_again(self, now: float, deadline: float | None) -> None:
        assert self._lost_at is not None
        end = self._lost_at + self._reconnect
        if now >= end:
            raise self._session.gone(self._why)
        limit = min(end, end if deadline is None else deadline) - now
        try:
            self._join(self._reopen(self.job, min(limit, self._timeout)))
        except NotFound:
            raise
        except GomdError as error:  # it is not back, or its end of the old connection is not yet gone
            self._why = str(error)
            time.sleep(min(RECONNECT_INTERVAL, limit))

    def _join(self, connected: Connected) -> None:
        self._socket, early = connected
        self._socket.setblocking(False)
        if self._socket.family != socket.AF_UNIX:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self._outgoing.clear()
        self._session.connected()
        self._taken(early)
        self._send()

    def _finish(self) -> None:
        """Tell the daemon that the exit status has arrived, and hang up."""
        if self._socket is None:
            return
        self._socket.settimeout(1.0)
        try:
            self._socket.sendall(self._outgoing)
        except OSError:
            pass
        self._close_socket()

    def _fail(self, error: GomdError) -> GomdError:
        self._error = self._error or error
        self._close_socket()
        return error

    def _close_socket(self) -> None:
        self._outgoing.clear()
        self._due = None
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def _left(deadline: float | None) -> float | None:
    return None if deadline is None else max(0.0, deadline - time.monotonic())
