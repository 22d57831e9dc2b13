"""The smallest Twisted daemon for datagrams: it sends each one back. Run it with `twistd -y`."""

from __future__ import annotations

from typing import Any

from twisted.application.internet import UDPServer
from twisted.application.service import Application
from twisted.internet.protocol import DatagramProtocol


class DatagramEcho(DatagramProtocol):
    """Sends each datagram back."""

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        assert self.transport is not None
        self.transport.write(datagram, addr)


application = Application("udpecho")
UDPServer(0, DatagramEcho(), interface="127.0.0.1").setServiceParent(application)
