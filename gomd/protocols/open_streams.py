"""The streams to other nodes that this node has opened, and which of them have to be ended."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any
from weakref import WeakSet

from gomd.protocols import dead_streams
from libgomd.connection import LineConnection
from libgomd.errors import ConnectionLost
from libgomd.model import Counter


class OpenStreams:
    """Ends those whose peer is not believed any more, and those over which nothing arrives."""

    def __init__(self) -> None:
        self._open: WeakSet[LineConnection] = WeakSet()
        #: Those whose address on this node was gone when the addresses were last read.
        self._homeless: WeakSet[LineConnection] = WeakSet()
        self._present: frozenset[str] = frozenset()
        self._dead = 0

    def add(self, connection: LineConnection) -> None:
        """Note a stream that was opened."""
        dead_streams.watch(connection.transport)
        self._open.add(connection)

    def drop(self, believed: Callable[[Any], bool]) -> None:
        """Abort the streams to peers whose certificates are not accepted any more."""
        for connection in self._working():
            if not believed(connection.transport):
                connection.abort()

    def end_dead(self) -> None:
        """Abort the streams over which nothing arrives, as after the peer's address has gone."""
        for connection in self._working():
            if dead_streams.is_dead(connection.transport):
                self._end(connection, "nothing that was sent arrived")

    def addresses_are(self, present: Iterable[str]) -> None:
        """
        Abort the streams from addresses that this node had and has no more, now and when they were read last.

        :param present: all addresses of this node. One that was never there is none of its interfaces, as the
            kernel allows; nothing is known of it.
        """
        before, self._present = self._present, frozenset(present)
        waiting, self._homeless = self._homeless, WeakSet()
        for connection in self._working():
            host = getattr(connection.transport.getHost(), "host", "") if connection.transport else ""
            if host in self._present:
                continue
            if connection in waiting:
                self._end(connection, f"the address {host} of this node has gone")
            elif host in before:
                self._homeless.add(connection)

    def _working(self) -> list[LineConnection]:
        return [each for each in self._open if each.error is None]

    def _end(self, connection: LineConnection, why: str) -> None:
        self._dead += 1
        connection.abort(ConnectionLost(why))

    def counters(self) -> Iterable[Counter]:
        """Return the counters for `stats`."""
        yield Counter("streams_dead", self._dead, "streams that were ended because nothing arrived over them")
