"""
The Ganglia port: whoever connects gets the cluster as gmond's XML, and the connection is closed.

The document is made on a thread, at most once a second, and shared by all who ask meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar, Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IDelayedCall, IReactorTime
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from gomd.interfaces import IMembership, IThreads
from gomd.protocols.ganglia_xml import document
from libgomd.errors import GomdError
from libgomd.model import Counter
from libgomd.wallclock import Wall

#: Largest number of connections at once; for one more the oldest is closed.
MAX_CONNECTIONS: Final = 32
#: Seconds that a connection may last.
CONNECTION_LIFETIME: Final = 30.0
#: Seconds that making the document may take, and for which it is used.
DOCUMENT_TIMEOUT: Final = 5.0
DOCUMENT_AGE: Final = 1.0


class GangliaProtocol(Protocol):
    """One connection. What it sends is ignored."""

    transport: Any

    def __init__(self, port: GangliaFactory) -> None:
        self._port = port
        self._end: IDelayedCall | None = None

    def connectionMade(self) -> None:
        """Have the document sent."""
        self._end = self._port.clock.callLater(CONNECTION_LIFETIME, self.drop)
        self._port.entered(self)

    def drop(self) -> None:
        """Abort the connection."""
        self.transport.abortConnection()

    def send(self, text: bytes) -> None:
        """Send the document and close the connection."""
        self.transport.write(text)
        self.transport.loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Stop the timer."""
        if self._end is not None and self._end.active():
            self._end.cancel()
        self._port.left(self)


class GangliaFactory(Factory):
    """
    :param cluster: the name of the cluster in Ganglia. :param wall: gives the time of stamps.
    """

    noisy = False
    _log: ClassVar[Logger] = Logger()

    def __init__(
        self, cluster: str, members: IMembership, threads: IThreads, clock: IReactorTime, wall: Wall
    ) -> None:
        self.clock = clock
        self._cluster = cluster
        self._members = members
        self._threads = threads
        self._wall = wall
        self._open: dict[GangliaProtocol, None] = {}
        self._waiting: dict[GangliaProtocol, None] = {}
        self._made: tuple[float, bytes] | None = None
        self._is_making = False
        self._sent = 0

    def buildProtocol(self, addr: IAddress | None) -> Any:
        """Return the protocol of a connection."""
        return GangliaProtocol(self)

    def entered(self, connection: GangliaProtocol) -> None:
        """Note a connection, and send it the document."""
        self._open[connection] = None
        if len(self._open) > MAX_CONNECTIONS:
            oldest = next(iter(self._open))
            self.left(oldest)
            oldest.drop()
        if self._made is not None and self.clock.seconds() - self._made[0] <= DOCUMENT_AGE:
            self._send(connection, self._made[1])
            return
        self._waiting[connection] = None
        if not self._is_making:
            self._is_making = True
            Deferred.fromCoroutine(self._make())

    def left(self, connection: GangliaProtocol) -> None:
        """Note that a connection has ended."""
        self._open.pop(connection, None)
        self._waiting.pop(connection, None)

    async def _make(self) -> None:
        """Make the document, and send it to all who wait for it. Never raises."""
        try:
            nodes = tuple(self._members.nodes())
            text = await self._threads.run(DOCUMENT_TIMEOUT, document, nodes, self._cluster, self._wall())
            self._made = (self.clock.seconds(), text)
        except GomdError as error:
            self._log.warn("no document for Ganglia: {error}", error=error)
            text = b""
        except Exception:  # noqa: BLE001 - a bug: log it, and stay up
            self._log.failure("the document for Ganglia could not be made")
            text = b""
        self._is_making = False
        waiting, self._waiting = self._waiting, {}
        for each in waiting:
            self._send(each, text)

    def _send(self, connection: GangliaProtocol, text: bytes) -> None:
        self._sent += 1
        connection.send(text)

    def close_all(self) -> None:
        """End every connection: the daemon stops."""
        for each in tuple(self._open):
            each.drop()

    def counters(self) -> Iterable[Counter]:
        """Return connections and documents."""
        yield Counter("ganglia_connections", len(self._open), "connections to the Ganglia port now")
        yield Counter("ganglia_documents", self._sent, "documents sent to Ganglia")
