"""
A job's streams for Twisted programs: what `libgomd.client.Client.run` and ``attach`` fire with.

Bytes are moved as the reactor turns. Output waits for whoever reads it, 1 MiB of each stream; then the job
waits too, as at the other end of a pipe.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from libgomd.connection import LineConnection
from libgomd.errors import ConnectionLost, GomdError, NotFound, TimedOut
from libgomd.jobconnection import JobConnection
from libgomd.jobhandle import JobHandle
from libgomd.jobsession import RECONNECT_INTERVAL, OutputChunk
from libgomd.streams import in_time, returns_deferred
from libgomd.wire.lines import Request

#: Opens a connection that carries frames behind the answer to a request, within so many seconds.
OpenFrames = Callable[[Request, float], Coroutine[Deferred[Any], Any, LineConnection]]


class RunningJob(JobHandle):
    """
    A job that was started, or attached to. An asynchronous context manager that closes it.

    Deferreds fail with `GomdError` when the streams are lost for good: `ConnectionLost` when the daemon went
    away and was not there again within the time that `run` or ``attach`` was given, `MalformedReply` and
    `TimedOut` when it does not keep to the protocol, `NotFound` when the job is not there any more. A
    ``timeout`` is in seconds, None for as long as it takes; after `TimedOut` from one of those, or a
    cancelled Deferred, the job is as it was.

    :param open_frames: opens the next connection. :param timeout: seconds for what the daemon owes at once.
    :param reconnect: seconds to try to reach a daemon again that went away.
    """

    def __init__(
        self, clock: IReactorTime, open_frames: OpenFrames, *, timeout: float, reconnect: float
    ) -> None:
        self._clock = clock
        self._open_frames = open_frames
        self._timeout = timeout
        self._reconnect = reconnect
        super().__init__()
        self._frames: JobConnection | None = None
        self._error: GomdError | None = None
        self._due: IDelayedCall | None = None
        self._waiting: list[Deferred[None]] = []
        self._rejoining: Deferred[None] | None = None
        self._lost_at: float | None = None

    # -- streams

    def write(self, data: bytes) -> Deferred[None]:
        """
        Write to its standard input; fires when all of it is on its way, at most 1 MiB ahead of the job.

        Wait for it before the next one, or what is written is kept in memory without a bound.

        :raises NotPossible: it has ended, or its input is closed. Cancelling only ends the waiting.
        """
        return Deferred.fromCoroutine(self._write(data))

    async def _write(self, data: bytes) -> None:
        self._check()
        session = self._session
        session.write(data)
        end = session.input_written
        self._send()
        await self._until(lambda: session.input_written - session.input_waiting >= end)
        session.check_input()

    def close_stdin(self) -> None:
        """End its standard input, behind all that was written."""
        self._session.close_stdin()
        self._send()

    @returns_deferred
    async def read(self) -> OutputChunk | None:
        """
        Fire with the next piece of output, ``(stream, data)``; with None behind the last, when it has ended.
        """
        session = self._session
        await self._until(lambda: session.has_output or session.exited is not None)
        chunk = session.next_chunk()
        self._send()
        return chunk

    def __aiter__(self) -> RunningJob:
        """Give output piece by piece, both streams in the order they come, until the job has ended."""
        return self

    async def __anext__(self) -> OutputChunk:
        chunk = await self.read()
        if chunk is None:
            raise StopAsyncIteration
        return chunk

    @returns_deferred
    async def communicate(self, input: bytes = b"") -> tuple[bytes, bytes]:
        """
        Send ``input``, end its standard input, and fire with all of its output and errors when it has ended.
        """
        if input:
            self._session.write(input)
        self.close_stdin()
        found: dict[str, list[bytes]] = {"stdout": [], "stderr": []}
        async for stream, data in self:
            found[stream].append(data)
        return b"".join(found["stdout"]), b"".join(found["stderr"])

    @returns_deferred
    async def wait(self, timeout: float | None = None) -> int:
        """
        Fire with its exit status when it has ended: its own, or 128 + N when signal N ended it.

        Output that was not read waits, and can still be read behind the end. When there is more than 1 MiB of
        a stream the job waits for its reader, as for that of a pipe: read it, or call `communicate`.
        """
        ended = Deferred.fromCoroutine(self._until(lambda: self._session.exited is not None))
        await in_time(self._clock, timeout, ended, "the end of the job")
        assert self.exit is not None
        return self.exit

    # -- signals and the end

    def signal(self, signal: int | str, *, group: bool = True) -> None:
        """
        Send a signal, by number or name (``TERM``), to its process group, or to its first process only.

        One for a job that has ended does nothing.

        :raises MalformedRequest: there is no such signal. :raises GomdError: the streams are closed or lost.
        """
        self._check()
        self._session.signal(signal, group)
        self._send()

    def kill(self) -> None:
        """Send SIGKILL to its process group; `wait` then gives 137."""
        self.signal("KILL")

    def set_size(self, rows: int, columns: int) -> None:
        """Tell the size of the terminal of a job that was started with ``tty=True``."""
        self._check()
        self._session.set_size(rows, columns)
        self._send()

    def detach(self) -> None:
        """
        Leave a detached job running and close the connection; its output is kept for `attach`.

        :raises NotPossible: it was not started with ``detach=True``, and would end with its caller.
        """
        self._check_detachable()
        self.close()

    def close(self) -> None:
        """
        Close the connection; a second time does nothing. What still waits fails with `ConnectionLost`.

        A job that still runs gets SIGHUP, and SIGKILL after 5 s, unless it is a detached one.
        """
        self._fail(ConnectionLost(f"this connection to {self._session} is closed"))

    def leave(self) -> None:
        """Close the connection of a detached job that has begun; its streams are for `attach`."""
        self._fail(self._left_alone())

    async def __aenter__(self) -> RunningJob:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- what the client does

    def join(self, connection: LineConnection, first: bytes = b"") -> None:
        """
        Use ``connection`` from here on, which has been answered with 202; ``first`` is sent before all else.
        """
        self._frames = JobConnection(self._received, self._connection_gone)
        self._session.connected()
        connection.hand_over(self._frames)
        if self._frames is not None:
            self._frames.send(first)
        self._send()

    async def begun(self, timeout: float) -> None:
        """
        Wait until the daemon has said that the job runs. :raises GomdError: it does not; closes everything.
        """
        begun = Deferred.fromCoroutine(self._until(lambda: self._session.facts is not None))
        try:
            await in_time(self._clock, timeout, begun, "the beginning of the job")
        except BaseException:
            self.close()
            raise

    def feed(self, data: bytes) -> None:
        """Let ``data`` be all of its standard input: it is sent as there is room."""
        if self._session.exited is None:
            self._session.write(data)
            self.close_stdin()

    # -- the connection

    def _check(self) -> None:
        if self._error is not None and self._session.exited is None:
            raise self._error

    async def _until(self, ready: Callable[[], bool]) -> None:
        while not ready():
            if self._error is not None:
                raise self._error
            waiting: Deferred[None] = Deferred(self._waiting.remove)
            self._waiting.append(waiting)
            await waiting

    def _changed(self) -> None:
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            each.callback(None)

    def _received(self, data: bytes) -> None:
        try:
            self._session.receive(data)
        except GomdError as error:
            self._fail(error)
            return
        self._stop_clock()
        if self._session.attached:
            self._lost_at = None
        if self._session.answer_due:
            self._due = self._clock.callLater(self._timeout, self._overdue)
        self._send()
        if self._session.exited is not None:
            self._close_connection()
        self._changed()

    def _overdue(self) -> None:
        self._due = None
        self._fail(TimedOut(f"the daemon began to answer, and then nothing came for {self._timeout:g} s"))

    def _send(self) -> None:
        if self._frames is not None:
            self._frames.send(self._session.data_to_send())

    def _connection_gone(self, why: str) -> None:
        self._frames = None
        self._stop_clock()
        if self._session.facts is None or not self._reconnect:
            self._fail(self._session.gone(why))
            return
        again = self._lost_at is not None  # it led nowhere: the daemon is not really back
        if self._lost_at is None:
            self._lost_at = self._clock.seconds()
        end = self._lost_at + self._reconnect
        self._rejoining = Deferred.fromCoroutine(self._rejoin(why, end, again))
        self._rejoining.addErrback(self._not_rejoined)

    async def _rejoin(self, why: str, end: float, again: bool) -> None:
        """Attach again. :raises GomdError: the daemon does not come back, or knows the job no more."""
        if again:
            await deferLater(self._clock, RECONNECT_INTERVAL)
        request = Request("attach", (str(self.job),))
        while (left := end - self._clock.seconds()) > 0:
            try:
                connection = await self._open_frames(request, min(left, self._timeout))
            except NotFound:
                raise
            except GomdError as error:  # it is not back, or its end of the old connection is not yet gone
                why = str(error)
            else:
                self._rejoining = None
                self.join(connection)
                return
            await deferLater(self._clock, min(RECONNECT_INTERVAL, left))
        raise self._session.gone(why)

    def _not_rejoined(self, failure: Failure) -> None:
        if self._error is None:
            error = failure.value
            self._fail(error if isinstance(error, GomdError) else self._session.gone(str(error)))

    def _fail(self, error: GomdError) -> None:
        if self._error is None:
            self._error = error
        self._close_connection()
        rejoining, self._rejoining = self._rejoining, None
        if rejoining is not None:
            rejoining.cancel()
        self._changed()

    def _close_connection(self) -> None:
        self._stop_clock()
        closing, self._frames = self._frames, None
        if closing is not None:
            closing.close()

    def _stop_clock(self) -> None:
        due, self._due = self._due, None
        if due is not None and due.active():
            due.cancel()
