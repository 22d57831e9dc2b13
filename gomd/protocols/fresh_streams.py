"""Streams to other nodes whose handshake is made before the next job needs one."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from gomd.protocols.idle_streams import IdleStreams
from libgomd.connection import LineConnection

#: Seconds after the start of a job on a node until the next stream to it is made: that job begins meanwhile.
PREPARE_DELAY: Final = 0.05
#: Seconds for which such a stream is kept. Nobody is introduced on it yet, so it holds one of the few places
#: that the other node has for such streams.
FRESH_TIMEOUT: Final = 1.0


class FreshStreams:
    """
    Keeps at most one stream for each node to which a job was sent within the last second.

    The handshake takes a third of the time of a job's start on another node. The stream speaks for no caller
    until it is used.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._kept = IdleStreams(clock, FRESH_TIMEOUT)
        self._coming: set[Hashable] = set()

    def take(self, key: Hashable) -> LineConnection | None:
        """Return the stream that is kept under ``key`` and still works, None if there is none."""
        return self._kept.take(key)

    def prepare(self, key: Hashable, connect: Callable[[], Coroutine[Any, Any, LineConnection]]) -> None:
        """
        Have a stream made and kept under ``key``, unless there is one or one is coming.

        :param connect: makes it. That it cannot be made is no error: the next job will say so.
        """
        if key in self._coming or self._kept.has(key):
            return
        self._coming.add(key)

        def make() -> None:
            made = Deferred.fromCoroutine(connect())
            made.addCallback(lambda connection: self._kept.keep(key, connection))
            made.addErrback(lambda _failure: None)
            made.addBoth(lambda _result: self._coming.discard(key))

        self._clock.callLater(PREPARE_DELAY, make)
