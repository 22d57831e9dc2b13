"""The Twisted protocol of a connection that carries the streams of a job: bytes in, bytes out, an end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import ITCPTransport
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure

from libgomd.tcp import send_without_delay


class JobConnection(Protocol):
    """
    Takes over a connection, and hands on what happens there until it is closed from here.

    What is sent waits in memory until the daemon reads it. The window of each stream bounds that, and what
    comes too, so that reading never has to stop.

    :param on_data: is given bytes as they come. :param on_lost: is told why the connection is gone.
    """

    transport: Any

    def __init__(self, on_data: Callable[[bytes], None], on_lost: Callable[[str], None]) -> None:
        self._on_data = on_data
        self._on_lost = on_lost
        self._closed = False

    def connectionMade(self) -> None:
        """Send without delay, and notice a machine that is gone."""
        send_without_delay(self.transport)
        if ITCPTransport.providedBy(self.transport):
            self.transport.setTcpKeepAlive(True)

    def dataReceived(self, data: bytes) -> None:
        """Hand bytes on."""
        if not self._closed:
            self._on_data(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Tell why, unless it was closed from here."""
        if not self._closed:
            self._closed = True
            self._on_lost(reason.getErrorMessage())

    def send(self, data: bytes) -> None:
        """Send bytes; on a connection that is gone nothing happens."""
        if data and not self._closed:
            self.transport.write(data)

    def close(self) -> None:
        """Close the connection behind what was sent; nobody is told."""
        self._closed = True
        self.transport.loseConnection()
