"""
TLS over Twisted that carries much at a time: a record of 16 KiB is far too little to be handled in Python.

Twisted encrypts, and OpenSSL decrypts, one record at a time. The streams of jobs carry hundreds of megabytes
a second, and so both are done here for as much as there is.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Final

from OpenSSL import SSL
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol

#: Bytes of one record at most.
RECORD_BYTES: Final = 1 << 14
#: Bytes that are decrypted, or taken as encrypted, at a time.
BATCH_BYTES: Final = 1 << 18


class WideConnection(SSL.Connection):
    """A connection in memory whose `recv` returns what has come of several records."""

    def recv(self, bufsiz: int, flags: int | None = None) -> bytes:
        """See `SSL.Connection.recv`; returns up to `BATCH_BYTES` where ``bufsiz`` is a record or more."""
        first: bytes = super().recv(bufsiz, flags)
        if len(first) < RECORD_BYTES or bufsiz < RECORD_BYTES:
            return first
        pieces, size = [first], len(first)
        with suppress(SSL.Error):  # nothing more has come; an end, or a failure, is told the next time too
            while size < BATCH_BYTES:
                piece = super().recv(bufsiz, flags)
                pieces.append(piece)
                size += len(piece)
        return b"".join(pieces)


class _WideWriting(TLSMemoryBIOProtocol):
    """Encrypts all that is written at once in one call."""

    def write(self, data: bytes) -> None:
        """See `TLSMemoryBIOProtocol.write`."""
        at = 0
        if len(data) > RECORD_BYTES and not self.disconnecting and self.transport is not None:
            connection: Any = self.getHandle()
            with suppress(SSL.Error):  # before the handshake, and after the end
                while at < len(data):
                    at += connection.send(data[at : at + RECORD_BYTES])
            if at:
                with suppress(SSL.WantReadError):
                    while True:
                        self.transport.write(connection.bio_read(BATCH_BYTES))
        if at < len(data):
            super().write(data[at:])


def widen(factory: TLSMemoryBIOFactory) -> TLSMemoryBIOFactory:
    """Let the connections of ``factory`` write much at a time; return it."""
    made: Any = factory.protocol
    # Later versions of Twisted have a class above it that collects small writes; that one stays above.
    kinds = (_WideWriting,) if made is TLSMemoryBIOProtocol else (made, _WideWriting)
    factory.protocol = type("WideTLS", kinds, {})
    return factory
