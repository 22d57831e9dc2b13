"""A block that goes on, taken as the bytes that come: what a watch of another node sends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import ITCPTransport
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure

from libgomd.connection import LineConnection
from libgomd.errors import ConnectionLost, MalformedReply, error_for
from libgomd.replies import Reply
from libgomd.row_queue import RowQueue
from libgomd.wire.lines import BLOCK, OK, Request


async def take_block(
    connection: LineConnection,
    reply: Reply,
    request: Request,
    opened: Callable[[], None],
    take: Callable[[bytes], None],
    within: Callable[[Deferred[Reply]], Deferred[Reply]],
) -> None:
    """
    Send a watch over an introduced stream, and take what comes until it ends. It only ends by an error.

    :param reply: the answer to the introduction. :param within: limits how long the first line may take.
        Other parameters and errors as for `IPeers.follow`, and `ConnectionLost`.
    """
    if reply.code == OK:
        connection.keep_block()
        rows = RowQueue(connection)
        connection.send(Request(request.verb, request.arguments), rows)
        reply = await within(rows.opened)
    if reply.code >= 400:
        raise error_for(reply.code, reply.text)
    if reply.code != BLOCK:
        raise MalformedReply(f"the answer to a watch is {reply.code}, not a block")
    block = FollowedBlock(take)
    opened()
    connection.hand_over(block)
    await block.ended


class FollowedBlock(Protocol):
    """
    Takes a stream over after the status line of such a block.

    :param take: gets the bytes. An error of it ends the stream.
    :ivar ended: fails with that error, or with `ConnectionLost`. Cancelling it closes the stream.
    """

    transport: Any

    def __init__(self, take: Callable[[bytes], None]) -> None:
        self.ended: Deferred[None] = Deferred(lambda _ended: self._close())
        self._take = take

    def dataReceived(self, data: bytes) -> None:
        """Hand the bytes on."""
        if self.ended.called:
            return
        try:
            self._take(data)
        except Exception as error:  # noqa: BLE001 - whoever follows gets it
            self._end(error)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Say that the stream has ended."""
        self._end(ConnectionLost(f"the daemon closed the connection ({reason.getErrorMessage()})"))

    def _end(self, error: Exception) -> None:
        if not self.ended.called:
            self._close()
            self.ended.errback(error)

    def _close(self) -> None:
        if ITCPTransport.providedBy(self.transport):
            self.transport.abortConnection()
        else:  # a transport in memory
            self.transport.loseConnection()
