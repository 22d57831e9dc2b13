"""Sends one answer only as fast as its client reads it, and ends one that is not read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IPushProducer, IReactorTime
from twisted.internet.task import deferLater
from zope.interface import implementer

from gomd.web.limits import STALL_TIMEOUT


@implementer(IPushProducer)
class Flow:
    """
    The pace of one answer.

    :param request: a `twisted.web.http.Request`.
    :param on_stall: called once, when the client has left a full buffer unread for `STALL_TIMEOUT` seconds.
    """

    def __init__(self, request: Any, clock: IReactorTime, on_stall: Callable[[], None]) -> None:
        self._request = request
        self._clock = clock
        self._on_stall = on_stall
        self._full = False
        self._stall: IDelayedCall | None = None
        self._room: Deferred[None] | None = None
        request.registerProducer(self, True)

    async def send(self, data: bytes) -> None:
        """Send ``data``, and wait until there is room for more, in any case for a turn of the reactor."""
        self._request.write(data)
        if self._full:
            self._room = Deferred()
            await self._room
        else:
            await deferLater(self._clock, 0)

    def end(self) -> None:
        """Forget the request: everything was sent, or the client is gone."""
        self._cancel_stall()
        if self._request.channel is not None:
            self._request.unregisterProducer()

    def pauseProducing(self) -> None:
        """The buffer is full: wait, and start the timeout of a client that does not read."""
        self._full = True
        self._cancel_stall()
        self._stall = self._clock.callLater(STALL_TIMEOUT, self._on_stall)

    def resumeProducing(self) -> None:
        """The buffer is empty again."""
        self._full = False
        self._cancel_stall()
        room, self._room = self._room, None
        if room is not None:
            room.callback(None)

    def stopProducing(self) -> None:
        """The connection is going away; the answer is cancelled where it waits."""

    def _cancel_stall(self) -> None:
        stall, self._stall = self._stall, None
        if stall is not None and stall.active():
            stall.cancel()
