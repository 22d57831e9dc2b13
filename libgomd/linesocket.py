"""
A blocking connection to the line protocol of a daemon: sends requests and returns the replies as text.

The blocking client decodes these replies into values. The `gom` command prints them unchanged, and starts
fast because this module imports little.
"""

from __future__ import annotations

import os
import socket
import time
from collections import deque
from collections.abc import Iterator, Sequence

from libgomd.endpoints import Endpoint, FoundUnix, Unix
from libgomd.errors import ConnectionLost, GomdError, MalformedReply, TimedOut, error_for
from libgomd.proof import check_request, objection
from libgomd.wire.lines import (
    BLOCK,
    BlockEnd,
    BlockLine,
    ReplyEvent,
    ReplyParser,
    Request,
    StatusLine,
    encode_request,
    is_greeting,
)

_CHUNK = 65536


def dial(endpoints: Sequence[Endpoint], timeout: float, request: Request | None = None) -> LineSocket:
    """
    Connect to the first of ``endpoints`` that has a daemon, and read its greeting. Blocks.

    :param timeout: seconds for each endpoint.
    :param request: the first request that will be sent. No connection is made to an endpoint that must not
        receive it.
    :raises ConnectionLost: no endpoint has a daemon; the text gives the reason for each.
    :raises UnprovenEndpoint: the only endpoint left must not receive ``request``.
    :raises TimedOut: the daemon does not send its greeting.
    :raises MalformedReply: another program listens there.
    :raises RequestError: the daemon accepts no more connections.
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
        # An ASCII host as bytes avoids the import of the idna codec, a tenth of the running time of `gom`.
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
    One connection, after its greeting. Every error except a refusal by the daemon closes it.

    :param connected: the socket; this object closes it. :param endpoint: its endpoint, for error messages.
    :param timeout: seconds for the greeting, and the default for each answer.
    :param tried: the endpoints tried before, each with the reason why it was rejected.
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
        self._asked_at = time.monotonic()
        try:
            greeting = self._status(timeout)
            if not is_greeting(greeting):
                raise MalformedReply(f"{endpoint} does not greet as gomd does: {greeting.text[:80]!r}")
        except BaseException:
            self.close()
            raise

    def ask(self, request: Request, timeout: float | None) -> StatusLine:
        """
        Send ``request`` and return the status line of its answer. Blocks.

        The unread rest of an earlier answer is dropped.

        :param timeout: seconds to wait; None for no timeout.
        :raises RequestError: the daemon refused. :raises NodeError: the node failed.
        :raises TimedOut: no answer in time; the connection is closed, and the request may have been executed.
        :raises ConnectionLost: the daemon went away. :raises MalformedReply: the peer is not gomd.
        :raises MalformedRequest: the request cannot be written as a line; nothing was sent.
        :raises UnprovenEndpoint: the endpoint was found by default and must not receive the request; nothing
            was sent.
        """
        check_request(request, self.endpoint, self._tried)
        line = encode_request(request)
        self._asked_at = time.monotonic()
        for _ in self.rows(timeout):
            pass
        self._check_silent()
        try:
            self._send(line, timeout)
            return self._status(timeout)
        except ConnectionLost:
            self.close()
            raise

    def rows(self, timeout: float | None) -> Iterator[str]:
        """
        Yield the lines of the block that follows the last status line, until its end. Blocks.

        :param timeout: seconds from the request to the end of the block, so that somebody who never stops
            sending takes no longer than somebody who says nothing; None for no timeout. Raises the same
            errors as `ask`.
        """
        while self._in_block:
            event = self._next(timeout)
            if isinstance(event, BlockEnd):
                self._in_block = False
            elif isinstance(event, BlockLine):
                yield event.text

    def send_raw(self, data: bytes, timeout: float | None) -> None:
        """Send bytes that are not a request, after a 202 answer. Blocks. Raises the same errors as `ask`."""
        self._send(data, timeout)

    def detach(self) -> tuple[socket.socket, bytes]:
        """Hand the socket over after a 202 answer, with the bytes received after that answer."""
        self._closed = True
        return self._socket, self._parser.rest

    def close(self) -> None:
        """Close the connection. A second call does nothing."""
        self._closed = True
        self._in_block = False
        self._events.clear()
        self._socket.close()

    def _check_silent(self) -> None:
        """
        Check that nothing has come that nobody asked for, which would be taken for the next answer.

        :raises ConnectionLost: a farewell has come, or the connection has ended.
        :raises MalformedReply: the beginning of an answer has.
        """
        if self._closed:
            return  # sending says so
        try:
            try:
                self._receive_now()
            except BlockingIOError:
                pass
            if self._events:
                said = self._events[0]
                text = said.text if isinstance(said, StatusLine) else ""
                raise ConnectionLost(f"the daemon at {self.endpoint} ended the connection ({text[:80]})")
            if self._parser.rest:
                raise MalformedReply(f"{self.endpoint} answers before it is asked")
        except GomdError:
            self.close()
            raise

    def _receive_now(self) -> None:
        """Take what is there. :raises BlockingIOError: nothing is."""
        self._socket.settimeout(0)
        try:
            data = self._socket.recv(_CHUNK)
        except BlockingIOError:
            raise
        except OSError as error:
            raise self._lost(error) from error
        if not data:
            raise ConnectionLost(f"the daemon at {self.endpoint} closed the connection")
        self._events.extend(self._parser.feed(data))

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
            # What the daemon sent before it closed the connection, perhaps a refusal, can still be read.
            if not isinstance(error, (BrokenPipeError, ConnectionResetError)):
                raise self._lost(error) from error

    def _next(self, timeout: float | None) -> ReplyEvent:
        deadline = None if timeout is None else self._asked_at + timeout
        try:
            while not self._events:
                self._receive(deadline, timeout)
        except BaseException:  # also Ctrl-C: the rest of this answer would be read as the next one
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
