"""The rows of a reply that is still arriving, taken one by one; the connection is paused meanwhile."""

from __future__ import annotations

from collections import deque

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from libgomd.connection import LineConnection
from libgomd.errors import GomdError
from libgomd.replies import Reply
from libgomd.wire.lines import StatusLine

#: Number of unread lines, and of their characters, at which the connection of a stream is paused.
_ENOUGH = 512
_ENOUGH_CHARACTERS = 4 << 20


class RowQueue:
    """
    Receives a reply line by line. The connection is paused while its consumer is slow.

    :ivar opened: fires with the status line, as a `Reply` without rows.
    """

    def __init__(self, connection: LineConnection) -> None:
        self.opened: Deferred[Reply] = Deferred()
        self._connection = connection
        self._rows: deque[str] = deque()
        self._size = 0
        self._wakeup: Deferred[None] | None = None
        self._ended = False
        self._error: GomdError | None = None
        self._paused = False
        self._abandoned = False

    async def next(self) -> str | None:
        """Return the next line; None after the last. :raises ConnectionLost: the daemon went away."""
        while not self._rows and not self._ended:
            self._pause(False)
            self._wakeup = Deferred()
            await self._wakeup
        if self._rows:
            return self._taken()
        if self._error is not None:
            raise self._error
        return None

    async def several(self, most: int) -> list[str]:
        """Wait for a line, and return up to ``most`` lines; empty after the last. Errors as in `next`."""
        first = await self.next()
        if first is None:
            return []
        lines = [first]
        while self._rows and len(lines) < most:
            lines.append(self._taken())
        return lines

    def _taken(self) -> str:
        text = self._rows.popleft()
        self._size -= len(text)
        return text

    def status(self, line: StatusLine) -> None:
        """Deliver the status line."""
        if not self.opened.called:
            self.opened.callback(Reply(line.code, line.text))

    def row(self, text: str) -> None:
        """Keep a line until the consumer asks for it."""
        self._rows.append(text)
        self._size += len(text)
        if len(self._rows) >= _ENOUGH or self._size >= _ENOUGH_CHARACTERS:
            self._pause(True)
        self._wake()

    def end(self) -> None:
        """Let the consumer reach the end, after the lines that arrived before it."""
        self._ended = True
        self._wake()

    def abandon(self) -> None:
        """Report no error to the consumer any more, because the consumer itself ends the stream."""
        self._abandoned = True

    def lost(self, error: GomdError) -> None:
        """Let the consumer reach the error, after the lines that arrived before it."""
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
