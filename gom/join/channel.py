"""A connection that carries messages as lines, each before a deadline and bounded."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Mapping
from typing import Any

from gom.join.protocol import MAX_MESSAGE, line_of, message_of
from libgomd.errors import ConnectionLost, MalformedReply, TimedOut
from libgomd.wire.addresses import unmapped, without_zone


class Channel:
    """
    One connection. :param connected: this object closes it. :param limit: seconds for all of it.

    :ivar here: the address of this end as the kernel knows it; ``there``: that of the other one.
    """

    def __init__(self, connected: socket.socket, limit: float) -> None:
        self._socket = connected
        self._deadline = time.monotonic() + limit
        self._rest = b""
        self.has_heard = False
        # Zones are names of this machine's own, and mean nothing to the other end.
        self.here, self.there = (
            without_zone(unmapped(str(place[0])))
            for place in (connected.getsockname(), connected.getpeername())
        )

    def extend(self, seconds: float) -> None:
        """Begin a new deadline."""
        self._deadline = time.monotonic() + seconds

    def send(self, message: Mapping[str, Any]) -> bytes:
        """Send a message; return its line. :raises ConnectionLost: the other end is gone."""
        line = line_of(message)
        try:
            self._socket.settimeout(max(0.001, self._deadline - time.monotonic()))
            self._socket.sendall(line)
        except OSError as error:
            raise ConnectionLost(f"the other end is gone: {error.strerror or error}") from error
        return line

    def receive(self) -> tuple[dict[str, Any], bytes]:
        """
        Return a message, and its line. Blocks.

        :raises TimedOut: none came in time. :raises ConnectionLost: the other end is gone.
        :raises MalformedReply: it is none. :raises RequestError: it is the other end's error.
        """
        while b"\n" not in self._rest:
            if len(self._rest) > MAX_MESSAGE:
                raise MalformedReply("the other end does not speak gomd's way of joining")
            left = self._deadline - time.monotonic()
            if left <= 0:
                raise TimedOut("the other end did not answer in time")
            try:
                self._socket.settimeout(left)
                data = self._socket.recv(MAX_MESSAGE)
            except TimeoutError as error:
                raise TimedOut("the other end did not answer in time") from error
            except OSError as error:
                raise ConnectionLost(f"the other end is gone: {error.strerror or error}") from error
            if not data:
                raise ConnectionLost("the other end has hung up")
            self.has_heard = True
            self._rest += data
        line, _, self._rest = self._rest.partition(b"\n")
        return message_of(line), line + b"\n"

    def refuse(self, sentence: str) -> None:
        """Send an error, if the other end is still there, and close."""
        with contextlib.suppress(ConnectionLost):
            self.send({"error": sentence})
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()
