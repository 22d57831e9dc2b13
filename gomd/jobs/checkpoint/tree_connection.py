"""
Carries a stream of bytes from the source of a migration to its target, over TLS; resumes it when it breaks.

The source connects before the job is frozen, so that a firewall is found out in time. Whenever a connection
begins, the target says how many bytes it has, and the source makes the stream anew and leaves those out.
Nothing of it is in memory but a piece. Every call blocks. Standard library only: supervisors use it.
"""

from __future__ import annotations

import os
import select
import socket
import ssl
import struct
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from typing import Final

from gomd.jobs.checkpoint.criu import TlsFiles
from gomd.jobs.checkpoint.move_tls import server_context
from gomd.jobs.checkpoint.page_connection import accept, connect, speaks_tls
from libgomd.errors import CannotMove

#: Seconds that the other end may take for a handshake, for the next bytes while it has some, and to come back
#: after the connection broke.
HANDSHAKE_TIMEOUT: Final = 10.0
IDLE_TIMEOUT: Final = 30.0
RETURN_TIMEOUT: Final = 20.0
_RETRY_INTERVAL: Final = 0.2
#: Bytes of a piece on the connection.
_PIECE_BYTES: Final = 1 << 18
_POSITION: Final = struct.Struct(">Q")
_LENGTH: Final = struct.Struct(">I")
_BROKEN: Final = (OSError, EOFError)  # ssl.SSLError is an OSError


class TreeSender:
    """
    The source's end. It connects at once, and says the first word of TLS; call `shake_hands` before `send`.

    :param tls: from `gomd.jobs.checkpoint.move_tls.client_context`. :param limit: seconds for all of it.
    :raises CannotMove: the target cannot be reached.
    """

    def __init__(self, address: str, port: int, tls: ssl.SSLContext, limit: float) -> None:
        self._place = address, port
        self._context = tls
        self._end = time.monotonic() + limit
        self._connection: ssl.SSLSocket | None = None
        try:
            connection = self._connection = self._connect()
            connection.settimeout(0)
            with suppress(ssl.SSLWantReadError):
                connection.do_handshake()
        except _BROKEN as error:
            self.close()
            raise self._no_connection(error) from error

    def shake_hands(self) -> None:
        """Wait until the target has proved what it is. Blocks. :raises CannotMove: it has not."""
        assert self._connection is not None
        try:
            self._connection.settimeout(HANDSHAKE_TIMEOUT)
            self._connection.do_handshake()
        except _BROKEN as error:
            self.close()
            raise self._no_connection(error) from error

    def fileno(self) -> int:
        """Return the descriptor to poll for reading, -1 when it is closed."""
        return -1 if self._connection is None else self._connection.fileno()

    def _no_connection(self, error: Exception) -> CannotMove:
        address, port = self._place
        return CannotMove(
            f"no connection to {address} port {port} for its temporary files ({error}): is it filtered?"
        )

    def _connect(self) -> ssl.SSLSocket:
        plain = connect(*self._place, HANDSHAKE_TIMEOUT)
        try:
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            return self._context.wrap_socket(plain, do_handshake_on_connect=False)
        except BaseException:
            plain.close()
            raise

    def send(self, stream: Callable[[], Iterator[bytes]]) -> int:
        """
        Send all of a stream; return how many bytes it has.

        :param stream: makes it, the same each time. :raises CannotMove: it could not be sent, or be made.
        """
        while True:
            try:
                return self._send(stream())
            except _BROKEN as error:
                self.close()
                broken = error
            return_by = time.monotonic() + RETURN_TIMEOUT
            while self._connection is None:
                now = time.monotonic()
                if now > min(return_by, self._end):
                    raise CannotMove(f"the connection for its temporary files broke ({broken})") from broken
                try:
                    again = self._connect()
                    again.do_handshake()
                    self._connection = again
                except _BROKEN:
                    time.sleep(_RETRY_INTERVAL)

    def _send(self, pieces: Iterator[bytes]) -> int:
        connection = self._connection
        if connection is None:
            raise EOFError("it is closed")
        connection.settimeout(IDLE_TIMEOUT)
        [left_out] = _POSITION.unpack(_read(connection, _POSITION.size))
        total = 0
        for piece in pieces:
            if time.monotonic() > self._end:
                raise CannotMove("its temporary files took too long")
            total += len(piece)
            if left_out >= total:
                continue
            rest = memoryview(piece)[max(0, left_out - (total - len(piece))) :]
            for at in range(0, len(rest), _PIECE_BYTES):
                part = rest[at : at + _PIECE_BYTES]
                connection.sendall(_LENGTH.pack(len(part)) + part)
        connection.sendall(_LENGTH.pack(0))
        if _POSITION.unpack(_read(connection, _POSITION.size)) != (total,):
            raise CannotMove("the other node did not get all of its temporary files")
        self.close()
        return total

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class TreeReceiver:
    """
    The target's end: writes one stream to a file.

    :param listening: see `page_connection.listen`. :param sources: addresses from which it may come.
    :param file: open for writing, empty. :param most: bytes of it at most.
    """

    def __init__(
        self, listening: socket.socket, sources: Collection[str], files: TlsFiles, file: int, most: int
    ) -> None:
        self._listening = listening
        self._sources = sources
        self._context = server_context(files)
        self._file = file
        self._most = most
        self._have = 0
        self._connection: ssl.SSLSocket | None = None

    def receive(self, first: float, limit: float) -> int:
        """
        Take all of the stream; return how many bytes it has.

        :param first: seconds in which the source has to connect. :param limit: seconds for all of it.
        :raises CannotMove: it did not arrive completely, is too large, or cannot be written.
        """
        end = time.monotonic() + limit
        wait = first
        try:
            while time.monotonic() < end:
                self._accept(min(wait, end - time.monotonic()))
                wait = RETURN_TIMEOUT
                if self._take(end):
                    return self._have
            raise CannotMove("its temporary files took too long")
        finally:
            self.close()

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _accept(self, limit: float) -> None:
        """Wait for a connection of the source that proves it is of this cluster."""
        end = time.monotonic() + limit
        self.close()
        while self._connection is None:
            plain = accept(self._listening, self._sources, max(0.0, end - time.monotonic()), speaks_tls)
            try:
                plain.settimeout(HANDSHAKE_TIMEOUT)
                plain.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
                self._connection = self._context.wrap_socket(plain, server_side=True)
            except _BROKEN:
                plain.close()

    def _take(self, end: float) -> bool:
        """Take what comes over one connection; return whether that was all."""
        connection = self._connection
        assert connection is not None
        try:
            connection.settimeout(IDLE_TIMEOUT)
            connection.sendall(_POSITION.pack(self._have))
            while True:
                if not self._has_bytes(connection, end):
                    return False
                [length] = _LENGTH.unpack(_read(connection, _LENGTH.size))
                if length == 0:
                    connection.sendall(_POSITION.pack(self._have))
                    return True
                if length > _PIECE_BYTES:
                    return False
                data = _read(connection, length)
                if self._have + length > self._most:
                    raise CannotMove(f"its temporary files have more than {self._most >> 20} MB")
                self._write(data)
        except _BROKEN:
            return False

    def _has_bytes(self, connection: ssl.SSLSocket, end: float) -> bool:
        """
        Wait for bytes; the source has none until it has frozen the job.

        :returns: False when the source has connected anew, or all has taken too long.
        """
        if connection.pending():
            return True
        poll = select.poll()
        poll.register(connection, select.POLLIN)
        poll.register(self._listening, select.POLLIN)
        ready = {number for number, _events in poll.poll(max(0.0, end - time.monotonic()) * 1000)}
        return connection.fileno() in ready

    def _write(self, data: bytes) -> None:
        try:
            view = memoryview(data)
            while view:
                written = os.write(self._file, view)
                view = view[written:]
                self._have += written
        except OSError as error:
            raise CannotMove(f"its temporary files cannot be written: {error.strerror}") from error


def _read(connection: ssl.SSLSocket, length: int) -> bytes:
    """Read that many bytes. :raises EOFError: the connection ended."""
    data = bytearray()
    while len(data) < length:
        piece = connection.recv(length - len(data))
        if not piece:
            raise EOFError("the other end closed it")
        data += piece
    return bytes(data)


def shut_down(connection: socket.socket | None) -> None:
    """Let whoever waits at a socket go on with an error; it may be shut down already."""
    if connection is not None:
        with suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
