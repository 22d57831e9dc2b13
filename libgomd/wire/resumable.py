"""
One numbered stream of bytes that survives the connections it travels over: both of its ends, without I/O.

Theory of operation
===================

A *position* is the number of bytes of the stream before it. The sender keeps every byte that the receiver
has not acknowledged, at most a *window* of them; the receiver acknowledges the position up to which it has
passed the bytes on. When the connection between them is replaced, the receiver names the position it expects
next, and the sender goes on from there::

      0        base            sent                end
      |---------|===============|===================|--------> the sender's store
      gone      kept, sent      kept, not yet sent

      0        taken           received
      |---------|===============|----------------------------> the receiver
      passed on  waiting

So no byte is lost or doubled, whatever breaks in between, and nothing on the way has to keep more than the
window. Three numbers make it exact:

- the window counts from ``taken``: what the receiver has, but has not passed on, still occupies it;
- the sender forgets what was *acknowledged*, and on resuming also what was *received*;
- acknowledgements of another attachment are ignored because they are not larger than ``taken``, or lie beyond
  what this attachment has sent.

`Sender` and `Receiver` know one stream each. `libgomd.wire.attachment` joins the three streams of a job.
"""

from __future__ import annotations

from collections import deque
from typing import Final, Protocol

from libgomd.errors import MalformedReply

#: Bytes of a stream that may be under way: sent, or received and not passed on.
WINDOW: Final = 1048576
#: Bytes of a stream that are put into one piece.
CHUNK: Final = 65536
#: Bytes of a piece that is not copied to be joined with its neighbours.
_SMALL: Final = 4096


class WindowExceeded(MalformedReply):
    """The other end has sent more than the window allows: it is broken or hostile. Close the connection."""


class Store(Protocol):
    """
    The bytes of one stream that its sender keeps: from ``base``, the oldest, to ``end``.

    An implementation in memory is `MemoryStore`; the supervisor of a detached job keeps them in files.
    """

    base: int
    end: int

    def append(self, data: bytes) -> None:
        """Keep more bytes."""

    def discard_before(self, position: int) -> None:
        """Forget what lies before ``position``. A store may keep more of it."""

    def read(self, position: int, limit: int) -> bytes:
        """Return up to ``limit`` bytes from ``position`` on, as many as lie together; empty at the end."""

    def close(self) -> None:
        """Free what the store occupies."""


class MemoryStore:
    """A `Store` in memory: the pieces that were appended, small ones joined so that there are few of them."""

    def __init__(self, base: int = 0) -> None:
        self.base = base
        self.end = base
        self._pieces: deque[bytes | bytearray] = deque()

    def append(self, data: bytes) -> None:
        """See `Store.append`."""
        self.end += len(data)
        if len(data) >= _SMALL:
            self._pieces.append(data)
        elif data:
            last = self._pieces[-1] if self._pieces else b""
            if isinstance(last, bytearray) and len(last) < CHUNK:
                last += data
            else:
                self._pieces.append(bytearray(data))

    def discard_before(self, position: int) -> None:
        """See `Store.discard_before`. A piece that lies on both sides of ``position`` is cut."""
        while self._pieces and self.base < position:
            first = self._pieces.popleft()
            if self.base + len(first) > position:
                self._pieces.appendleft(first[position - self.base :])
                self.base = position
            else:
                self.base += len(first)

    def read(self, position: int, limit: int) -> bytes:
        """See `Store.read`."""
        start = self.base
        for piece in self._pieces:
            if position < start + len(piece):
                offset = max(position - start, 0)
                return bytes(piece[offset : offset + limit])
            start += len(piece)
        return b""

    def close(self) -> None:
        """See `Store.close`."""
        self._pieces.clear()
        self.base = self.end


class Sender:
    """
    The sending end of a stream.

    :param store: keeps the bytes; its ``base`` and ``end`` are where the stream begins for this end.
    :param window: bytes that may be under way.
    :ivar sent: the position up to which this attachment has sent.
    :ivar taken: the position that the receiver has acknowledged: passed on there.
    """

    __slots__ = ("sent", "store", "taken", "window")

    def __init__(self, store: Store | None = None, window: int = WINDOW) -> None:
        self.store: Store = MemoryStore() if store is None else store
        self.window = window
        self.sent = self.taken = self.store.base

    def begin_at(self, position: int) -> None:
        """Take over a stream of which everything before ``position`` was acknowledged to another sender."""
        self.store.base = self.store.end = self.sent = self.taken = position

    @property
    def end(self) -> int:
        """The position behind the newest byte."""
        return self.store.end

    def room(self) -> int:
        """Return how many bytes may be appended now without keeping more than a window."""
        return max(0, self.window - (self.store.end - self.taken))

    def append(self, data: bytes) -> None:
        """Take more bytes of the stream. The caller respects `room` unless the store bounds itself."""
        self.store.append(data)

    def resume(self, received: int, taken: int | None = None) -> int:
        """
        Begin a new attachment with a receiver that has everything before ``received``.

        :param taken: what it has passed on of that; ``received`` when it does not tell.
        :returns: the position from which this end goes on: ``received``, or the oldest byte that is kept when
            that is newer, or the end of the stream when ``received`` lies beyond it.
        """
        start = min(max(received, self.store.base), self.store.end)
        self.store.discard_before(start)
        self.sent = start
        self.taken = start if taken is None else min(max(taken, 0), start)
        return start

    def acknowledge(self, position: int) -> bool:
        """
        Note that the receiver has passed everything before ``position`` on; return whether that is news.

        An acknowledgement of what was not sent, or that is older than the last one, changes nothing.
        """
        if not self.taken < position <= self.sent:
            return False
        self.taken = position
        self.store.discard_before(position)
        return True

    def next_piece(self, limit: int = CHUNK) -> bytes:
        """Return the next bytes to send, and count them as sent; empty when there are none or no window."""
        allowed = min(limit, self.taken + self.window - self.sent)
        if allowed <= 0:
            return b""
        data = self.store.read(self.sent, allowed)
        self.sent += len(data)
        return data

    @property
    def drained(self) -> bool:
        """Whether everything that was appended has been sent."""
        return self.sent >= self.store.end

    @property
    def overtaken(self) -> bool:
        """Whether bytes that were never sent are no longer kept, so that the receiver has to resume."""
        return self.sent < self.store.base


class Receiver:
    """
    The receiving end of a stream.

    :ivar received: the position of the next byte that is expected.
    :ivar taken: the position up to which the bytes were passed on.
    """

    __slots__ = ("_told", "_window_start", "received", "taken", "window")

    def __init__(self, position: int = 0, window: int = WINDOW) -> None:
        self.received = self.taken = position
        self.window = window
        self._told = self._window_start = position

    def begin_at(self, received: int, taken: int) -> None:
        """Take over a stream from another receiver, where that was."""
        self.received, self.taken = received, taken
        self._told = self._window_start = taken

    def receive(self, size: int) -> None:
        """
        Count ``size`` bytes that have come.

        :raises WindowExceeded: they are more than the sender may have under way.
        """
        if self.received + size - self._window_start > self.window:
            raise WindowExceeded(f"{size} bytes more than the window of {self.window} allows")
        self.received += size

    def pass_on(self, size: int) -> None:
        """Count ``size`` bytes as passed on, or dropped for good."""
        self.taken = min(self.taken + size, self.received)

    def pass_on_all(self) -> None:
        """Count everything that has come as passed on."""
        self.taken = self.received

    def pass_on_all_but(self, size: int) -> None:
        """
        Count everything as passed on but the last ``size`` bytes; never less than before.

        What was passed on may come back to this end, which then passes it on once more.
        """
        self.taken = max(self.taken, self.received - size)

    def rewind(self, position: int) -> None:
        """Forget what lies behind ``position``: on resuming the sender goes on from there."""
        self.received = position
        self.taken = min(self.taken, position)

    def acknowledgement(self) -> int | None:
        """Return the position to acknowledge now, None when the sender has been told it already."""
        if self._told == self.taken:
            return None
        self._told = self.taken
        self._window_start = max(self._window_start, self.taken)
        return self.taken

    def resume(self, position: int) -> int:
        """
        Begin a new attachment: the sender goes on from ``position``, and may send a window from there on,
        since it need not know what is held here.

        :returns: bytes that are lost for good, 0 as a rule: those before ``position`` that never came.
        """
        waiting = self.received - self.taken
        lost = max(0, position - self.received)
        self.received = position
        self.taken = position - waiting if position >= waiting else 0
        self._told = self.taken
        self._window_start = position
        return lost
