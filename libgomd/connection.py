"""
One connection of the Deferred client: sends requests and delivers each reply to its receiver.

Replies arrive in the order of the requests, so the receivers wait in a queue. The modules of the
Deferred client are built on this one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Protocol, cast

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IPushProducer, ITCPTransport
from twisted.internet.protocol import Protocol as TwistedProtocol
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure

from libgomd.errors import ConnectionLost, GomdError, MalformedReply, TooMany, error_for
from libgomd.replies import Reply, Size
from libgomd.tcp import send_without_delay
from libgomd.wire.lines import (
    BLOCK,
    FRAMES,
    BlockLine,
    BlockPiece,
    ReplyEvent,
    ReplyParser,
    Request,
    StatusLine,
    encode_request,
    is_greeting,
)

#: Maximum number of requests of one connection that wait for their replies.
MAX_WAITING = 1024


class ReplyReceiver(Protocol):
    """Receives one reply, in pieces."""

    def status(self, line: StatusLine) -> None:
        """Receive the status line. After a 201 the block follows."""

    def row(self, text: str) -> None:
        """Receive a line of the block. :raises MalformedReply: the reply is too long."""

    def end(self) -> None:
        """The reply is complete."""

    def lost(self, error: GomdError) -> None:
        """The connection is lost: nothing more will arrive."""


class PieceReceiver:
    """A `ReplyReceiver` that gets a block as the bytes that come, instead of line by line."""

    def piece(self, data: bytes) -> None:
        """Receive whole lines, each with its end."""
        raise NotImplementedError


class LineConnection(TwistedProtocol):
    """
    The client's end of a telnet line.

    :ivar greeted: fires with this connection after the greeting. It fails with `ConnectionLost`, with
        `MalformedReply` when another program listens there, or with the refusal of the daemon.
    :ivar error: why nothing can be sent any more; None while the connection works.
    :ivar check: called with each request before it is sent; raises an error if it must not be sent.
    """

    def __init__(self) -> None:
        self.greeted: Deferred[LineConnection] = Deferred(lambda _: self.abort())
        self.error: GomdError | None = None
        self.check: Callable[[Request], None] = lambda request: None
        self._gone = False
        self._farewells: list[Deferred[None]] = []
        self._parser = ReplyParser()
        self._waiting: deque[ReplyReceiver] = deque([_Greeting(self)])
        self._successor: TwistedProtocol | None = None

    def connectionMade(self) -> None:
        """Let requests leave at once."""
        send_without_delay(self.transport)

    def send(self, request: Request, receiver: ReplyReceiver) -> None:
        """
        Send ``request``; ``receiver`` gets its reply.

        :raises MalformedRequest: the request cannot be written as a line.
        :raises ConnectionLost: the connection is closed.
        :raises TooMany: too many requests wait for their replies.
        :raises UnprovenEndpoint: the request must not be sent to this endpoint.
        """
        self.check(request)
        line = encode_request(request)
        if self.error is not None:
            raise ConnectionLost(str(self.error))
        if len(self._waiting) >= MAX_WAITING:
            raise TooMany(f"{MAX_WAITING} requests wait for their replies here: wait for some of them")
        self._waiting.append(receiver)
        assert self.transport is not None
        self.transport.write(line)

    def dataReceived(self, data: bytes) -> None:
        """Pass every piece of a reply to its receiver."""
        if self._successor is not None:
            self._successor.dataReceived(data)
            return
        try:
            for event in self._parser.feed(data):
                self._hand_out(event)
        except MalformedReply as error:
            self.abort(error)

    def _hand_out(self, event: ReplyEvent) -> None:
        if self.error is not None:
            return
        if not self._waiting:
            # The only unrequested message is a farewell, for example after the idle timeout.
            text = event.text if isinstance(event, StatusLine) else "a block that nobody asked for"
            self.abort(ConnectionLost(f"the daemon ended the connection: {text}"))
            return
        receiver = self._waiting[0]
        if isinstance(event, BlockLine):
            receiver.row(event.text)
            return
        if isinstance(event, BlockPiece):
            assert isinstance(receiver, PieceReceiver)
            receiver.piece(event.data)
            return
        if isinstance(event, StatusLine):
            if event.code == BLOCK:
                self._parser.in_pieces = isinstance(receiver, PieceReceiver)
            receiver.status(event)
            if event.code == BLOCK or self.error is not None:  # the receiver may have closed the connection
                return
        self._waiting.popleft()
        receiver.end()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Tell every waiting receiver that the connection is lost."""
        if self._successor is not None:
            self._successor.connectionLost(reason)
        self._end(ConnectionLost(f"the daemon closed the connection ({reason.getErrorMessage()})"))
        self._gone = True
        farewells, self._farewells = self._farewells, []
        for waiting in farewells:
            waiting.callback(None)

    def keep_block(self) -> None:
        """Parse no block any more: after the next 201 the connection is handed over, as after a 202."""
        self._parser.stops_at = (FRAMES, BLOCK)

    def hand_over(self, protocol: TwistedProtocol) -> None:
        """Hand the connection over to ``protocol``, after a 202 answer, or a 201 one after `keep_block`."""
        assert self.transport is not None
        self._successor = protocol
        protocol.makeConnection(self.transport)
        if self._parser.rest:
            protocol.dataReceived(self._parser.rest)

    def when_gone(self) -> Deferred[None]:
        """Return a Deferred that fires with None once the connection is closed. It never fails."""
        if self._gone:
            return succeed(None)
        waiting: Deferred[None] = Deferred(self._farewells.remove)
        self._farewells.append(waiting)
        return waiting

    def _end(self, error: GomdError) -> None:
        if self.error is None:
            self.error = error
        while self._waiting:
            self._waiting.popleft().lost(self.error)

    def close(self) -> None:
        """Close the connection once all data are sent. Waiting receivers get `ConnectionLost`."""
        self._end(ConnectionLost("this connection is closed"))
        if self.transport is not None:
            self.transport.loseConnection()

    def abort(self, error: GomdError | None = None) -> None:
        """Close the connection at once. Waiting receivers get ``error``, by default a `ConnectionLost`."""
        self._end(error or ConnectionLost("this connection is closed"))
        if ITCPTransport.providedBy(self.transport):
            self.transport.abortConnection()
        elif self.transport is not None:  # a transport in memory
            self.transport.loseConnection()

    def pause(self, paused: bool) -> None:
        """Pause or resume reading, so that a slow consumer slows the daemon down."""
        producer: IPushProducer = cast(IPushProducer, self.transport)
        if self.error is not None:
            return
        if paused:
            producer.pauseProducing()
        else:
            producer.resumeProducing()


class _Greeting:
    """Receives the greeting, which is the first reply of a connection."""

    def __init__(self, connection: LineConnection) -> None:
        self._connection = connection

    def status(self, line: StatusLine) -> None:
        if line.code >= 400:
            self._connection.abort(error_for(line.code, line.text))
        elif not is_greeting(line):
            self._connection.abort(MalformedReply(f"no greeting of gomd: {line.text[:80]!r}"))

    def row(self, text: str) -> None:
        pass

    def end(self) -> None:
        if not self._connection.greeted.called:
            self._connection.greeted.callback(self._connection)

    def lost(self, error: GomdError) -> None:
        if not self._connection.greeted.called:
            self._connection.greeted.errback(Failure(error))


class WholeReply:
    """
    Receives a reply as one value.

    :ivar done: fires with the `Reply`. Cancelling it discards the reply when it arrives; the connection and
        later requests are not affected.
    """

    def __init__(self) -> None:
        self.done: Deferred[Reply] = Deferred(lambda _: self._rows.clear())
        self._status = StatusLine(0, "")
        self._rows: list[str] = []
        self._size = Size()

    def status(self, line: StatusLine) -> None:
        """Keep the status line."""
        self._status = line

    def row(self, text: str) -> None:
        """Keep a line, unless the caller has cancelled."""
        if not self.done.called:
            self._size.add(text)
            self._rows.append(text)

    def end(self) -> None:
        """Deliver the reply."""
        if not self.done.called:
            self.done.callback(Reply(self._status.code, self._status.text, tuple(self._rows)))

    def lost(self, error: GomdError) -> None:
        """Deliver the error."""
        if not self.done.called:
            self.done.errback(Failure(error))
