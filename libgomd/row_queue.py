"""A reply that is still arriving, taken in rows or in pieces; the connection is paused meanwhile."""

from __future__ import annotations

from collections import deque
from typing import ClassVar, Final, Generic, TypeVar

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from libgomd.connection import LineConnection, PieceReceiver
from libgomd.errors import GomdError
from libgomd.replies import Reply
from libgomd.wire.lines import StatusLine

T = TypeVar("T", str, bytes)

#: Number of unread lines, and of unread pieces, at which the connection of a stream is paused; and of their
#: characters or bytes. A piece is what was read at once, at most 32 KiB as a rule.
_ENOUGH_ROWS: Final = 512
_ENOUGH_PIECES: Final = 8
_ENOUGH_CHARACTERS: Final = 4 << 20


class ReplyQueue(Generic[T]):
    """
    Receives a reply in parts. The connection is paused while its consumer is slow.

    :ivar opened: fires with the status line, as a `Reply` without rows.
    """

    _enough: ClassVar[int]

    def __init__(self, connection: LineConnection) -> None:
        self.opened: Deferred[Reply] = Deferred()
        self._connection = connection
        self._rows: deque[T] = deque()
        self._size = 0
        self._wakeup: Deferred[None] | None = None
        self._ended = False
        self._error: GomdError | None = None
        self._paused = False
        self._abandoned = False

    async def next(self) -> T | None:
        """Return the next part; None after the last. :raises ConnectionLost: the daemon went away."""
        while not self._rows and not self._ended:
            self._pause(False)
            self._wakeup = Deferred()
            await self._wakeup
        if self._rows:
            part = self._rows.popleft()
            self._size -= len(part)
            return part
        if self._error is not None:
            raise self._error
        return None

    def status(self, line: StatusLine) -> None:
        """Deliver the status line."""
        if not self.opened.called:
            self.opened.callback(Reply(line.code, line.text))

    def _keep(self, part: T) -> None:
        self._rows.append(part)
        self._size += len(part)
        if len(self._rows) >= self._enough or self._size >= _ENOUGH_CHARACTERS:
            self._pause(True)
        self._wake()

    def end(self) -> None:
        """Let the consumer reach the end, after the parts that arrived before it."""
        self._ended = True
        self._wake()

    def abandon(self) -> None:
        """Report no error to the consumer any more, because the consumer itself ends the stream."""
        self._abandoned = True

    def lost(self, error: GomdError) -> None:
        """Let the consumer reach the error, after the parts that arrived before it."""
        if self._abandoned:
            return
        self._error = error
        self._ended = True
        if not self.opened.called:
            self.opened.errback(Failure(error))
        self._wake()

    def _wake(self) -> None:
        wakeup, self._wakeup = self._wakeup, None
        if wakeup is not None and not wakeup.called:
            wakeup.callback(None)

    def _pause(self, paused: bool) -> None:
        if paused is not self._paused:
            self._paused = paused
            self._connection.pause(paused)


class RowQueue(ReplyQueue[str]):
    """Receives a reply line by line."""

    _enough = _ENOUGH_ROWS

    def row(self, text: str) -> None:
        """Keep a line until the consumer asks for it."""
        self._keep(text)


class PieceQueue(ReplyQueue[bytes], PieceReceiver):
    """Receives a reply in pieces, each of whole lines."""

    _enough = _ENOUGH_PIECES

    def row(self, text: str) -> None:
        """Refuse a line: a block comes in pieces."""
        raise AssertionError(text)

    def piece(self, data: bytes) -> None:
        """Keep a piece until the consumer asks for it."""
        self._keep(data)
