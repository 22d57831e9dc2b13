"""The daemon's connection to a supervisor, and the socket at which a later daemon connects."""

from __future__ import annotations

import os
import select
import socket
from collections.abc import Callable
from contextlib import suppress

from gomd.jobs.supervisor.job_directory import SOCKET
from libgomd.errors import MalformedReply
from libgomd.wire import frames

#: Seconds a last word to the daemon may take.
LAST_WORD_TIMEOUT = 30.0
#: Bytes that may wait here for the daemon to read; more output stays in its store.
MAX_OUTGOING_BYTES = 524288
#: Parts of it that one call of the kernel takes (UIO_MAXIOV).
_MAX_PARTS = 1024
#: Bytes of a part that is not copied to be joined with its neighbours.
_SMALL = 4096


class ControlSocket:
    """
    One daemon at a time is connected. A new connection takes the place of the old one.

    :param connection: the first daemon's, which does not block. :param parser: of what comes over it.
    """

    def __init__(self, connection: socket.socket, parser: frames.FrameParser) -> None:
        self._connection: socket.socket | None = connection
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, MAX_OUTGOING_BYTES)
        self._parser = parser
        self._outgoing: list[bytes | bytearray] = []
        self._waiting = 0
        self._listener: socket.socket | None = None

    @property
    def connection(self) -> socket.socket | None:
        """The daemon's connection, None while there is none."""
        return self._connection

    @property
    def listens(self) -> bool:
        """Whether a later daemon can connect."""
        return self._listener is not None

    @property
    def room(self) -> int:
        """Bytes of output that may be queued now."""
        return max(0, MAX_OUTGOING_BYTES - self._waiting)

    def listen(self) -> None:
        """Listen for later daemons at a socket in the current directory. :raises OSError: it is not made."""
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.setblocking(False)
        if os.path.lexists(SOCKET):
            os.unlink(SOCKET)
        self._listener.bind(SOCKET)
        self._listener.listen(2)

    def register(self, poll: select.poll) -> None:
        """Poll for what concerns the daemon."""
        if self._listener is not None:
            poll.register(self._listener, select.POLLIN)
        if self._connection is not None:
            poll.register(self._connection, select.POLLIN | (select.POLLOUT if self._outgoing else 0))

    def accept(self, ready: dict[int, int]) -> bool:
        """Replace the connection by a new daemon's; return whether there was one."""
        if self._listener is None or self._listener.fileno() not in ready:
            return False
        try:
            connection, _ = self._listener.accept()
        except OSError:
            return False
        self.disconnect()
        connection.setblocking(False)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, MAX_OUTGOING_BYTES)
        self._connection = connection
        self._parser = frames.FrameParser()
        return True

    def receive(self, ready: dict[int, int], take: Callable[[frames.Frame], None]) -> bool:
        """
        Give every frame that has come to ``take``.

        :returns: False when the connection has ended, or is ended here: by what cannot be read or taken.
        """
        if self._connection is None or self._connection.fileno() not in ready:
            return True
        try:
            data = self._connection.recv(frames.CHUNK)
            for frame in self._parser.feed(data):
                take(frame)
        except BlockingIOError:
            return True
        except (OSError, MalformedReply):
            data = b""
        if not data:
            self.disconnect()
        return bool(data)

    def disconnect(self) -> None:
        """Close the connection and forget what it was to be sent."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None
        self._outgoing.clear()
        self._waiting = 0

    def send(self, data: bytes) -> None:
        """Queue frames for the daemon; without a connection they are dropped."""
        if not data or self._connection is None:
            return
        self._waiting += len(data)
        last = self._outgoing[-1] if self._outgoing else b""
        if len(data) >= _SMALL:
            self._outgoing.append(data)
        elif isinstance(last, bytearray) and len(last) < frames.CHUNK:
            last += data
        else:
            self._outgoing.append(bytearray(data))

    def flush(self) -> bool:
        """Write as much as the connection takes now. :returns: False when the connection has ended."""
        while self._outgoing and self._connection is not None:
            try:
                sent = self._connection.sendmsg(self._outgoing[:_MAX_PARTS])
            except BlockingIOError:
                return True
            except OSError:
                self.disconnect()
                return False
            self._forget(sent)
        return True

    def _forget(self, sent: int) -> None:
        """Forget the first ``sent`` bytes of what waits."""
        self._waiting -= sent
        whole = 0
        for part in self._outgoing:
            if sent < len(part):
                break
            sent -= len(part)
            whole += 1
        del self._outgoing[:whole]
        if sent:
            self._outgoing[0] = self._outgoing[0][sent:]

    def send_last(self, data: bytes, timeout: float = LAST_WORD_TIMEOUT) -> None:
        """Write all that waits and ``data`` behind it. Blocks for ``timeout`` seconds at most; no error."""
        if self._connection is not None:
            self._connection.settimeout(timeout)
            with suppress(OSError):
                self._connection.sendall(b"".join((*self._outgoing, data)))
