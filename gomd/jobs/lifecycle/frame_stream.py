"""One end of a connection that carries frames: to a supervisor, to another daemon, or from a caller."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from twisted.internet.abstract import FileDescriptor
from twisted.internet.interfaces import IPushProducer, ITCPTransport
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from libgomd.wire.frames import Frame, FrameParser, MalformedFrame

#: Bytes that one call of the kernel reads or writes at most: Twisted's 64 KiB cost a fifth more time.
AT_ONCE = 1 << 18


def _ignore(*_anything: object) -> None:
    """Do nothing: nobody listens yet, or any more."""


def _widen(transport: Any) -> None:
    """Let a connection, and the one below it when it is TLS, carry as much at a time as `AT_ONCE`."""
    while transport is not None:
        if isinstance(transport, FileDescriptor):
            transport.bufferSize = transport.SEND_LIMIT = AT_ONCE
        transport = vars(transport).get("transport")


@implementer(IPushProducer)
class FrameStream(Protocol):
    """
    Frames in and out. It takes over a connection that was another protocol's (`makeConnection`), or is
    the connection's own from the beginning.

    :ivar on_frame: called with each frame; frames that come before it is set wait for it.
    :ivar on_lost: called once when the connection is gone, unless it was closed here.
    :ivar on_room: called when the other end has taken what had filled the connection.
    :ivar full: whether the other end has to read before more should be sent.
    """

    transport: Any
    _log: ClassVar[Logger] = Logger()

    def __init__(self) -> None:
        self.full = False
        self.gone = False
        self.on_lost: Callable[[], None] = _ignore
        self.on_room: Callable[[], None] = _ignore
        self._on_frame: Callable[[Frame], None] | None = None
        self._early: list[Frame] = []
        self._parser = FrameParser()
        self._closed = self._aborted = False

    @property
    def on_frame(self) -> Callable[[Frame], None]:
        """See the class."""
        return self._on_frame or _ignore

    @on_frame.setter
    def on_frame(self, function: Callable[[Frame], None]) -> None:
        self._on_frame = function
        try:
            while self._early and self._on_frame is not None and not self._closed:
                self._on_frame(self._early.pop(0))
        except MalformedFrame as error:
            self._refuse(error)

    def forget(self) -> None:
        """Keep the frames that come now for whoever listens next."""
        self._on_frame = None
        self.on_lost = self.on_room = _ignore

    def connectionMade(self) -> None:
        """Be told when the other end does not read, and read and write much at a time."""
        _widen(self.transport)
        self.transport.registerProducer(self, True)
        if ITCPTransport.providedBy(self.transport):
            self.transport.setTcpNoDelay(True)
            self.transport.setTcpKeepAlive(True)

    def dataReceived(self, data: bytes) -> None:
        """Hand every frame on."""
        try:
            for frame in self._parser.feed(data):
                if self._closed:
                    return
                if self._on_frame is None:
                    self._early.append(frame)
                else:
                    self._on_frame(frame)
        except MalformedFrame as error:
            self._refuse(error)

    def _refuse(self, error: MalformedFrame) -> None:
        self._log.debug("closed a connection: {error}", error=error)
        self._early.clear()
        self.abort()

    def send(self, data: bytes) -> None:
        """Send an encoded frame."""
        if not self.gone and not self._closed:
            self.transport.write(data)

    def close(self) -> None:
        """Close the connection after what was sent; nobody is told."""
        if not self._closed and not self.gone:
            self._closed = True
            self.transport.unregisterProducer()
            self.transport.loseConnection()

    def abort(self) -> None:
        """Close the connection at once; whoever listens is told."""
        if not self.gone:
            self._aborted = True
            self.transport.abortConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Tell whoever listens."""
        if self.gone:
            return
        self.gone = True
        self.hold(False)
        if not self._closed:
            self.on_lost()

    # -- the pace

    def hold(self, held: bool) -> None:
        """Stop reading from this connection, or go on."""
        if not self.gone and not self._closed and not self._aborted:
            if held:
                self.transport.pauseProducing()
            else:
                self.transport.resumeProducing()

    def pauseProducing(self) -> None:
        """The connection is full."""
        self.full = True

    def resumeProducing(self) -> None:
        """The connection has room again."""
        self.full = False
        self.on_room()

    def stopProducing(self) -> None:
        """The connection is going away."""
