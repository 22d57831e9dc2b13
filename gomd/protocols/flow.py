"""Flow control of one connection: joins small writes, and pauses while the client does not read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IPushProducer, IReactorTime
from twisted.internet.task import deferLater
from zope.interface import implementer

#: Bytes that are gathered at most before they are written to the transport: the answers to requests that came
#: at once, and what one answer has ready. The latter is a record of TLS.
MAX_GATHERED_BYTES = 65536
MAX_GATHERED_PIECES = 16384


@implementer(IPushProducer)
class FlowControl:
    """
    Writes to ``transport``, which tells it when its buffer is full and when it has room again.

    :param transport: an `ITCPTransport`, or its like on a unix socket.
    :param stall_timeout: seconds for which the client may leave a full buffer unread.
    :param on_room: called when the buffer has room again and nothing waits in `taken`.
    :param on_stall: called once, with the timeout, when the client has read nothing for that long.
    :ivar full: whether the client has to read before more should be sent.
    """

    def __init__(
        self,
        transport: Any,
        clock: IReactorTime,
        stall_timeout: float,
        on_room: Callable[[], None],
        on_stall: Callable[[float], None],
    ) -> None:
        self.full = False
        self._transport = transport
        self._clock = clock
        self._stall_timeout = stall_timeout
        self._on_room = on_room
        self._on_stall = on_stall
        self._stall: IDelayedCall | None = None
        self._room: Deferred[None] | None = None
        self._gathered: list[bytes] = []
        self._size = 0
        self._gathering = 0
        transport.registerProducer(self, True)

    def send(self, data: bytes) -> None:
        """Write ``data``, at once or together with other gathered writes."""
        self._gathered.append(data)
        self._size += len(data)
        if self._size > self._gathering:
            self.flush()

    def gather(self, most: int = MAX_GATHERED_BYTES) -> None:
        """Gather writes until `flush`, or until there are more than ``most`` bytes."""
        self._gathering = most

    def flush(self) -> None:
        """Write what was gathered; later writes are no longer delayed."""
        self._gathering = 0
        if self._gathered:
            data, self._gathered, self._size = b"".join(self._gathered), [], 0
            self._transport.write(data)

    async def taken(self) -> None:
        """Wait until the client can take more, and in any case for one turn of the reactor."""
        if self.full:
            self._room = Deferred()
            await self._room
        else:
            await deferLater(self._clock, 0)

    def close(self) -> None:
        """Close the connection after everything written has been sent."""
        self.flush()
        self._transport.unregisterProducer()
        self._transport.loseConnection()

    def release(self) -> None:
        """Give the transport to another protocol, after everything written so far."""
        self.flush()
        self._cancel_stall()
        self._transport.unregisterProducer()

    def lost(self) -> None:
        """The connection has ended: cancel what waits for it."""
        self._cancel_stall()
        room, self._room = self._room, None
        if room is not None:
            room.cancel()

    # -- IPushProducer, called by the transport

    def pauseProducing(self) -> None:
        """The buffer is full: pause, and start the timeout of a client that does not read."""
        self.full = True
        self._cancel_stall()
        self._stall = self._clock.callLater(self._stall_timeout, self._on_stall, self._stall_timeout)

    def resumeProducing(self) -> None:
        """The buffer is empty again: continue."""
        self.full = False
        self._cancel_stall()
        room, self._room = self._room, None
        if room is not None:
            room.callback(None)
        else:
            self._on_room()

    def stopProducing(self) -> None:
        """The connection is going away; `lost` does the rest."""

    def _cancel_stall(self) -> None:
        stall, self._stall = self._stall, None
        if stall is not None and stall.active():
            stall.cancel()
