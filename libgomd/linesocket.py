"""
A connection to a daemon's line for a program that waits: bytes on a socket, replies out.

The blocking client makes values of what comes from here; the `gom` command passes it on as it is, and
starts fast because this module imports little.
"""

from __future__ import annotations

import os
import socket
import time
from collections import deque
from collections.abc import Iterator, Sequence

from libgomd.endpoints import Endpoint, FoundUnix, Unix
from libgomd.errors import ConnectionLost, MalformedReply, TimedOut, error_for
from libgomd.proof import check_request, objection
from libgomd.wire.lines import (
    BLOCK,
    GREETING,
    BlockEnd,
    BlockLine,
    ReplyEvent,
    ReplyParser,
    Request,
    StatusLine,
    encode_request,
)

_CHUNK = 65536


def dial(endpoints: Sequence[Endpoint], timeout: float, request: Request | None = None) -> LineSocket:
    """
    Connect to the first of ``endpoints`` that has a daemon, and take its greeting. Blocks.

    :param timeout: seconds for each of them.
    :param request: the first one that will be sent: where it may not be, no connection is made.
    :raises ConnectionLost: none has one; says for each why.
    :raises UnprovenEndpoint: none but one that ``request`` may not be sent to.
    :raises TimedOut: the daemon that is there does not greet.
    :raises MalformedReply: something else listens there.
    :raises RequestError: the daemon takes no more connections.
    """
    failures: list[str] = []
    for endpoint in endpoints:
        if request is not None:
            check_request(request, endpoint, failures)
        try:
            connected = _connect(endpoint, timeout)
        except OSError as error:
            failures.append(f"{endpoint} ({error.strerror or error})")
            continue
        if isinstance(endpoint, FoundUnix) and (why := objection(connected, endpoint.path, os.getuid())):
            connected.close()
            failures.append(f"{endpoint} ({why})")
            continue
        return LineSocket(connected, endpoint, timeout, failures)
    raise ConnectionLost(f"no daemon at {', '.join(failures)}: is gomd running?")


def _connect(endpoint: Endpoint, timeout: float) -> socket.socket:
    if not isinstance(endpoint, Unix):
        # Bytes, where they will do, spare the import of the idna codec, a tenth of the time `gom` takes.
        host = endpoint.host.encode() if endpoint.host.isascii() else endpoint.host
        connected = socket.create_connection((host, endpoint.port), timeout)  # type: ignore[arg-type]
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connected
    connected = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connected.settimeout(timeout)
        connected.connect(endpoint.path)
    except BaseException:
        connected.close()
        raise
    return connected


class LineSocket:
    """
    One connection, past its greeting. Any error but a daemon's refusal closes it.

    :param connected: the socket, which it closes. :param endpoint: named in errors.
    :param timeout: seconds for the greeting, and for each answer unless it says otherwise.
    :param tried: the endpoints before it, each with why it does not count.
    """

    def __init__(
        self, connected: socket.socket, endpoint: Endpoint, timeout: float, tried: Sequence[str] = ()
    ) -> None:
        self.endpoint = endpoint
        self.timeout = timeout
        self._tried = tried
        self._socket = connected
        self._parser = ReplyParser()
        self._events: deque[ReplyEvent] = deque()
        self._closed = False
        self._in_block = False
        try:
            greeting = self._status(timeout)
            if greeting.code != GREETING:
                raise MalformedReply(f"{endpoint} does not greet as gomd does: {greeting.text[:80]!r}")
        except BaseException:
            self.close()
            raise

    def ask(self, request: Request, timeout: float | None) -> StatusLine:
        """
        Send ``request`` and return the status line of its answer; what is left of an older one is dropped.

        :param timeout: seconds to wait, None for as long as it takes.
        :raises RequestError: the daemon refused. :raises NodeError: the node failed.
        :raises TimedOut: no answer in time; the connection is closed, the request may have been done.
        :raises ConnectionLost: the daemon went away. :raises MalformedReply: it is no gomd.
        :raises MalformedRequest: the request cannot be written as a line; nothing was sent.
        :raises UnprovenEndpoint: it is not sent to an endpoint that was found by default; nothing was sent.
        """
        check_request(request, self.endpoint, self._tried)
        line = encode_request(request)
        for _ in self.rows(timeout):
            pass
        try:
            self._send(line, timeout)
            return self._status(timeout)
        except ConnectionLost:
            self.close()
            raise

    def rows(self, timeout: float | None) -> Iterator[str]:
        """
        Yield the lines of the block that follows the last status line, until its end. Blocks.

        :param timeout: seconds to wait for the next line. Errors as in `ask`.
        """
        while self._in_block:
            event = self._next(timeout)
            if isinstance(event, BlockEnd):
                self._in_block = False
            elif isinstance(event, BlockLine):
                yield event.text

    def send_raw(self, data: bytes, timeout: float | None) -> None:
        """Send bytes that are no request, after an answer of 202. Errors as in `ask`."""
        self._send(data, timeout)

    def detach(self) -> tuple[socket.socket, bytes]:
        """Return the socket, the caller's from now on, after an answer of 202; and what came behind that."""
        self._closed = True
        return self._socket, self._parser.rest

    def close(self) -> None:
        """Close the connection; a second time does nothing."""
        self._closed = True
        self._in_block = False
        self._events.clear()
        self._socket.close()

    def _status(self, timeout: float | None) -> StatusLine:
        event = self._next(timeout)
        assert isinstance(event, StatusLine)  # the parser gives nothing else outside of a block
        if event.code >= 400:
            raise error_for(event.code, event.text)
        self._in_block = event.code == BLOCK
        return event

    def _send(self, line: bytes, timeout: float | None) -> None:
        if self._closed:
            raise ConnectionLost(f"this connection to {self.endpoint} is closed")
        try:
            self._socket.settimeout(timeout)
            self._socket.sendall(line)
        except TimeoutError as error:
            self.close()
            raise TimedOut(f"{self.endpoint} does not take requests") from error
        except OSError as error:
            # What it said before it closed, a refusal perhaps, is still there to be read.
            if not isinstance(error, (BrokenPipeError, ConnectionResetError)):
                raise self._lost(error) from error

    def _next(self, timeout: float | None) -> ReplyEvent:
        deadline = None if timeout is None else time.monotonic() + timeout
        try:
            while not self._events:
                self._receive(deadline, timeout)
        except BaseException:  # Ctrl-C too: the rest of this answer would be taken for the next one
            self.close()
            raise
        return self._events.popleft()

    def _receive(self, deadline: float | None, timeout: float | None) -> None:
        if self._closed:
            raise ConnectionLost(f"this connection to {self.endpoint} is closed")
        left = None if deadline is None else deadline - time.monotonic()
        try:
            if left is not None and left <= 0:
                raise TimeoutError
            self._socket.settimeout(left)
            data = self._socket.recv(_CHUNK)
        except TimeoutError as error:
            raise TimedOut(f"no answer from {self.endpoint} within {timeout:g} seconds") from error
        except OSError as error:
            raise self._lost(error) from error
        if not data:
            raise ConnectionLost(f"the daemon at {self.endpoint} closed the connection")
        self._events.extend(self._parser.feed(data))

    def _lost(self, error: OSError) -> ConnectionLost:
        return ConnectionLost(f"the connection to {self.endpoint} broke: {error.strerror or error}")
