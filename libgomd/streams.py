"""Streams of answers as async iterators, and the timeouts of the Deferred client."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import wraps
from types import TracebackType
from typing import Any, Generic, ParamSpec, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from libgomd.connection import LineConnection
from libgomd.deadlines import within
from libgomd.errors import TimedOut
from libgomd.replies import Assembler, Reply, Stream, check
from libgomd.row_queue import RowQueue
from libgomd.wire.lines import BLOCK

P = ParamSpec("P")
T = TypeVar("T")

#: Seconds that a closing connection may take to flush its data before it is aborted.
_LINGER_TIMEOUT = 5.0


def returns_deferred(
    function: Callable[P, Coroutine[Deferred[Any], Any, T]],
) -> Callable[P, Deferred[T]]:
    """Make a coroutine function return a Deferred, which works with ``await`` and with callbacks."""

    @wraps(function)
    def started(*arguments: P.args, **options: P.kwargs) -> Deferred[T]:
        return Deferred.fromCoroutine(function(*arguments, **options))

    return started


def in_time(clock: IReactorTime, timeout: float | None, waited: Deferred[T], what: str) -> Deferred[T]:
    """Return ``waited``, which fails with `TimedOut` after ``timeout`` seconds; None means never."""
    if timeout is None:
        return waited
    return within(clock, timeout, waited, TimedOut(f"{what} did not come within {timeout:g} seconds"))


def closed(connection: LineConnection, clock: IReactorTime) -> Deferred[None]:
    """Close a connection; fires once it is closed. Data that the daemon does not read in time are lost."""
    connection.close()
    gone = connection.when_gone()
    if not gone.called:  # not `within`: its end is waited for after the abort too, and is no error
        timer = clock.callLater(_LINGER_TIMEOUT, connection.abort)
        gone.addCallback(lambda _: timer.cancel() if timer.active() else None)
    return gone


class Answers(Generic[T]):
    """
    An async iterator over the answers of a stream, with a connection of its own.

    It connects and sends its request when the first answer is requested, and reads no faster than its
    consumer. Leave ``async with`` or call `aclose` to end the stream, also at the daemon. It raises the same
    errors as a call. The timeout applies until the daemon begins to answer, not between the answers.
    """

    def __init__(
        self,
        open_connection: Callable[[], Coroutine[Deferred[Any], Any, LineConnection]],
        stream: Stream[T],
        clock: IReactorTime,
        timeout: float,
    ) -> None:
        self._open_connection = open_connection
        self._stream = stream
        self._clock = clock
        self._timeout = timeout
        self._connection: LineConnection | None = None
        self._queue: RowQueue | None = None
        self._assembler: Assembler[T] = stream.start()
        self._over = False

    def __aiter__(self) -> Answers[T]:
        return self

    async def __anext__(self) -> T:
        if self._over:
            raise StopAsyncIteration
        try:
            queue = self._queue or await self._begin()
            while (row := await queue.next()) is not None:
                for answer in self._assembler.feed(row):
                    return answer
        except BaseException:
            self._end()
            raise
        await self.aclose()
        raise StopAsyncIteration

    async def _begin(self) -> RowQueue:
        self._connection = await self._open_connection()
        self._queue = queue = RowQueue(self._connection)
        self._connection.send(self._stream.request, queue)
        request = self._stream.request
        opened: Reply = await in_time(
            self._clock, self._timeout, queue.opened, f"the answer to {request.verb}"
        )
        check(opened, BLOCK, request)
        return queue

    def _end(self) -> None:
        self._over = True
        if self._queue is not None:
            self._queue.abandon()
        if self._connection is not None:
            self._connection.close()

    def __del__(self) -> None:
        if not self._over:  # the consumer left the loop without closing the stream
            self._end()

    @returns_deferred
    async def aclose(self) -> None:
        """End the stream; fires once its connection is closed. It may be called again."""
        self._over = True
        if self._connection is not None:
            await closed(self._connection, self._clock)

    async def __aenter__(self) -> Answers[T]:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()
