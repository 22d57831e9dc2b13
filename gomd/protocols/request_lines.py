"""From the bytes of one telnet connection to its request lines: options, long lines, foreign protocols."""

from __future__ import annotations

from typing import Any

from twisted.protocols.basic import LineReceiver

from gomd.jobs.lifecycle.frame_stream import FrameStream
from gomd.protocols.flow import FlowControl
from libgomd.errors import LineTooLong, RequestError
from libgomd.wire.foreign import LongLine, foreign_line, foreign_start
from libgomd.wire.telnet import IAC, OptionFilter


class RequestLines(LineReceiver):
    """
    Splits what a client sends into request lines, until the connection carries frames.

    A subclass takes each line in `_enqueue`, and in `_hang_up` it ends a connection that speaks another
    protocol.

    :param max_line: bytes of one line, without the CR and LF at its end.
    """

    #: Whether lines of other protocols are recognised, and end the connection.
    detects_foreign_protocols = True
    delimiter = b"\n"
    transport: Any
    _out: FlowControl

    def __init__(self, max_line: int) -> None:
        self.MAX_LENGTH = max_line + 1  # the CR before the LF does not count
        self._max_line = max_line
        self._options = OptionFilter()
        self._half_line = False
        self._rest = b""
        self._long_line: LongLine | None = None
        self._closing = False
        self._frames: FrameStream | None = None

    def _enqueue(self, line: bytes | RequestError) -> None:
        """Take one line, or the error that answers it."""
        raise NotImplementedError

    def _hang_up(self, protocol: str) -> None:
        """End the connection, because the client speaks ``protocol``."""
        raise NotImplementedError

    def dataReceived(self, data: bytes) -> None:
        """Take bytes from the client. The replies to all requests in them are sent in one write."""
        if self._frames is not None:
            self._frames.dataReceived(data)
            return
        if self._closing:
            return
        self._out.gather()
        try:
            if IAC in data or self._options.inside:
                data = self._options.feed(data)
            if data:
                self._half_line = not data.endswith(b"\n")
            super().dataReceived(data)
            while self._rest:  # LineReceiver stops behind a line that was too long
                rest, self._rest = self._rest, b""
                super().dataReceived(rest)
            if self._half_line and self.line_mode and (protocol := foreign_start(self._buffer)):
                self._hang_up(protocol)
        finally:
            self._out.flush()

    def lineReceived(self, line: bytes) -> None:
        """Take one request."""
        line = line[:-1] if line.endswith(b"\r") else line
        if self.detects_foreign_protocols and (protocol := foreign_line(line)):
            self._hang_up(protocol)
        elif len(line) > self._max_line:  # by the one byte that a CR would have been
            self._enqueue(self._too_long())
        else:
            self._enqueue(line)

    def _too_long(self) -> LineTooLong:
        return LineTooLong(f"the line is longer than {self._max_line} bytes: shorten it")

    def lineLengthExceeded(self, line: bytes) -> None:
        """Answer a line that is too long with one 413, and continue behind its end."""
        start, end, rest = line.partition(b"\n")
        self._long_line = LongLine(start)
        if protocol := foreign_line(self._long_line.ends):
            self._hang_up(protocol)
            return
        self._enqueue(self._too_long())
        if end:
            self._rest = rest
        else:
            self.line_mode = 0

    def rawDataReceived(self, data: bytes) -> None:
        """Skip the rest of a line that is too long; pass on what follows a request for frames."""
        if self._frames is not None:
            self._frames.dataReceived(data)
            return
        skipped, end, rest = data.partition(b"\n")
        assert self._long_line is not None
        self._long_line.feed(skipped)
        if not end:
            return
        self.line_mode = 1
        if protocol := foreign_line(self._long_line.ends):  # the end of the first line of HTTP shows only now
            self._hang_up(protocol)
        else:
            self._rest = rest
