"""The way out of one connection: gathers small writes, and stops when the client does not read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IPushProducer, IReactorTime
from twisted.internet.task import deferLater
from zope.interface import implementer

#: Bytes that are gathered before they are handed to the transport.
BATCH = 65536


@implementer(IPushProducer)
class FlowControl:
    """
    Writes to ``transport``, which tells it when its buffer is full and when it has room again.

    :param transport: an `ITCPTransport`, or its like on a unix socket.
    :param stall_timeout: seconds the client may leave a full buffer untouched.
    :param on_room: called when there is room again and nobody waited for it.
    :param on_stall: called once when the client took nothing for that long.
    :ivar full: whether the client has to read before more is made.
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
        self._gathering = False
        transport.registerProducer(self, True)

    def send(self, data: bytes) -> None:
        """Write ``data``, at once or together with what else is gathered."""
        self._gathered.append(data)
        self._size += len(data)
        if not self._gathering or self._size > BATCH:
            self.flush()

    def gather(self) -> None:
        """Hold writes back until `flush`, as long as they are few."""
        self._gathering = True

    def flush(self) -> None:
        """Write what was gathered, and everything from now on at once."""
        self._gathering = False
        if self._gathered:
            data, self._gathered, self._size = b"".join(self._gathered), [], 0
            self._transport.write(data)

    async def taken(self) -> None:
        """Wait until the client has room for more; at least until others had their turn."""
        if self.full:
            self._room = Deferred()
            await self._room
        else:
            await deferLater(self._clock, 0)

    def close(self) -> None:
        """Close the connection when all that was written has been sent."""
        self.flush()
        self._transport.unregisterProducer()
        self._transport.loseConnection()

    def release(self) -> None:
        """Let another protocol have the transport, behind everything written so far."""
        self.flush()
        self._cancel_stall()
        self._transport.unregisterProducer()

    def lost(self) -> None:
        """The connection is gone: nobody waits any more."""
        self._cancel_stall()
        room, self._room = self._room, None
        if room is not None:
            room.cancel()

    # -- IPushProducer: the transport's words

    def pauseProducing(self) -> None:
        """The buffer is full: make no more, and not for ever."""
        self.full = True
        self._cancel_stall()
        self._stall = self._clock.callLater(self._stall_timeout, self._on_stall, self._stall_timeout)

    def resumeProducing(self) -> None:
        """The buffer is empty again: go on."""
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
