"""A daemon that says what a test tells it to: the far end of client connections in memory."""

from __future__ import annotations

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransportWithDisconnection

from libgomd.client import Client, open_client
from libgomd.connection import LineConnection

GREETING = b"220 gomd 0.1.0 node 1 alpha\r\n"


class Far(StringTransportWithDisconnection):
    """The far end of one connection."""

    def __init__(self, connection: LineConnection) -> None:
        super().__init__()
        self.near = connection
        self.protocol = connection
        connection.makeConnection(self)

    def heard(self) -> list[str]:
        """Return the lines that came since the last time."""
        text: str = self.value().decode()
        self.clear()
        return text.split("\r\n")[:-1]

    def say(self, *lines: str) -> None:
        """Send lines."""
        self.near.dataReceived("".join(f"{line}\r\n" for line in lines).encode())


class ScriptedDaemon:
    """Takes connections; ``welcome`` says what they hear at once, before anything is asked."""

    def __init__(self, *welcome: str) -> None:
        self.connections: list[Far] = []
        self.welcome = welcome

    def dial(self) -> Deferred[LineConnection]:
        """Connect."""
        connection = LineConnection()
        self.connections.append(Far(connection))
        return succeed(connection)

    def client(self, clock: Clock, token: str | None = None) -> Deferred[Client]:
        """Connect a client that is given 10 seconds for everything."""
        return Deferred.fromCoroutine(open_client(self.dial, clock, token=token, timeout=10.0))
