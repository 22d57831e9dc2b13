"""TLS for a job's memory, with certificates of the cluster at both ends. Standard library only."""

from __future__ import annotations

import socket
import ssl
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from gomd.jobs.checkpoint.move_tls import server_context
from gomd.jobs.checkpoint.page_connection import connect
from libgomd.errors import CannotMove

if TYPE_CHECKING:
    from gomd.jobs.checkpoint.criu import TlsFiles

BROKEN: Final = "the connection to the page server broke"
_DIFFER: Final = "the page server and this node do not agree on the cluster's certificates"
#: Seconds that either end may keep the other waiting.
STALL_TIMEOUT: Final = 120.0
#: Seconds for the last words, which nothing depends on.
_BYE_TIMEOUT: Final = 2.0


class OutgoingStream:
    """
    A TLS connection to the page server of another node, over which much is sent and little comes back.

    What is sent is encrypted in memory and goes to the kernel at once, not in records of 16 kB.

    It only says the first word of TLS; call `shake_hands` before anything is sent.

    :param address: of the page server, with ``port``. Blocks while it connects.
    :param context: from `gomd.jobs.checkpoint.move_tls.client_context`.
    :raises CannotMove: it cannot be done.
    """

    def __init__(self, address: str, port: int, context: ssl.SSLContext) -> None:
        try:
            self._plain = connect(address, port, STALL_TIMEOUT)
        except OSError as error:
            raise CannotMove(f"{BROKEN} ({error.strerror or 'it does not answer'})") from error
        try:
            self._plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            self._tls = context.wrap_bio(self._incoming, self._outgoing)
            with suppress(ssl.SSLWantReadError):
                self._tls.do_handshake()
            self._flush()
        except OSError as error:
            self._plain.close()
            raise CannotMove(reason(error)) from error

    def shake_hands(self) -> None:
        """Wait until the other end has proved what it is. Blocks. :raises CannotMove: it has not."""
        try:
            self._shake_hands()
        except OSError as error:
            self._plain.close()
            raise CannotMove(reason(error)) from error

    def _shake_hands(self) -> None:
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                self._flush()
                if not self._take():
                    raise ssl.SSLEOFError(ssl.SSL_ERROR_EOF, "it was closed") from None
            else:
                self._flush()
                return

    def fileno(self) -> int:
        """Return the descriptor to poll for reading."""
        return self._plain.fileno()

    def sendall(self, data: memoryview) -> None:
        """Send all of ``data``. Blocks while the other end takes none. :raises OSError: it broke."""
        self._tls.write(data)
        self._flush()

    def send_parts(self, *parts: bytes | memoryview) -> None:
        """Send all of ``parts`` together. Blocks as `sendall` does. :raises OSError: it broke."""
        for part in parts:
            if part:
                self._tls.write(part)
        self._flush()

    def answer(self, size: int) -> bytes:
        """Return the next ``size`` bytes that come. Blocks. :raises OSError: it broke."""
        data = b""
        while len(data) < size:
            try:
                data += self._tls.read(size - len(data))
            except ssl.SSLZeroReturnError as error:
                raise ssl.SSLEOFError(ssl.SSL_ERROR_EOF, "it was closed") from error
            except ssl.SSLWantReadError:
                self._flush()
                if not self._take():
                    raise ssl.SSLEOFError(ssl.SSL_ERROR_EOF, "it was closed") from None
        return data

    def received(self) -> bytes | None:
        """
        Return some of what has come, None when nothing has, and nothing at the end.

        :raises OSError: it broke.
        """
        while True:
            try:
                return self._tls.read(4096)
            except ssl.SSLZeroReturnError:
                return b""
            except ssl.SSLWantReadError:
                self._flush()
                try:
                    self._plain.settimeout(0)
                    if not self._take():
                        return b""
                except BlockingIOError:
                    return None
                finally:
                    self._plain.settimeout(STALL_TIMEOUT)

    def close(self) -> None:
        """End it so that the other end sees that nothing is missing. Blocks briefly; no error."""
        with suppress(OSError):
            self._plain.settimeout(_BYE_TIMEOUT)
            with suppress(ssl.SSLWantReadError):  # the other end has not said goodbye yet
                self._tls.unwrap()
            self._flush()
        self._plain.close()

    def _flush(self) -> None:
        if self._outgoing.pending:
            self._plain.sendall(self._outgoing.read())

    def _take(self) -> bool:
        data = self._plain.recv(65536)
        self._incoming.write(data)
        return bool(data)


def accept(plain: socket.socket, files: TlsFiles) -> ssl.SSLSocket:
    """Begin to speak TLS with a source that has connected. Blocks. :raises CannotMove: it cannot be done."""
    try:
        context = server_context(files)
        plain.settimeout(STALL_TIMEOUT)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return context.wrap_socket(plain, server_side=True)
    except CannotMove:
        plain.close()
        raise
    except OSError as error:
        plain.close()
        raise CannotMove(reason(error)) from error


def say_goodbye(stream: ssl.SSLSocket) -> None:
    """End the stream so that the other end sees that nothing is missing. Blocks briefly; no error."""
    try:
        stream.settimeout(_BYE_TIMEOUT)
        stream.unwrap()
    except (OSError, ValueError):
        pass
    finally:
        stream.close()


def reason(error: OSError) -> str:
    """Return why a connection broke, a clause."""
    if isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLEOFError):
        return _DIFFER
    return f"{BROKEN} ({error.strerror or 'it does not answer'})"
