"""
Server-sent events: every round of a watch is one message.

A round is whole, so a client that missed some is right again with the next one. A slow client gets fewer
rounds, always the newest; single events wait in a queue that is bounded where they are made. Between messages
a comment shows every `HEARTBEAT` seconds that the connection lives. A caller whose token or session is gone
gets the event ``signed-out``, and the stream ends. For clients that take gzip, a round is compressed once for
all streams.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import ClassVar, NamedTuple

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from gomd.verbs import rendering
from gomd.verbs.replies import Reply, Rows, WatchReply
from gomd.web.channel import WebRequest
from gomd.web.flow import Flow
from gomd.web.limits import HEARTBEAT, RECHECK
from gomd.web.shared_gzip import HEADER, GzipStream, SharedText
from libgomd.errors import GomdError, NeedsAuth, NodeError, NotPossible, RequestError
from libgomd.wire.values import dumps

EVENT_STREAM = "text/event-stream; charset=utf-8"


class Message(NamedTuple):
    """
    One message.

    :ivar head: what comes before the data. :ivar data: one line of JSON, which other streams may send too.
    """

    head: bytes
    data: SharedText | None = None


def message(data: str, event: str = "") -> Message:
    """Return a message of one stream. ``data`` is one line of JSON."""
    head = f"event: {event}\n" if event else ""
    return Message(f"{head}data: {data}\n\n".encode())


def shared_message(number: int, data: SharedText) -> Message:
    """Return a message with the data of a round. :param number: of this round for this stream."""
    return Message(f"id: {number}\ndata: ".encode(), data)


class EventStream:
    """
    One open stream.

    :param recheck: awaited now and then; raises `NeedsAuth` when the caller has no rights any more.
    """

    _log: ClassVar[Logger] = Logger()

    def __init__(
        self, request: WebRequest, clock: IReactorTime, recheck: Callable[[], Awaitable[object]]
    ) -> None:
        self._request = request
        self._clock = clock
        self._recheck = recheck
        self._flow = Flow(request, clock, request.channel.drop)
        self._timer: IDelayedCall | None = None
        self._checking: IDelayedCall | None = None
        self._check: Deferred[None] | None = None
        self._task: Deferred[None] | None = None
        self._refusal: NeedsAuth | None = None
        takes_gzip = "gzip" in (request.getHeader("accept-encoding") or "")
        self._gzip = GzipStream() if takes_gzip and request.clientproto == b"HTTP/1.1" else None

    async def send(self, each: Message) -> None:
        """Send a message, and wait until there is room for another one."""
        self._cancel_heartbeat()
        await self._flow.send(self._encoded(each))
        self._timer = self._clock.callLater(HEARTBEAT, self._beat)

    def _encoded(self, each: Message) -> bytes:
        head, data = each
        if self._gzip is None:
            return head if data is None else b"".join((head, data.plain, b"\n\n"))
        if data is None:
            return self._gzip.own(head)
        return b"".join((self._gzip.own(head), self._gzip.shared(data), self._gzip.own(b"\n\n")))

    async def run(self, messages: AsyncGenerator[Message, None]) -> None:
        """Send ``messages`` until they end or the client is gone."""
        headers = {"X-Accel-Buffering": "no", "Cache-Control": "no-store, no-transform"}
        if self._gzip is not None:
            headers["Content-Encoding"] = "gzip"
        self._request.begin(200, EVENT_STREAM, {**headers, "Vary": "Accept-Encoding"}, keep=False)
        if self._gzip is not None:
            self._request.write(HEADER)
        self._plan_check()
        self._task = Deferred.fromCoroutine(self._pump(messages))
        try:
            await self._task
        except CancelledError:
            if self._refusal is None:
                raise
            self._request.write(self._encoded(failure(self._refusal, "signed-out")))
        except Exception as error:  # noqa: BLE001 - said to the client, and a bug is logged
            if not isinstance(error, GomdError):
                self._log.failure("an event stream failed")
            self._request.write(self._encoded(failure(error, "failed")))
        finally:
            self._cancel_heartbeat()
            self._flow.end()
            if self._checking is not None and self._checking.active():
                self._checking.cancel()
            if self._check is not None:
                self._check.cancel()
            await messages.aclose()
        if self._gzip is not None:
            self._request.write(self._gzip.end())
        self._request.finish()

    async def _pump(self, messages: AsyncGenerator[Message, None]) -> None:
        await self.send(Message(b"retry: 2000\n\n"))
        async for each in messages:
            await self.send(each)

    def _beat(self) -> None:
        self._request.write(self._encoded(Message(b": gomd\n\n")))
        self._timer = self._clock.callLater(HEARTBEAT, self._beat)

    def _cancel_heartbeat(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None and timer.active():
            timer.cancel()

    def check_now(self) -> None:
        """Check at once whether the caller still has its rights: its session has ended."""
        if self._checking is not None and self._checking.active():
            self._checking.cancel()
            self._begin_check()

    def _plan_check(self) -> None:
        self._checking = self._clock.callLater(RECHECK, self._begin_check)

    def _begin_check(self) -> None:
        self._check = Deferred.fromCoroutine(self._look())
        self._check.addErrback(lambda failure: failure.trap(CancelledError))

    async def _look(self) -> None:
        try:
            await self._recheck()
        except NeedsAuth as error:
            self._refusal = error
            if self._task is not None:
                self._task.cancel()
            return
        except GomdError:
            pass  # the tokens file cannot be read now: ask again
        self._plan_check()


def failure(error: Exception, event: str) -> Message:
    """Return the last message of a stream that cannot go on."""
    if isinstance(error, (RequestError, NodeError)):
        return message(dumps({"code": error.code, "error": error.text}), event)
    text = str(error) if isinstance(error, GomdError) else "gomd failed because of a bug: its log has it"
    return message(dumps({"code": 500, "error": text}), event)


async def messages_of(
    reply: Reply, clock: IReactorTime, first: Callable[[], list[str]] | None = None
) -> AsyncGenerator[Message, None]:
    """
    Yield the messages of a watch.

    :param first: gives the rows of the first message of a watch that follows what happens.
    :raises NotPossible: it is no watch.
    """
    if isinstance(reply, WatchReply):
        number = 0
        try:
            async for answer in reply.answers:
                number += 1
                yield shared_message(number, await answer.body(clock, SharedText))
        finally:
            await reply.answers.aclose()
    elif isinstance(reply, Rows) and reply.lasts:
        pieces = rendering.pieces(reply, True)
        try:
            if first is not None:
                yield message(f'{{"rows": [{", ".join(first())}], "resync": true}}')
            async for lines in pieces:
                yield message(f'{{"rows": [{", ".join(lines)}]}}')
        finally:
            await pieces.aclose()
    else:
        raise NotPossible("this verb cannot be watched")
