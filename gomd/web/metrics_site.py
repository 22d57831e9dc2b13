"""The HTTP way in for monitoring: `/metrics`, read only. docs/http.md has the names of the metrics."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from io import BytesIO
from typing import Any, ClassVar, Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site

from gomd.interfaces import ICollector, IMembership, IThreads
from gomd.web.metrics import Snapshot, page, wants_openmetrics
from libgomd.errors import GomdError
from libgomd.model import Counter, Measure
from libgomd.tcp import send_without_delay

#: Largest number of connections at once. For one more the oldest is closed, so that no client can shut out
#: the others.
MAX_CONNECTIONS: Final = 64
#: Seconds that a connection may last, even if it is kept busy.
CONNECTION_LIFETIME: Final = 30.0
#: Bytes of a request's body that are skipped before the connection is dropped.
MAX_BODY_BYTES: Final = 16384
#: Seconds that making one page may take.
PAGE_TIMEOUT: Final = 5.0
_TEXT: Final = "text/plain; charset=utf-8"


class MetricsRequest(Request):
    """A request whose body is ignored."""

    channel: MetricsChannel
    site: MetricsSite
    _body = 0

    def gotLength(self, length: int | None) -> None:
        """Make no temporary file for the body, however long it is."""
        self.content = BytesIO()

    def handleContentChunk(self, data: bytes) -> None:
        """Skip a part of the body; drop the connection if the body is too long."""
        self._body += len(data)
        if self._body > MAX_BODY_BYTES:
            self.channel.drop()

    def answer(self, code: int, text: bytes, media_type: str = _TEXT) -> None:
        """Send the whole answer."""
        self.setResponseCode(code)
        self.setHeader(b"Server", b"gomd")
        self.setHeader(b"Connection", b"close")
        self.setHeader(b"Content-Type", media_type.encode())
        self.setHeader(b"Content-Length", b"%d" % len(text))
        self.setHeader(b"Cache-Control", b"no-store")
        self.setHeader(b"X-Content-Type-Options", b"nosniff")
        if code >= 400:
            self.site.refused += 1
        self.write(text)
        self.finish()


class MetricsChannel(HTTPChannel):
    """
    One connection, for one request and one answer.

    There is no pipelining, so answers cannot pile up, and no connection can be idle between requests.
    """

    timeOut = None
    factory: MetricsSite
    _end: IDelayedCall | None = None

    def connectionMade(self) -> None:
        """Start the timeout of the connection."""
        super().connectionMade()
        send_without_delay(self.transport)
        self.factory.entered(self)
        self._end = self.callLater(CONNECTION_LIFETIME, self.drop)

    def checkPersistence(self, request: Any, version: bytes) -> bool:
        """Close the connection after every answer."""
        return False

    def drop(self) -> None:
        """Abort the connection."""
        self.factory.dropped += 1
        transport: Any = self.transport
        transport.abortConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Stop the timeout."""
        self.factory.left(self)
        if self._end is not None and self._end.active():
            self._end.cancel()
        super().connectionLost(reason)


class _Page(Resource):
    """A page that can only be read, without pages below it."""

    def __init__(self, answer: Callable[[MetricsRequest], None]) -> None:
        super().__init__()
        self._answer = answer

    def render(self, request: MetricsRequest) -> int:
        """Answer GET and HEAD; refuse all other methods."""
        if request.method in (b"GET", b"HEAD"):
            self._answer(request)
        else:
            request.setHeader(b"Allow", b"GET, HEAD")
            request.answer(405, b"only GET and HEAD are possible here: use the telnet line to control gomd\n")
        return NOT_DONE_YET

    def getChild(self, path: bytes, request: MetricsRequest) -> Resource:
        """Return the page of a path that does not exist."""
        return _Page(lambda request: request.answer(404, b"no such page: the metrics are at /metrics\n"))


def _welcome(request: MetricsRequest) -> None:
    request.answer(200, b"gomd: the metrics are at /metrics\n")


class MetricsSite(Site):
    """
    The http server: the metrics at `/metrics`, and a line at `/` that points there.

    Pages are made on a thread, one at a time. Requests for the same format that come meanwhile get the same
    page.

    :param counters: returns what `stats` shows.
    :ivar dropped: connections that lasted too long, sent too much, or were closed for newer ones.
    """

    noisy = False
    protocol: Any = MetricsChannel  # no HTTP/2, which needs TLS
    _log: ClassVar[Logger] = Logger()

    def __init__(
        self,
        reactor: Any,
        threads: IThreads,
        collector: ICollector,
        members: IMembership,
        counters: Callable[[], Iterable[Counter]],
        measures: Callable[[], Sequence[Measure]] = tuple,
    ) -> None:
        root = _Page(_welcome)
        root.putChild(b"", _Page(_welcome))
        root.putChild(b"metrics", _Page(self._metrics))
        super().__init__(root, MetricsRequest, reactor=reactor, timeout=None)
        self.dropped = self.refused = 0
        self._threads = threads
        self._collector = collector
        self._measures = measures
        self._members = members
        self._counters = counters
        self._requests = 0
        self._open: dict[MetricsChannel, None] = {}
        self._making: dict[bool, list[MetricsRequest]] = {}

    def startFactory(self) -> None:
        """Do nothing: there is no access log, which would need a timer."""

    def stopFactory(self) -> None:
        """Do nothing: see `startFactory`."""

    def log(self, request: object) -> None:
        """Count a request for `stats`."""
        self._requests += 1

    def entered(self, channel: MetricsChannel) -> None:
        """Note that a connection was made."""
        self._open[channel] = None
        if len(self._open) > MAX_CONNECTIONS:
            oldest = next(iter(self._open))
            del self._open[oldest]
            oldest.drop()

    def left(self, channel: MetricsChannel) -> None:
        """Note that a connection has ended."""
        self._open.pop(channel, None)

    def _metrics(self, request: MetricsRequest) -> None:
        """Answer with the metrics when they are made."""
        openmetrics = wants_openmetrics(request.getHeader("accept") or "")
        under_way = openmetrics in self._making
        waiting = self._making.setdefault(openmetrics, [])
        waiting.append(request)
        request.notifyFinish().addErrback(lambda _gone: self._gone(request, waiting))
        if not under_way:
            Deferred.fromCoroutine(self._make(openmetrics))

    def _gone(self, request: MetricsRequest, waiting: list[MetricsRequest]) -> None:
        if request in waiting:
            waiting.remove(request)

    async def _make(self, openmetrics: bool) -> None:
        """Make one page, and send it to all requests that wait for it. Never raises."""
        try:
            snapshot = Snapshot(
                self.reactor.seconds(), self._collector.latest, self._members.nodes(),
                tuple(self._counters()), self._measures(),
            )  # fmt: skip
            text, media_type = await self._threads.run(PAGE_TIMEOUT, page, snapshot, openmetrics)
            code = 200
        except GomdError as error:
            code, text, media_type = 503, f"{error}\n".encode(), _TEXT
        except Exception:  # noqa: BLE001 - a bug: log it, and stay up
            self._log.failure("the metrics could not be made")
            code, text, media_type = 500, b"gomd failed because of a bug: its log has the details\n", _TEXT
        for request in self._making.pop(openmetrics):
            request.answer(code, text, media_type)

    def counters(self) -> Iterable[Counter]:
        """Return connections and requests."""
        yield Counter("http_connections", len(self._open), "connections over http now")
        yield Counter("http_requests", self._requests, "requests over http")
        yield Counter("http_refused", self.refused, "requests over http answered with a code of 400 or more")
        yield Counter("http_dropped", self.dropped, "connections over http that were dropped")
