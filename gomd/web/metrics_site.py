"""The way in for monitoring: `/metrics` over http, read only. docs/http.md has the names."""

from __future__ import annotations

from collections.abc import Callable, Iterable
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
from libgomd.model import Counter

#: Connections at once; for one more the oldest is closed, so that nobody can keep the others out.
MAX_CONNECTIONS: Final = 64
#: Seconds a connection may last in all, however busily it is kept alive.
CONNECTION_LIFETIME: Final = 30.0
#: Bytes of a request's body that are dropped unread before the connection is.
MAX_BODY_BYTES: Final = 16384
#: Seconds making one page may take.
PAGE_TIMEOUT: Final = 5.0
_TEXT: Final = "text/plain; charset=utf-8"


class MetricsRequest(Request):
    """A request whose body nobody wants: it is not kept."""

    channel: MetricsChannel
    site: MetricsSite
    _body = 0

    def gotLength(self, length: int | None) -> None:
        """Keep no file for the body, whatever its length."""
        self.content = BytesIO()

    def handleContentChunk(self, data: bytes) -> None:
        """Drop some of the body; a caller who goes on and on is dropped himself."""
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
    One connection: one request, one answer, and the end.

    So there is nothing to pipeline, hence no answers that pile up, and no idle connection to watch.
    """

    timeOut = None
    factory: MetricsSite
    _end: IDelayedCall | None = None

    def connectionMade(self) -> None:
        """Begin to count its time."""
        super().connectionMade()
        self.factory.entered(self)
        self._end = self.callLater(CONNECTION_LIFETIME, self.drop)

    def checkPersistence(self, request: Any, version: bytes) -> bool:
        """Close the connection behind every answer."""
        return False

    def drop(self) -> None:
        """End it now, whatever the other side does."""
        self.factory.dropped += 1
        transport: Any = self.transport
        transport.abortConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Stop counting."""
        self.factory.left(self)
        if self._end is not None and self._end.active():
            self._end.cancel()
        super().connectionLost(reason)


class _Page(Resource):
    """A page that can be read, and that has nothing below it."""

    def __init__(self, answer: Callable[[MetricsRequest], None]) -> None:
        super().__init__()
        self._answer = answer

    def render(self, request: MetricsRequest) -> int:
        """Answer whoever reads; whoever wants anything else is told that this is all there is."""
        if request.method in (b"GET", b"HEAD"):
            self._answer(request)
        else:
            request.setHeader(b"Allow", b"GET, HEAD")
            request.answer(405, b"only GET and HEAD: gomd is told what to do over its telnet line\n")
        return NOT_DONE_YET

    def getChild(self, path: bytes, request: MetricsRequest) -> Resource:
        """Return the page of any path that is not there."""
        return _Page(lambda request: request.answer(404, b"no such page: the metrics are at /metrics\n"))


def _welcome(request: MetricsRequest) -> None:
    request.answer(200, b"gomd: the metrics are at /metrics\n")


class MetricsSite(Site):
    """
    The http server: `/metrics`, and a line at `/` that says so.

    A page is made on a thread, one at a time: whoever asks meanwhile in the same format gets that one too.

    :param counters: what `stats` says.
    :ivar dropped: connections that lasted too long, said too much, or had to make place for others.
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
    ) -> None:
        root = _Page(_welcome)
        root.putChild(b"", _Page(_welcome))
        root.putChild(b"metrics", _Page(self._metrics))
        super().__init__(root, MetricsRequest, reactor=reactor, timeout=None)
        self.dropped = self.refused = 0
        self._threads = threads
        self._collector = collector
        self._members = members
        self._counters = counters
        self._requests = 0
        self._open: dict[MetricsChannel, None] = {}
        self._making: dict[bool, list[MetricsRequest]] = {}

    def startFactory(self) -> None:
        """Nothing: there is no access log, hence no clock that ticks for it."""

    def stopFactory(self) -> None:
        """Nothing either."""

    def log(self, request: object) -> None:
        """Count a request; `stats` says how many."""
        self._requests += 1

    def entered(self, channel: MetricsChannel) -> None:
        """Count a connection in."""
        self._open[channel] = None
        if len(self._open) > MAX_CONNECTIONS:
            oldest = next(iter(self._open))
            del self._open[oldest]
            oldest.drop()

    def left(self, channel: MetricsChannel) -> None:
        """Count a connection out."""
        self._open.pop(channel, None)

    def _metrics(self, request: MetricsRequest) -> None:
        """Answer with the metrics, once they are made."""
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
        """Make one page, and give it to all who wait for it. Never raises."""
        try:
            snapshot = Snapshot(
                self.reactor.seconds(), self._collector.latest, self._members.nodes(), tuple(self._counters())
            )
            text, media_type = await self._threads.run(PAGE_TIMEOUT, page, snapshot, openmetrics)
            code = 200
        except GomdError as error:
            code, text, media_type = 503, f"{error}\n".encode(), _TEXT
        except Exception:  # noqa: BLE001 - a bug: say so loudly, and stay up
            self._log.failure("the metrics could not be made")
            code, text, media_type = 500, b"a bug of gomd: its log has the details\n", _TEXT
        for request in self._making.pop(openmetrics):
            request.answer(code, text, media_type)

    def counters(self) -> Iterable[Counter]:
        """Connections and requests."""
        yield Counter("http_connections", len(self._open), "connections over http now")
        yield Counter("http_requests", self._requests, "requests over http")
        yield Counter("http_refused", self.refused, "requests over http answered with a code of 400 or more")
        yield Counter("http_dropped", self.dropped, "connections over http that were dropped")
