"""`libgomd.tcp`: nothing waits for Nagle's algorithm."""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet.protocol import Factory, Protocol
from twisted.internet.testing import StringTransport
from twisted.protocols.policies import WrappingFactory
from twisted.trial.unittest import SynchronousTestCase

from libgomd.connection import LineConnection
from libgomd.jobconnection import JobConnection
from libgomd.tcp import send_without_delay, tcp_socket


class Socketed(StringTransport):
    """A transport on a socket that is not connected."""

    def __init__(self, family: int) -> None:
        super().__init__()
        self.socket = socket.socket(family, socket.SOCK_STREAM)

    def getHandle(self) -> socket.socket:
        """Return the socket, as Twisted's own transports do."""
        return self.socket

    def setTcpKeepAlive(self, enabled: bool | int) -> None:
        """Nothing here asks for that."""


class WithoutDelayTests(SynchronousTestCase):
    """Whatever carries requests, answers or frames."""

    def transport(self, family: int = socket.AF_INET) -> Socketed:
        """Return a transport; its socket is closed after the test."""
        made = Socketed(family)
        self.addCleanup(made.socket.close)
        return made

    def delays(self, transport: Socketed) -> bool:
        """Whether the kernel may hold back what is sent."""
        return not transport.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)

    def test_tcp_sends_at_once(self) -> None:
        """In both families."""
        for family in (socket.AF_INET, socket.AF_INET6):
            tcp = self.transport(family)
            self.assertTrue(self.delays(tcp))
            send_without_delay(tcp)
            self.assertFalse(self.delays(tcp))

    def test_others_are_left_alone(self) -> None:
        """A unix socket has no such option, and a transport of a test no socket."""
        send_without_delay(self.transport(socket.AF_UNIX))
        send_without_delay(StringTransport())
        self.assertIsNone(tcp_socket(StringTransport()))

    def test_what_lies_below_a_wrapper(self) -> None:
        """TLS is one; its own handle is no socket."""
        tcp, seen = self.transport(), []

        class Inner(Protocol):
            def connectionMade(self) -> None:
                seen.append(tcp_socket(self.transport))

        WrappingFactory(Factory.forProtocol(Inner)).buildProtocol(None).makeConnection(tcp)
        self.assertEqual(seen, [tcp.socket])

    def test_the_clients_connections(self) -> None:
        """The telnet line, and the streams of a job."""
        protocols: list[Any] = [LineConnection(), JobConnection(lambda data: None, lambda why: None)]
        for protocol in protocols:
            tcp = self.transport()
            protocol.makeConnection(tcp)
            self.assertFalse(self.delays(tcp))
