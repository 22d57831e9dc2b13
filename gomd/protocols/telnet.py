"""The telnet line: one connection, its requests answered in order, its reader never overrun."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, ClassVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.logger import Logger
from twisted.protocols.basic import LineReceiver
from twisted.python.failure import Failure
from zope.interface import implementer

from gomd.jobs.lifecycle.frame_stream import FrameStream
from gomd.protocols.flow import FlowControl
from gomd.protocols.session import Session, keep_probing
from gomd.verbs import rendering
from gomd.verbs.replies import Goodbye, Reply, Rounds, Upgrade, ValueReply, goes_on, needs_caller
from libgomd.errors import GomdError, LineTooLong, MalformedRequest, NodeError, RequestError
from libgomd.wire.foreign import LongLine, foreign_line, foreign_start
from libgomd.wire.lines import BLOCK, BLOCK_END, GREETING, OK, encode_block, encode_status
from libgomd.wire.telnet import IAC, OptionFilter
from libgomd.wire.values import dumps

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Coroutine

    from gomd.protocols.telnet_factory import TelnetFactory

#: Tokens that are not known, until the connection they come over is closed.
MOST_WRONG_TOKENS = 10
#: Requests that may wait for the one before them; with more the connection is not read further.
MOST_WAITING = 100


@implementer(IHalfCloseableProtocol)
class TelnetLine(LineReceiver):
    """
    Answers one line after the other. A request is read while the one before it is still answered
    only so far as the queue goes; a reply is made only as fast as the client takes it. A client that
    has said all (``echo load | nc``) still gets its answers.
    """

    #: Whether other protocols may be spoken to it, so that their lines end the connection.
    meets_strangers = True
    delimiter = b"\n"
    transport: Any
    _log: ClassVar[Logger] = Logger()

    def __init__(self, door: TelnetFactory, session: Session | None) -> None:
        self.session = session
        self.last_line_at = door.clock.seconds()
        self.MAX_LENGTH = door.limits.max_line + 1  # the CR before the LF does not count
        self._door = door
        self._options = OptionFilter()
        self._queue: deque[bytes | RequestError] = deque()
        self._out: FlowControl
        self._task: Deferred[None] | None = None
        self._between_rounds: Deferred[list[str] | None] | None = None
        self._half_line = False
        self._rest = b""
        self._long_line: LongLine | None = None
        self._closing = False
        self._said_all = False
        self._needs_caller = False
        self._wrong_tokens = 0
        self._frames: FrameStream | None = None

    # -- the connection

    def connectionMade(self) -> None:
        """Greet; a caller whose name has to be looked up first is greeted after that."""
        self._out = FlowControl(
            self.transport, self._door.clock, self._door.limits.stall_timeout, self._next, self._stalled
        )
        self._door.entered(self)
        keep_probing(self.transport)
        if self.session is not None:
            self._greet(self.session)
        else:
            self._begin(self._introduce())

    async def _introduce(self) -> None:
        self.session = Session(await self._door.identify(self.transport))
        self._greet(self.session)

    def _greet(self, session: Session) -> None:
        refusal = self._door.refusal(self, session.caller)
        if refusal is None:
            self._out.send(encode_status(GREETING, self._door.greeting()))
        else:
            self._out.send(encode_status(refusal.code, refusal.text))
            self.close()

    def connectionLost(self, reason: Failure | None = None) -> None:
        """Stop whatever was being answered: nobody hears it."""
        self._closing = True
        self._queue.clear()
        self._door.left(self)
        if self._frames is not None:
            self._frames.connectionLost(reason or Failure(ConnectionDone()))
            return
        if self._task is not None:
            self._task.cancel()
        self._out.lost()

    def readConnectionLost(self) -> None:
        """The client says no more: answer what he said, then close. A command of his is killed now."""
        self._said_all = True
        if self._frames is not None:
            self.transport.loseConnection()
            return
        if self._half_line:
            self._take(MalformedRequest("the line had no end: end a request with a line feed"))
        if self._needs_caller and self._task is not None:
            self.close()
            self._task.cancel()
            return
        self._next()

    def writeConnectionLost(self) -> None:
        """The client takes no more; the transport ends the connection."""

    def close(self) -> None:
        """Close the connection once everything written has been sent."""
        self._closing = True
        self._queue.clear()
        if self._frames is not None:
            self._frames.close()
        else:
            self._out.close()

    def end_idle(self) -> None:
        """Close a connection that has said nothing for too long; half a line gets its answer first."""
        if self._half_line:
            self._refuse(400, "the line had no end for too long: end a request with a line feed")
        self.close()

    def _stalled(self, limit: float) -> None:
        self._door.stalled(self.session, limit)
        self.transport.abortConnection()

    @property
    def busy(self) -> bool:
        """Whether a request is being answered now."""
        return self._task is not None or self._frames is not None

    # -- bytes in

    def dataReceived(self, data: bytes) -> None:
        """Take bytes in; replies to all requests in them leave in one write."""
        if self._frames is not None:
            self._frames.dataReceived(data)
            return
        if self._closing:
            return
        self._out.gather()
        try:
            if IAC in data or self._options.inside:
                data = self._options.feed(data)
            if data:
                self._half_line = not data.endswith(b"\n")
            super().dataReceived(data)
            while self._rest:  # behind a line that was too long LineReceiver stops
                rest, self._rest = self._rest, b""
                super().dataReceived(rest)
            if self._half_line and self.line_mode and (protocol := foreign_start(self._buffer)):
                self._hang_up(protocol)
        finally:
            self._out.flush()

    def lineReceived(self, line: bytes) -> None:
        """Take one request."""
        line = line[:-1] if line.endswith(b"\r") else line
        if self.meets_strangers and (protocol := foreign_line(line)):
            self._hang_up(protocol)
        else:
            self._take(line)

    def lineLengthExceeded(self, line: bytes) -> None:
        """Answer 413 to a line that is too long, once, and read on behind its end."""
        start, end, rest = line.partition(b"\n")
        self._long_line = LongLine(start)
        if protocol := foreign_line(self._long_line.ends):
            self._hang_up(protocol)
            return
        self._take(LineTooLong(f"the line is longer than {self._door.limits.max_line} bytes: shorten it"))
        if end:
            self._rest = rest
        else:
            self.line_mode = 0

    def rawDataReceived(self, data: bytes) -> None:
        """Skip the rest of a line that is too long; hand on what came behind a request for frames."""
        if self._frames is not None:
            self._frames.dataReceived(data)
            return
        skipped, end, rest = data.partition(b"\n")
        assert self._long_line is not None
        self._long_line.feed(skipped)
        if not end:
            return
        self.line_mode = 1
        if protocol := foreign_line(self._long_line.ends):  # what HTTP ends its first line with is seen now
            self._hang_up(protocol)
        else:
            self._rest = rest

    def _hang_up(self, protocol: str) -> None:
        """
        End a connection over which another protocol is spoken: nothing behind this line is a request.

        What was asked before it and has been answered is still sent.
        """
        self._door.foreign += 1
        via = self.session.caller.via if self.session else "a caller not known yet"
        self._log.debug("hung up on {via}: it speaks {protocol}", via=via, protocol=protocol)
        self._rest = self._buffer = b""
        self.close()
        if self._task is not None:
            self._task.cancel()

    # -- requests

    def _take(self, line: bytes | RequestError) -> None:
        """Answer one line, or say what is wrong with it, when those before it are answered."""
        self.last_line_at = self._door.clock.seconds()
        if self._closing:
            return
        if self._task is None and not self._out.full and not self._queue:
            self._answer(line)
            return
        self._queue.append(line)
        if len(self._queue) > MOST_WAITING:
            self.pauseProducing()
        if self._between_rounds is not None:
            self._between_rounds.cancel()

    def _next(self) -> None:
        """Answer the requests that waited, as far as now is possible."""
        while self._queue and self._task is None and not self._out.full and not self._closing:
            self._answer(self._queue.popleft())
        room = self._task is None and not self._out.full and not self._closing
        if self.paused and room and len(self._queue) < MOST_WAITING // 2:
            self.resumeProducing()
        if self._said_all and room and not self._queue:
            self.close()

    def _answer(self, line: bytes | RequestError) -> None:
        assert self.session is not None
        try:
            if isinstance(line, RequestError):
                raise line
            reply = self._door.ask(self.session, line)
        except Exception as error:  # noqa: BLE001 - the edge: nothing may end the connection
            self._failed(error)
        else:
            if isinstance(reply, ValueReply) and not self.session.json:
                self._out.send(encode_status(OK, reply.text))
            elif isinstance(reply, Reply):
                self._reply(reply, self.session.json)
            else:
                self._begin(self._wait(reply))

    def _begin(self, work: Coroutine[Deferred[Any], Any, None]) -> None:
        """Do ``work``, which may take a while; the requests behind it wait."""
        task: Deferred[None] = Deferred.fromCoroutine(work)
        self._task = task

        def done(result: object) -> None:
            self._task = None
            self.last_line_at = self._door.clock.seconds()  # who waited for minutes may still say something
            if isinstance(result, Failure) and not self._closing:
                self._failed(result.value)

        task.addBoth(done)
        if self._task is not None:
            task.addCallback(lambda _result: self._next())

    async def _wait(self, replying: Awaitable[Reply]) -> None:
        reply = await replying
        assert self.session is not None
        block = rendering.whole_block(reply, self.session.json)
        if block is None and rendering.status_of(reply, self.session.json)[0] == BLOCK:
            await self._reply_in_pieces(reply, self.session.json)
        else:
            self._reply(reply, self.session.json)

    def _reply(self, reply: Reply, json: bool) -> None:
        """Send a reply: at once when it is small, else piece by piece."""
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
                self._hand_over(reply)

    def _hand_over(self, reply: Upgrade) -> None:
        """Let frames travel from here on. Requests behind this one are not answered any more."""
        self._queue.clear()
        self._out.release()
        self._frames = FrameStream()
        self._frames.makeConnection(self.transport)
        self.setRawMode()
        reply.take(self._frames)

    async def _reply_in_pieces(self, reply: Reply, json: bool) -> None:
        self._out.send(encode_status(*rendering.status_of(reply, json)))
        self._needs_caller = needs_caller(reply)
        if self._needs_caller and self._said_all:
            self.close()
            return
        pieces = rendering.pieces(reply, json)
        lasting = goes_on(reply)
        begun = not isinstance(reply, Rounds)  # one round is always given
        try:
            while (piece := await self._next_piece(pieces, lasting and begun)) is not None:
                begun = True
                self._out.send(encode_block(piece))
                await self._out.taken()
        except CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 - the edge: the block must end
            self._out.send(encode_block([self._failure_line(error, json)]))
        finally:
            self._needs_caller = False
            await pieces.aclose()
        self._out.send(BLOCK_END)
        if lasting and self._queue and self._queue[0] in (b"", b" "):
            self._queue.popleft()  # an empty line that only said: stop

    async def _next_piece(self, pieces: AsyncGenerator[list[str], None], may_stop: bool) -> list[str] | None:
        """
        Return the next piece, None behind the last.

        A piece that has to be waited for lies between two rounds of an answer that lasts: there,
        and only there, the next request of the client ends it.
        """
        step = Deferred.fromCoroutine(_step(pieces))
        if may_stop and not step.called:
            if self._queue:
                step.cancel()
            self._between_rounds = step
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
        self._door.refused += 1
        self._out.send(encode_status(code, text))

    def _failed(self, error: BaseException | None) -> None:
        """Say in one line what went wrong; who goes on trying tokens is hung up on."""
        self._refuse(*self._told(error))
        if self.session is not None and self.session.wrong_tokens > self._wrong_tokens:
            self._wrong_tokens = self.session.wrong_tokens
            self._door.wrong_token(self.session)
            if self._wrong_tokens >= MOST_WRONG_TOKENS:
                self.close()

    def _told(self, error: BaseException | None) -> tuple[int, str]:
        """Return the code and the sentence for ``error``; a bug is logged, never shown."""
        if isinstance(error, (RequestError, NodeError)):
            return error.code, error.text
        if isinstance(error, GomdError):
            return 500, str(error)
        self._log.failure("answering failed", failure=Failure(error or RuntimeError("no reason given")))
        return 500, "something broke inside gomd: its log has the details"

    def _failure_line(self, error: Exception, json: bool) -> str:
        """Return the line that ends a block which could not be completed."""
        code, text = self._told(error)
        return dumps({"code": code, "error": text}) if json else f"! {code} {text}"


async def _step(pieces: AsyncGenerator[list[str], None]) -> list[str] | None:
    return await anext(pieces, None)
