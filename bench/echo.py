"""The smallest Twisted daemon: a LineReceiver that sends each line back. Run it with `twistd -y`."""

from __future__ import annotations

from twisted.application.internet import StreamServerEndpointService
from twisted.application.service import Application
from twisted.internet import reactor
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.protocol import Factory
from twisted.protocols.basic import LineReceiver


class Echo(LineReceiver):
    """Sends each line back."""

    delimiter = b"\n"

    def lineReceived(self, line: bytes) -> None:
        self.sendLine(line)


application = Application("echo")
StreamServerEndpointService(
    TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1"), Factory.forProtocol(Echo)
).setServiceParent(application)
