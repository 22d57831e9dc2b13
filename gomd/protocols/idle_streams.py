"""Streams to other nodes that are kept for a moment, for the next request of the same caller."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from libgomd.connection import LineConnection

#: Seconds for which a stream is kept. It holds one of the other node's places for the group of its caller,
#: and so it is not kept for long; whoever watches asks once a second.
IDLE_TIMEOUT: Final = 3.0
#: Maximum number of streams that are kept: in all, and for one node and one caller.
MAX_IDLE: Final = 64
MAX_IDLE_PER_CALLER: Final = 2


class IdleStreams:
    """
    Keeps streams, each under the node and the caller that it was opened for.

    A handshake takes several times as long as a short answer. A stream speaks for one caller, in one format,
    for its whole life, so nobody else may have it.

    :param timeout: seconds for which one is kept.
    """

    def __init__(self, clock: IReactorTime, timeout: float = IDLE_TIMEOUT) -> None:
        self._clock = clock
        self._timeout = timeout
        self._kept: dict[Hashable, list[tuple[LineConnection, IDelayedCall]]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._kept.values()))

    def count(self, key: Hashable) -> int:
        """Return how many streams that work are kept under ``key``."""
        return sum(connection.error is None for connection, _expiry in self._kept.get(key, ()))

    def take(self, key: Hashable) -> LineConnection | None:
        """Return a stream that was kept under ``key`` and still works, None if there is none."""
        while kept := self._kept.get(key):
            connection, expiry = kept.pop()
            self._settle(key)
            if expiry.active():
                expiry.cancel()
            if connection.error is None:
                return connection
        return None

    def keep(self, key: Hashable, connection: LineConnection) -> None:
        """Keep a stream for the timeout, or close it when there are too many."""
        if connection.error is not None:
            return
        if len(self) >= MAX_IDLE or len(self._kept.get(key, ())) >= MAX_IDLE_PER_CALLER:
            connection.close()
            return
        expiry = self._clock.callLater(self._timeout, self._expire, key, connection)
        self._kept.setdefault(key, []).append((connection, expiry))

    def _expire(self, key: Hashable, connection: LineConnection) -> None:
        self._kept[key] = [each for each in self._kept[key] if each[0] is not connection]
        self._settle(key)
        connection.close()

    def _settle(self, key: Hashable) -> None:
        if not self._kept[key]:
            del self._kept[key]
