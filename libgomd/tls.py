"""
TLS between daemons: both sides show a certificate of the cluster's authority, nothing else is taken.

TLS 1.3 only. There are no host names here: a certificate says which node speaks, and the caller
compares that with the node he meant (`peer_node`).
"""

from __future__ import annotations

from typing import Protocol

from OpenSSL import SSL, crypto
from twisted.internet import ssl
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator, IOpenSSLServerConnectionCreator
from twisted.protocols.tls import TLSMemoryBIOProtocol
from zope.interface import implementer

from libgomd.certificates import Credentials, NotANode, node_of


class _Certified(Protocol):
    """A transport over TLS."""

    def getPeerCertificate(self) -> crypto.X509 | None: ...


@implementer(IOpenSSLClientConnectionCreator, IOpenSSLServerConnectionCreator)
class MutualTLS:
    """
    Makes the TLS of both sides; `TLSMemoryBIOFactory` and `wrapClientTLS` take it.

    In TLS 1.3 a client is done with its handshake before the server has judged its certificate: a
    client that is refused learns it at its first read, as a lost connection.

    :param credentials: what this side shows, and whom it believes.
    """

    def __init__(self, credentials: Credentials) -> None:
        options = ssl.CertificateOptions(
            privateKey=crypto.PKey.from_cryptography_key(credentials.key),
            certificate=crypto.X509.from_cryptography(credentials.certificate),
            trustRoot=ssl.trustRootFromCertificates(
                [ssl.Certificate(crypto.X509.from_cryptography(each)) for each in credentials.authorities]
            ),
            raiseMinimumTo=ssl.TLSVersion.TLSv1_3,
        )
        self._context: SSL.Context = options.getContext()

    def clientConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        """Return the connection of a side that called."""
        return SSL.Connection(self._context, None)

    def serverConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        """Return the connection of a side that was called."""
        return SSL.Connection(self._context, None)


def peer_node(transport: _Certified) -> int:
    """
    Return the id of the node at the other end. Call it when the handshake is done, not before.

    :raises NotANode: its certificate names none; drop the connection.
    """
    certificate = transport.getPeerCertificate()
    if certificate is None:
        raise NotANode("the other end has shown no certificate yet")
    return node_of(certificate.to_cryptography())
