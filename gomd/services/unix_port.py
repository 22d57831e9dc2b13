"""A port at a unix socket that leaves the name and mode of the socket alone."""

from __future__ import annotations

from typing import Any

from twisted.internet import tcp, unix
from twisted.internet.interfaces import IListeningPort
from twisted.internet.protocol import Factory


class UnixPort(unix.Port):  # type: ignore[misc,unused-ignore]
    """
    Accepts connections at a unix socket that is already listening.

    Twisted's own port changes the mode of the file at the socket's path, and removes that file at the end.
    Both are wrong for a socket that systemd keeps for the next start, with a mode that the administrator
    chose.
    """

    #: Do not shut the socket down: systemd may have it too, and goes on listening.
    _shouldShutdown = False

    def startListening(self) -> None:
        """Accept connections."""
        tcp._reservedFD.reserve()
        factory, listening = self.factory, self._preexistingSocket
        assert factory is not None
        assert listening is not None
        factory.doStart()
        self._preexistingSocket = None
        self.socket = listening
        self.fileno = listening.fileno  # type: ignore[method-assign]
        self.connected = True
        self.numberAccepts = 100
        self.startReading()

    def connectionLost(self, reason: Any) -> None:
        """Close the socket; its name stays."""
        tcp.Port.connectionLost(self, reason)


def listen_unix(reactor: Any, descriptor: int, factory: Factory) -> IListeningPort:
    """Return a port that accepts connections at the listening unix socket ``descriptor``, which it copies."""
    port: Any = UnixPort._fromListeningDescriptor(reactor, descriptor, factory)
    port.startListening()
    listening: IListeningPort = port
    return listening
