"""
Mutual TLS between daemons: both sides must present a certificate of the cluster's authority.

Only TLS 1.3 is used. Host names play no role: a certificate identifies a node, and the caller compares it
with the node that it wanted to reach (`peer_node`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from OpenSSL import SSL, crypto
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator, IOpenSSLServerConnectionCreator
from twisted.protocols.tls import TLSMemoryBIOProtocol
from zope.interface import implementer

from libgomd.certificates import Credentials, NotANode, node_of

#: X509_V_FLAG_NO_CHECK_TIME of OpenSSL.
_NO_CHECK_TIME: Final = 0x200000


class _Certified(Protocol):
    """A transport over TLS."""

    def getPeerCertificate(self) -> crypto.X509 | None: ...


@implementer(IOpenSSLClientConnectionCreator, IOpenSSLServerConnectionCreator)
class MutualTLS:
    """
    Makes TLS connections of both sides, for `TLSMemoryBIOFactory` and `wrapClientTLS`.

    In TLS 1.3, a client completes its handshake before the server has checked its certificate. A client that
    is refused notices that at its first read, as a lost connection.

    :param credentials: the certificate to present and the authorities to trust, or a function that makes
        them at first use, which saves a megabyte in a program without connections.
    """

    def __init__(self, credentials: Credentials | Callable[[], Credentials]) -> None:
        self.use(credentials)

    def use(self, credentials: Credentials | Callable[[], Credentials]) -> None:
        """Use ``credentials`` from the next connection on."""
        self._credentials = credentials
        self._made: SSL.Context | None = None

    def _known(self) -> Credentials:
        if not isinstance(self._credentials, Credentials):
            self._credentials = self._credentials()
        return self._credentials

    @property
    def _context(self) -> SSL.Context:
        if self._made is None:
            self._made = _context_of(self._known())
        return self._made

    def still_believes(self, transport: _Certified) -> bool:
        """Return whether the certificate of the peer of an open connection would still be accepted."""
        certificate = transport.getPeerCertificate()
        if certificate is None:
            return False
        issuer = certificate.to_cryptography().issuer  # the key id is in its name
        return any(issuer == each.subject for each in self._known().authorities)

    def clientConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        """Return the client side of a connection."""
        return SSL.Connection(self._context, None)

    def serverConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        """Return the server side of a connection."""
        return SSL.Connection(self._context, None)


def _context_of(credentials: Credentials) -> SSL.Context:
    context = SSL.Context(SSL.TLS_METHOD)
    context.set_min_proto_version(SSL.TLS1_3_VERSION)
    # A resumed session would skip the certificates, so none is ever resumed.
    context.set_options(SSL.OP_NO_TICKET | SSL.OP_NO_COMPRESSION)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.use_certificate(credentials.certificate)
    context.use_privatekey(credentials.key)
    context.check_privatekey()
    store = context.get_cert_store()
    assert store is not None  # a new context has one
    for each in credentials.authorities:
        store.add_cert(crypto.X509.from_cryptography(each))
    # Certificates do not expire, and a machine without a hardware clock starts in 1970.
    store.set_flags(_NO_CHECK_TIME)
    context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT)
    context.set_verify_depth(1)
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)
    return context


def peer_node(transport: _Certified) -> int:
    """
    Return the id of the node at the other end. Call it after the handshake, not before.

    :raises NotANode: its certificate names no node; drop the connection.
    """
    certificate = transport.getPeerCertificate()
    if certificate is None:
        raise NotANode("the other end has not presented a certificate yet")
    return node_of(certificate.to_cryptography())
