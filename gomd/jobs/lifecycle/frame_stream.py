"""One end of a connection that carries frames: to a supervisor, to another daemon, or from a caller."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable
from typing import Any, ClassVar

from twisted.internet.abstract import FileDescriptor
from twisted.internet.interfaces import IPushProducer, ITCPTransport
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.tcp import Connection
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from libgomd.tcp import send_without_delay
from libgomd.wire.frames import Frame, FrameParser, MalformedFrame, Piece, head

#: Bytes that one call of the kernel reads or writes at most: with Twisted's 64 KiB, most of a daemon's time
#: goes into the turns of the reactor. Half a window: the rest of it is under way meanwhile.
TRANSFER_SIZE_BYTES = 1 << 19
#: Bytes that are worth a call of the kernel by themselves. Twisted's TLS lets no more of them wait.
_LARGE_BYTES = 1 << 16


def _ignore() -> None:
    """Do nothing: there is no listener."""


def _below(transport: Any) -> FileDescriptor | None:
    """Return the kernel's connection below a transport, which may be TLS; None: it has none."""
    while transport is not None and not isinstance(transport, FileDescriptor):
        transport = vars(transport).get("transport")
    return transport


@implementer(IPushProducer)
class FrameStream(Protocol):
    """
    Frames in and out. It takes over a connection that was another protocol's (`makeConnection`), or is
    the connection's own from the beginning.

    :ivar full: whether the other end has to read before more should be sent.
    :ivar gone: whether the connection is gone.
    """

    transport: Any
    _log: ClassVar[Logger] = Logger()

    def __init__(self) -> None:
        self.full = False
        self.gone = False
        self._on_frame: Callable[[Frame], None] | None = None
        self._on_output: Callable[[list[Piece]], None] | None = None
        self._on_lost: Callable[[], None] = _ignore
        self._on_room: Callable[[], None] = _ignore
        self._early: list[Frame] = []
        self._parser = FrameParser()
        self._closed = self._aborted = False
        self._below: FileDescriptor | None = None

    def listen(
        self,
        on_frame: Callable[[Frame], None],
        on_lost: Callable[[], None] = _ignore,
        on_room: Callable[[], None] = _ignore,
        on_output: Callable[[list[Piece]], None] | None = None,
    ) -> None:
        """
        Call these functions from now on, in place of the former ones.

        :param on_frame: called with each frame, first with those that came while there was no listener; when
            it raises `MalformedFrame`, the connection is aborted.
        :param on_lost: called once when the connection is gone, unless it was closed here.
        :param on_room: called when the other end has taken what had filled the connection.
        :param on_output: called with output in place of ``on_frame``, but for what came while there was no
            listener; None: its frames are like the others.
        """
        self._on_output = on_output
        self._on_frame, self._on_lost, self._on_room = on_frame, on_lost, on_room
        try:
            while self._early and self._on_frame is not None and not self._closed:
                self._on_frame(self._early.pop(0))
        except MalformedFrame as error:
            self._refuse(error)

    def forget(self) -> None:
        """Call no function any more; the frames that come now are kept for the next listener."""
        self._on_frame = self._on_output = None
        self._on_lost = self._on_room = _ignore

    def early_frame(self) -> Frame | None:
        """Return the first frame that waits for the next listener, None when none has come yet."""
        return self._early[0] if self._early else None

    def drop_early_frame(self) -> None:
        """Forget the frame that `early_frame` returns."""
        del self._early[:1]

    def admit_long_spec(self, admits: Callable[[int], bool] | None) -> None:
        """Ask ``admits`` about each `SPEC` that is longer than other frames may be; None: take none."""
        self._parser.admits_long_spec = admits

    def connectionMade(self) -> None:
        """Watch whether the other end reads, and transfer much at a time."""
        self._below = _below(self.transport)
        if self._below is not None:
            self._below.bufferSize = self._below.SEND_LIMIT = TRANSFER_SIZE_BYTES
            if isinstance(self._below, Connection) and self._below.socket.family == socket.AF_UNIX:
                # The kernel finds what suits TCP by itself.
                self._below.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, TRANSFER_SIZE_BYTES)
        self.transport.registerProducer(self, True)
        send_without_delay(self.transport)
        if ITCPTransport.providedBy(self.transport):
            self.transport.setTcpKeepAlive(True)

    def dataReceived(self, data: bytes) -> None:
        """Pass every frame to the listener."""
        try:
            if self._on_output is None:
                for frame in self._parser.feed(data):
                    if self._closed:
                        return
                    self._give(frame)
            else:
                self._receive_output(data)
        except MalformedFrame as error:
            self._refuse(error)

    def _give(self, frame: Frame) -> None:
        if self._on_frame is None:
            self._early.append(frame)
        else:
            self._on_frame(frame)

    def _receive_output(self, data: bytes) -> None:
        """Give output that came together to the listener together, and every other frame by itself."""
        pieces: list[Piece] = []
        for found in self._parser.feed_pieces(data):
            if self._closed:
                return
            if isinstance(found, Piece):
                pieces.append(found)
            else:
                self._give_output(pieces)
                pieces = []
                self._give(found)
        self._give_output(pieces)

    def _give_output(self, pieces: list[Piece]) -> None:
        """Give output to the listener there is now, which may be another one than before."""
        if pieces and self._on_output is not None:
            self._on_output(pieces)
        else:
            for piece in pieces:
                self._give(Frame(piece.kind, bytes(piece.data)))

    def _refuse(self, error: MalformedFrame) -> None:
        self._log.debug("closed a connection: {error}", error=error)
        self._early.clear()
        self.abort()

    def send(self, data: bytes) -> None:
        """Send encoded frames."""
        if not self.gone and not self._closed:
            self.transport.write(data)

    def send_output(self, pieces: Iterable[Piece]) -> None:
        """Send output as frames; much of it goes out at once, as far as the kernel takes it."""
        if self.gone or self._closed:
            return
        parts: list[bytes | memoryview] = []
        for kind, data in pieces:
            parts += (head(kind, len(data)), data)
        joined = b"".join(parts)
        self.transport.write(joined)
        if len(joined) >= _LARGE_BYTES:
            self._push()

    def _push(self) -> None:
        """
        Let the kernel have what was written just now, in place of waiting for the reactor's next turn.

        What is wrong with the connection is found again in that turn, and handled there.
        """
        below = self._below
        if below is not None and below.connected and not below.disconnecting:
            below.doWrite()

    def close(self) -> None:
        """Close the connection after everything was sent, without calling ``on_lost``."""
        if not self._closed and not self.gone:
            self._closed = True
            self.transport.unregisterProducer()
            self.transport.loseConnection()

    def abort(self) -> None:
        """Close the connection at once, and call ``on_lost``."""
        if not self.gone:
            self._aborted = True
            self.transport.abortConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Tell the listener."""
        if self.gone:
            return
        self.gone = True
        self.pause_reading(False)
        if not self._closed:
            self._on_lost()

    # -- the pace

    def pause_reading(self, paused: bool) -> None:
        """Stop reading from this connection, or go on."""
        if not self.gone and not self._closed and not self._aborted:
            if paused:
                self.transport.pauseProducing()
            else:
                self.transport.resumeProducing()

    def pauseProducing(self) -> None:
        """The connection is full."""
        self.full = True

    def resumeProducing(self) -> None:
        """The connection has room again."""
        self.full = False
        self._on_room()

    def stopProducing(self) -> None:
        """The connection is going away."""
