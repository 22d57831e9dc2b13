"""
One HTTP connection and its requests: reads them within limits, and answers each once.

Requests of a connection are answered one after the other. A body is kept in memory, never in a file.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from io import BytesIO
from typing import TYPE_CHECKING, Any

from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel, Request

from gomd.web.headers import COMMON_HEADERS
from gomd.web.limits import (
    MAX_BODY_BYTES,
    MAX_HEADERS_BYTES,
    MAX_LINE_BYTES,
    REFUSAL_BYTES,
    REFUSAL_LINGER,
    REQUEST_TIMEOUT,
)
from libgomd.tcp import send_without_delay
from libgomd.wire.addresses import network_of

if TYPE_CHECKING:
    from gomd.web.site import WebSite

TEXT = "text/plain; charset=utf-8"
JSON = "application/json"
#: HTTP statuses of codes that mean something else in HTTP, or nothing: of the line's 405, and of those by
#: which a shell says that a command cannot be executed (126) or is not there (127).
_STATUS_OF = {405: 422, 126: 422, 127: 404}


class WebRequest(Request):
    """A request whose body is kept in memory, and whose path and query are taken apart by the site."""

    channel: WebChannel
    content: BytesIO
    _body = 0

    def gotLength(self, length: int | None) -> None:
        """Refuse a body that is too long before any of it has come."""
        self.content = BytesIO()
        if length is not None and length > MAX_BODY_BYTES:
            self.channel.refuse(413, f"a body has at most {MAX_BODY_BYTES} bytes")

    def handleContentChunk(self, data: bytes) -> None:
        """Keep a part of the body; refuse the request when it is too long."""
        if self.channel.is_refused:
            return
        self._body += len(data)
        if self._body > MAX_BODY_BYTES:
            self.channel.refuse(413, f"a body has at most {MAX_BODY_BYTES} bytes")
        elif not self.channel.site.admit_body(self.channel, len(data)):
            self.channel.refuse(429, "too many bodies are being received: try again later")
        else:
            self.content.write(data)

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        """Take the whole request. Nothing of it is parsed that the site does not ask for."""
        if self.channel.is_refused:
            return
        self.method, self.uri, self.clientproto = command, path, version
        self.args = {}
        self.path = path.partition(b"?")[0]
        self.client, self.host = self.channel.getPeer(), self.channel.getHost()
        self.channel.received()
        self.process()

    def process(self) -> None:
        """Have the site answer it."""
        self.channel.site.answer(self)

    def reply(
        self,
        code: int,
        text: bytes,
        media_type: str = TEXT,
        headers: Mapping[str, str] | None = None,
        keep: bool = True,
    ) -> None:
        """
        Send the whole answer.

        :param headers: more headers. :param keep: whether the connection may carry another request.
        """
        self.begin(code, media_type, headers, keep)
        self.setHeader(b"Content-Length", b"%d" % len(text))
        self.write(text)
        self.finish()

    def begin(
        self, code: int, media_type: str, headers: Mapping[str, str] | None = None, keep: bool = True
    ) -> None:
        """Set the status and the headers of the answer; `write` sends them."""
        self.setResponseCode(code)
        for name, value in COMMON_HEADERS:
            self.setHeader(name, value)
        self.setHeader(b"Content-Type", media_type.encode())
        for key, text in (headers or {}).items():
            self.setHeader(key.encode(), text.encode())
        if not keep:
            self.channel.persistent = False
            self.setHeader(b"Connection", b"close")
        if code >= 400:
            self.channel.site.refused += 1

    def reply_json(self, code: int, value: object, headers: Mapping[str, str] | None = None) -> None:
        """Answer with a JSON value."""
        self.reply(code, json.dumps(value).encode(), JSON, headers)

    def reply_error(self, code: int, text: str, headers: Mapping[str, str] | None = None) -> None:
        """Answer with an error of the line protocol: its code, and one sentence."""
        self.reply_json(status_of(code), {"code": code, "error": text}, headers)


def status_of(code: int) -> int:
    """Return the HTTP status of an error of the line protocol."""
    return _STATUS_OF.get(code, code if 400 <= code < 600 else 500)


class WebChannel(HTTPChannel):
    """
    One connection.

    :ivar busy: whether a request is being answered. :ivar known: whether its last caller has signed in.
    :ivar body: bytes of the body that is being received.
    """

    requestFactory = WebRequest
    MAX_LENGTH = MAX_LINE_BYTES
    totalHeadersSize = MAX_HEADERS_BYTES
    timeOut = None
    host = ""
    busy = known = False
    body = 0
    _timer: IDelayedCall | None = None
    is_refused = False
    _skipped = 0

    def __init__(self, site: WebSite) -> None:
        super().__init__()
        self.site = site

    def callLater(self, delay: float, function: Callable[..., object]) -> IDelayedCall:
        """Call ``function`` later on the site's clock."""
        return self.site.clock.callLater(delay, function)

    def connectionMade(self) -> None:
        """Wait for a request, at most `REQUEST_TIMEOUT`."""
        super().connectionMade()
        send_without_delay(self.transport)
        self.host = network_of(str(getattr(self.getPeer(), "host", "unix")))
        self._wait(REQUEST_TIMEOUT)
        self.site.entered(self)

    def dataReceived(self, data: bytes) -> None:
        """Take bytes; what comes after a refusal is skipped, up to a limit, and then left unread."""
        if not self.is_refused:
            super().dataReceived(data)
            return
        self._skipped += len(data)
        if self._skipped > REFUSAL_BYTES:
            transport: Any = self.transport
            transport.pauseProducing()

    def received(self) -> None:
        """The request is complete."""
        self.busy = True
        self.site.release_body(self)
        self._cancel()

    def requestDone(self, request: Request) -> None:
        """The answer was written; wait until it is read and the next request comes."""
        self.busy = False
        self._wait(REQUEST_TIMEOUT)
        super().requestDone(request)

    def refuse(self, code: int, text: str) -> None:
        """Answer a request that has not come completely, and close the connection."""
        if self.is_refused:
            return
        self.is_refused = True
        self.site.refused += 1
        self.site.release_body(self)
        body = json.dumps({"code": code, "error": text}).encode()
        head = f"HTTP/1.1 {code} Refused\r\nContent-Type: {JSON}\r\nContent-Length: {len(body)}\r\n"
        transport: Any = self.transport
        transport.write(head.encode() + b"Connection: close\r\n\r\n" + body)
        # Closing it now, with bytes unread, would make the kernel tell the client that it was reset.
        self._wait(REFUSAL_LINGER)

    def _send100Continue(self) -> None:
        """Invite the body, unless its length was refused."""
        if not self.is_refused:
            super()._send100Continue()

    def drop(self) -> None:
        """Abort the connection."""
        self.site.dropped += 1
        transport: Any = self.transport
        transport.abortConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Stop the timer, and cancel what is being answered."""
        self._cancel()
        self.site.left(self)
        super().connectionLost(reason)

    def _wait(self, seconds: float) -> None:
        self._cancel()
        self._timer = self.callLater(seconds, self.drop)

    def _cancel(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None and timer.active():
            timer.cancel()
