"""The telnet line: one connection whose requests are answered in order, as fast as the client reads."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from gomd.jobs.lifecycle.frame_stream import FrameStream
from gomd.protocols.flow import MAX_GATHERED_PIECES, FlowControl
from gomd.protocols.request_lines import RequestLines
from gomd.protocols.session import Session, keep_probing
from gomd.verbs import rendering
from gomd.verbs.numbered_lines import NumberedLines
from gomd.verbs.replies import Goodbye, Reply, Upgrade, ValueReply, WatchReply, goes_on, needs_caller
from libgomd.errors import GomdError, MalformedRequest, NodeError, RequestError
from libgomd.tcp import send_without_delay
from libgomd.wire.block_bytes import BlockBytes
from libgomd.wire.lines import BLOCK, BLOCK_END, GREETING, OK, encode_block, encode_status
from libgomd.wire.values import dumps

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Coroutine

    from gomd.protocols.telnet_factory import TelnetFactory

#: Unknown tokens that a connection may try before it is closed.
MAX_WRONG_TOKENS = 10
#: Requests of one connection that may wait; while there are more, nothing is read from it.
MAX_QUEUED_REQUESTS = 100


@implementer(IHalfCloseableProtocol)
class TelnetLine(RequestLines):
    """
    Answers one request after the other, in the order in which they came.

    Requests that come while an earlier one is still answered wait in a queue; when that is full, nothing more
    is read. A reply is made only as fast as the client reads it. A client that has closed its sending side
    (``echo load | nc``) still gets its answers.
    """

    _log: ClassVar[Logger] = Logger()

    def __init__(self, factory: TelnetFactory, session: Session | None) -> None:
        super().__init__(factory.limits.max_line)
        self.session = session
        self.last_line_at = factory.clock.seconds()
        self._factory = factory
        self._queue: deque[bytes | RequestError] = deque()
        self._task: Deferred[None] | None = None
        self._between_rounds: Deferred[Sequence[str] | None] | None = None
        self._read_closed = False
        self._needs_caller = False
        self._wrong_tokens = 0

    # -- the connection

    def connectionMade(self) -> None:
        """Greet the client; over a unix socket, after its user name has been looked up."""
        self._out = FlowControl(
            self.transport,
            self._factory.clock,
            self._factory.limits.stall_timeout,
            self._answer_queued,
            self._stalled,
        )
        self._factory.entered(self)
        keep_probing(self.transport)
        send_without_delay(self.transport)
        if self.session is not None:
            self._greet(self.session)
        else:
            self._begin(self._introduce())

    async def _introduce(self) -> None:
        self.session = Session(await self._factory.identify(self.transport))
        self._greet(self.session)

    def _greet(self, session: Session) -> None:
        refusal = self._factory.refusal(self, session.caller)
        if refusal is None:
            self._out.send(encode_status(GREETING, self._factory.greeting()))
        else:
            self._out.send(encode_status(refusal.code, refusal.text))
            self.close()

    def connectionLost(self, reason: Failure | None = None) -> None:
        """Cancel what is being answered: nobody would receive it."""
        self._closing = True
        self._queue.clear()
        self._factory.left(self)
        if self._frames is not None:
            self._frames.connectionLost(reason or Failure(ConnectionDone()))
            return
        if self._task is not None:
            self._task.cancel()
        self._out.lost()

    def readConnectionLost(self) -> None:
        """The client has closed its sending side: answer its requests, then close. End its `do` now."""
        self._read_closed = True
        if self._frames is not None:
            self.transport.loseConnection()
            return
        if self._half_line:
            self._enqueue(MalformedRequest("the line had no end: end a request with a line feed"))
        if self._needs_caller and self._task is not None:
            self.close()
            self._task.cancel()
            return
        self._answer_queued()

    def writeConnectionLost(self) -> None:
        """The client has closed its receiving side; the transport ends the connection."""

    def close(self) -> None:
        """Close the connection after everything written so far has been sent."""
        self._closing = True
        self._queue.clear()
        if self._frames is not None:
            self._frames.close()
        else:
            self._out.close()

    def end_idle(self) -> None:
        """Close an idle connection; if it has sent half a request, answer that with an error first."""
        if self._half_line:
            self._refuse(400, "the line had no end for too long: end a request with a line feed")
        self.close()

    def _stalled(self, limit: float) -> None:
        self._factory.stalled(self.session, limit)
        self.transport.abortConnection()

    @property
    def busy(self) -> bool:
        """Whether a request is being answered now."""
        return self._task is not None or self._frames is not None

    # -- requests

    def _hang_up(self, protocol: str) -> None:
        """
        End a connection that carries another protocol, because nothing after this line is a request.

        Replies that are complete are still sent.
        """
        self._factory.foreign += 1
        via = self.session.caller.via if self.session else "an unidentified caller"
        self._log.debug("hung up on {via}: it speaks {protocol}", via=via, protocol=protocol)
        self._rest = self._buffer = b""
        self.close()
        if self._task is not None:
            self._task.cancel()

    def _enqueue(self, line: bytes | RequestError) -> None:
        """Answer one request, or an error instead of it, after those before it have been answered."""
        self.last_line_at = self._factory.clock.seconds()
        if self._closing:
            return
        if self._task is None and not self._out.full and not self._queue:
            self._answer_line(line)
            return
        self._queue.append(line)
        if len(self._queue) > MAX_QUEUED_REQUESTS:
            self.pauseProducing()
        if self._between_rounds is not None:
            self._between_rounds.cancel()

    def _answer_queued(self) -> None:
        """Answer the requests in the queue until one of them has to wait."""
        while self._queue and self._task is None and not self._out.full and not self._closing:
            self._answer_line(self._queue.popleft())
        room = self._task is None and not self._out.full and not self._closing
        if self.paused and room and len(self._queue) < MAX_QUEUED_REQUESTS // 2:
            self.resumeProducing()
        if self._read_closed and room and not self._queue:
            self.close()

    def _answer_line(self, line: bytes | RequestError) -> None:
        assert self.session is not None
        try:
            if isinstance(line, RequestError):
                raise line
            reply = self._factory.ask(self.session, line)
        except Exception as error:  # noqa: BLE001 - no error may end the connection
            self._failed(error)
        else:
            if isinstance(reply, ValueReply) and not self.session.json:
                self._out.send(encode_status(OK, reply.text))
            elif isinstance(reply, Reply):
                self._reply(reply, self.session.json)
            else:
                self._begin(self._wait(reply))

    def _begin(self, work: Coroutine[Deferred[Any], Any, None]) -> None:
        """Run ``work``, which may take a while; later requests wait for it."""
        task: Deferred[None] = Deferred.fromCoroutine(work)
        self._task = task

        def done(result: object) -> None:
            self._task = None
            # The idle timeout begins now: the client may have waited minutes for this answer.
            self.last_line_at = self._factory.clock.seconds()
            if isinstance(result, Failure) and not self._closing:
                self._failed(result.value)

        task.addBoth(done)
        if self._task is not None:
            task.addCallback(lambda _result: self._answer_queued())

    async def _wait(self, replying: Awaitable[Reply]) -> None:
        reply = await replying
        assert self.session is not None
        block = rendering.whole_block(reply, self.session.json)
        if block is None and rendering.status_of(reply, self.session.json)[0] == BLOCK:
            await self._reply_in_pieces(reply, self.session.json)
        else:
            self._reply(reply, self.session.json)

    def _reply(self, reply: Reply, json: bool) -> None:
        """Send a reply, at once if it is small, else piece by piece."""
        code, text = rendering.status_of(reply, json)
        block = rendering.whole_block(reply, json) if code == BLOCK else []
        if block is None:
            self._begin(self._reply_in_pieces(reply, json))
        elif code == BLOCK:
            self._out.send(encode_status(code, text) + encode_block(block) + BLOCK_END)
        else:
            self._out.send(encode_status(code, text))
            if isinstance(reply, Goodbye):
                self.close()
            elif isinstance(reply, Upgrade):
                self._start_frames(reply)

    def _start_frames(self, reply: Upgrade) -> None:
        """Let the connection carry frames from here on. Requests behind this one are dropped."""
        self._queue.clear()
        self._out.release()
        self._frames = FrameStream()
        self._frames.makeConnection(self.transport)
        self.setRawMode()
        reply.take(self._frames)

    async def _reply_in_pieces(self, reply: Reply, json: bool) -> None:
        """Send a block piece by piece. What is ready without waiting shares a few writes."""
        self._out.gather(MAX_GATHERED_PIECES)
        self._out.send(encode_status(*rendering.status_of(reply, json)))
        self._needs_caller = needs_caller(reply)
        pieces = rendering.pieces(reply, json)
        if self._needs_caller and self._read_closed:
            self.close()
            # What has not begun does nothing when it is closed, and the command would run on.
            Deferred.fromCoroutine(_step(pieces)).addErrback(lambda _failure: None).cancel()
            await pieces.aclose()
            return
        lasting = goes_on(reply)
        begun = not isinstance(reply, WatchReply)  # the first round is always sent
        try:
            while (piece := await self._next_piece(pieces, lasting and begun)) is not None:
                begun = True
                self._out.send(_encoded(piece))
                await self._out.taken()
                self._out.gather(MAX_GATHERED_PIECES)
        except CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 - the block must end in any case
            self._out.send(encode_block([self._failure_line(error, json)]))
        finally:
            self._needs_caller = False
            await pieces.aclose()
        self._out.send(BLOCK_END)
        self._out.flush()
        if lasting and self._queue and self._queue[0] in (b"", b" "):
            self._queue.popleft()  # an empty line only stops the answer

    async def _next_piece(
        self, pieces: AsyncGenerator[Sequence[str], None], may_stop: bool
    ) -> Sequence[str] | None:
        """
        Return the next piece, None after the last one.

        :param may_stop: the reply goes on until the client's next request, which may end it here. A wait for
            a piece is always a pause between two rounds, so a round is never cut in half.
        """
        step = Deferred.fromCoroutine(_step(pieces))
        if may_stop and not step.called:
            if self._queue:
                step.cancel()
            self._between_rounds = step
        if not step.called:
            self._out.flush()
        try:
            return await step
        except CancelledError:
            if self._closing or not may_stop:
                raise
            return None
        finally:
            self._between_rounds = None

    # -- what went wrong

    def _refuse(self, code: int, text: str) -> None:
        self._factory.refused += 1
        self._out.send(encode_status(code, text))

    def _failed(self, error: BaseException | None) -> None:
        """Answer with the error; close a connection that has tried too many unknown tokens."""
        self._refuse(*self._code_and_text(error))
        if self.session is not None and self.session.wrong_tokens > self._wrong_tokens:
            self._wrong_tokens = self.session.wrong_tokens
            self._factory.wrong_token(self.session)
            if self._wrong_tokens >= MAX_WRONG_TOKENS:
                self.close()

    def _code_and_text(self, error: BaseException | None) -> tuple[int, str]:
        """Return the code and the text for ``error``; a bug goes to the log, not to the client."""
        if isinstance(error, (RequestError, NodeError)):
            return error.code, error.text
        if isinstance(error, GomdError):
            return 500, str(error)
        self._log.failure("answering failed", failure=Failure(error or RuntimeError("no reason given")))
        return 500, "gomd failed because of a bug: its log has the details"

    def _failure_line(self, error: Exception, json: bool) -> str:
        """Return the last line of a block that could not be completed."""
        code, text = self._code_and_text(error)
        return dumps({"code": code, "error": text}) if json else f"! {code} {text}"


def _encoded(piece: Sequence[str]) -> bytes:
    return piece.encoded() if isinstance(piece, (BlockBytes, NumberedLines)) else encode_block(piece)


async def _step(pieces: AsyncGenerator[Sequence[str], None]) -> Sequence[str] | None:
    return await anext(pieces, None)
