"""
TLS for streams that carry much: as Twisted's, with less work for each byte.

Twisted takes a record of 16 KiB at a time out of OpenSSL and passes it to the protocol by itself, and on the
way out hands each to the connection by itself, each through two more copies than are needed. For the output
of a job that is most of the work of a daemon. Here the protocol gets in one piece what has come in one, and
the connection what was written in one; and where much is under way, OpenSSL works in a buffer that stays.
"""

from __future__ import annotations

from typing import Any, Final

from OpenSSL import SSL
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IOpenSSLClientConnectionCreator,
    IProtocol,
    IProtocolFactory,
    IStreamClientEndpoint,
)
from twisted.protocols.policies import ProtocolWrapper
from twisted.protocols.tls import BufferingTLSTransport, TLSMemoryBIOFactory
from zope.interface import implementer

#: Bytes that are encrypted before they are handed on.
PIECE_BYTES: Final = 1 << 19
#: Bytes from which on the buffer that stays is used; before there are as many, it takes no memory.
_MUCH_BYTES: Final = 1 << 15
#: Bytes of a record, and those around what is in it: the head, the kind and the tag of TLS 1.3.
_RECORD_BYTES: Final = 1 << 14
_AROUND_RECORD_BYTES: Final = 22
#: Bytes of the buffer: a piece in records, and one record more.
_BUFFER_BYTES: Final = PIECE_BYTES + (PIECE_BYTES // _RECORD_BYTES + 1) * _AROUND_RECORD_BYTES + _RECORD_BYTES


class _OpenSSL:
    """
    Calls OpenSSL as pyOpenSSL does, but for many records at a time, with one buffer for all connections.

    pyOpenSSL makes a buffer for each record, and copies it twice. Its connection has what is needed here
    under names that are its own; where they are not there, `of` gives nothing, and pyOpenSSL is used alone.
    """

    _only: _OpenSSL | None = None

    def __init__(self) -> None:
        self._library: Any = SSL._lib  # type: ignore[attr-defined]
        self._ffi: Any = SSL._ffi  # type: ignore[attr-defined]
        self._buffer: Any = self._ffi.new("char[]", _BUFFER_BYTES)
        self._view = memoryview(self._ffi.buffer(self._buffer))

    @classmethod
    def of(cls, connection: Any) -> _OpenSSL | None:
        """Return what calls OpenSSL for a connection; None: it cannot be called for it."""
        names = ("_ssl", "_from_ssl")
        if cls._only is None and all(hasattr(SSL, name) for name in ("_lib", "_ffi")):
            cls._only = cls()
        return cls._only if all(hasattr(connection, name) for name in names) else None

    def read(self, connection: Any) -> bytes:
        """Return what can be decrypted now, up to a piece; empty: nothing, or the connection has ended."""
        read, ssl, size = self._library.SSL_read, connection._ssl, 0
        while size <= PIECE_BYTES - _RECORD_BYTES:
            count = read(ssl, self._buffer + size, _RECORD_BYTES)
            if count <= 0:
                break
            size += count
        return bytes(self._view[:size])

    def write(self, connection: Any, data: memoryview) -> int:
        """Encrypt ``data``, at most a piece; return how many bytes of it OpenSSL has taken."""
        write, ssl, size = self._library.SSL_write, connection._ssl, len(data)
        source, written = self._ffi.from_buffer(data), 0
        while written < size:
            count = write(ssl, source + written, size - written)
            if count <= 0:
                break
            written += count
        return written

    def take(self, connection: Any) -> bytes:
        """Return what is to be sent, up to the size of the buffer; empty: nothing."""
        count = self._library.BIO_read(connection._from_ssl, self._buffer, _BUFFER_BYTES)
        return bytes(self._view[: max(count, 0)])


class BulkTLS(BufferingTLSTransport):
    """The TLS of one connection. The methods that differ from Twisted's have the names of Twisted's."""

    _much = False

    def _write(self, data: bytes) -> None:
        """Encrypt ``data`` and hand it to the connection below."""
        openssl = _OpenSSL.of(self._tlsConnection) if len(data) >= _MUCH_BYTES else None
        if openssl is None or not self._handshakeDone:
            super()._write(data)
            return
        below: Any = self.transport
        left = memoryview(data)
        while left and not self._lostTLSConnection:
            written = openssl.write(self._tlsConnection, left[:PIECE_BYTES])
            # Once, but for a peer that has asked for short records.
            while encrypted := openssl.take(self._tlsConnection):
                below.write(encrypted)
            if written == 0:
                super()._write(bytes(left))  # which finds out why
                return
            left = left[written:]

    def dataReceived(self, data: bytes) -> None:
        """Decrypt ``data`` and pass it to the protocol."""
        self._much = len(data) >= _MUCH_BYTES
        super().dataReceived(data)

    def _flushReceiveBIO(self) -> None:
        """Pass what has come to the protocol, in one piece if it is much."""
        openssl = _OpenSSL.of(self._tlsConnection) if self._much else None
        self._much = False
        while openssl is not None and not self._lostTLSConnection:
            data = openssl.read(self._tlsConnection)
            if not data:
                break
            if not self._aborted:
                ProtocolWrapper.dataReceived(self, data)
        super()._flushReceiveBIO()  # which finds out why there is no more


class BulkTLSFactory(TLSMemoryBIOFactory):
    """Makes `BulkTLS`."""

    protocol = BulkTLS


@implementer(IStreamClientEndpoint)
class BulkTLSEndpoint:
    """
    Connects over TLS, as the endpoint of Twisted's `wrapClientTLS` does.

    :param creator: makes the TLS of a connection. :param below: connects.
    """

    def __init__(self, creator: IOpenSSLClientConnectionCreator, below: IStreamClientEndpoint) -> None:
        self._creator = creator
        self._below = below

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """Connect; the result is the protocol above TLS, before the handshake is done."""

        def above(tls: Any) -> IProtocol:
            return tls.wrappedProtocol  # type: ignore[no-any-return]

        connected: Deferred[Any] = self._below.connect(BulkTLSFactory(self._creator, True, protocolFactory))
        return connected.addCallback(above)
