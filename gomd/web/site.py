"""The HTTP server: its connections, and which part answers which path."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.internet.protocol import Factory

from gomd.interfaces import ICollector, IMembership, IThreads
from gomd.verbs.dispatch import Dispatch
from gomd.web.access import METRICS, READ, Access, AccessRules, Misdirected
from gomd.web.api import PREFIX, Api
from gomd.web.channel import TEXT, WebChannel, WebRequest
from gomd.web.connections import Connections
from gomd.web.limits import MAX_BODIES_BYTES
from gomd.web.metrics_pages import MetricsPages
from gomd.web.pages import Pages
from gomd.web.sessions import Sessions
from libgomd.errors import GomdError, NotAllowed, RequestError
from libgomd.model import Caller, Counter, Measure, Role

_METRICS = b"/metrics"
#: Below this path errors are JSON, also those of a path that is not the API's.
_API = b"/api"


class WebSite(Factory):
    """
    The page at `/`, the API below `/api/v1/`, the metrics at `/metrics`.

    :param rules: who may do what here. :param counters: returns what `stats` shows.
    :param measures: returns the newest measures of this node.
    :ivar dropped: connections that were too slow, or were closed for newer ones.
    """

    noisy = False

    def __init__(
        self,
        reactor: IReactorTime,
        threads: IThreads,
        collector: ICollector,
        members: IMembership,
        counters: Callable[[], Iterable[Counter]],
        dispatch: Dispatch,
        rules: AccessRules,
        measures: Callable[[], Sequence[Measure]] = tuple,
    ) -> None:
        self.clock = reactor
        self.dropped = self.refused = 0
        self.sessions = Sessions(reactor)
        self.access = Access(rules, dispatch.parts.tokens, self.sessions, reactor)
        self._api = Api(dispatch, self.access, threads, reactor)
        self._metrics = MetricsPages(reactor, threads, collector, members, counters, measures)
        self._pages = Pages()
        self._requests = 0
        self._connections = Connections()
        self._bodies = 0

    # -- connections

    def buildProtocol(self, addr: IAddress | None) -> WebChannel:
        """Return the protocol of a connection."""
        channel = WebChannel(self)
        channel.factory = self
        return channel

    def entered(self, channel: WebChannel) -> None:
        """Note that a connection was made."""
        self._connections.add(channel)

    def left(self, channel: WebChannel) -> None:
        """Note that a connection has ended."""
        self.release_body(channel)
        self._connections.remove(channel)

    def close_all(self) -> None:
        """End every connection: the daemon stops."""
        for each in tuple(self._connections):
            each.drop()

    def admit_body(self, channel: WebChannel, size: int) -> bool:
        """Count ``size`` bytes of a body that is being received; False when there are too many of all."""
        if self._bodies + size > MAX_BODIES_BYTES:
            return False
        self._bodies += size
        channel.body += size
        return True

    def release_body(self, channel: WebChannel) -> None:
        """Forget the body of ``channel``: it is complete, or will not be."""
        self._bodies -= channel.body
        channel.body = 0

    def log(self, request: object) -> None:
        """Count a request for `stats`; there is no access log."""
        self._requests += 1

    # -- requests

    def answer(self, request: WebRequest) -> None:
        """Answer one request."""
        is_api = request.path == _API or request.path.startswith(_API + b"/")
        try:
            self.access.check_host(request)
            self.access.check_origin(request, is_api)
        except Misdirected:
            text = "this daemon is not known by that name: use its name or address, or add it to [http] hosts"
            self._refuse(request, 421, text, is_api)
            return
        except NotAllowed as error:
            self._refuse(request, error.code, error.text, is_api)
            return
        if request.path == _METRICS:
            self._answer_metrics(request)
        elif not self.access.rules.signs_in:
            text = (
                "only /metrics is here, where everything would travel in clear text: set [http] tls = yes, "
                "or use a loopback address"
            )
            self._refuse(request, 403, text, is_api)
        elif request.path.startswith(PREFIX):
            self._api.answer(request)
        elif is_api:
            self._refuse(request, 404, "the API is below /api/v1/: /api/v1/help lists the verbs", is_api)
        else:
            self._pages.answer(request)

    def _answer_metrics(self, request: WebRequest) -> None:
        if request.method not in (b"GET", b"HEAD"):
            request.setHeader(b"Allow", b"GET, HEAD")
            request.reply(405, b"only GET and HEAD are possible here\n", keep=False)
        elif self.access.rules.anonymous in (READ, METRICS):
            self._metrics.answer(request)
        else:
            task = Deferred.fromCoroutine(self._metrics_for_known(request))
            request.notifyFinish().addErrback(lambda _gone: task.cancel())

    async def _metrics_for_known(self, request: WebRequest) -> None:
        """Answer with the metrics if the caller may read. Never raises."""
        try:
            caller: Caller = await self.access.caller(request)
        except GomdError as error:
            code = error.code if isinstance(error, RequestError) else 500
            request.reply(code, f"{error}\n".encode(), TEXT, keep=False)
            return
        if caller.role < Role.READ:
            text = b"the metrics are for callers with a token: Authorization: Bearer TOKEN\n"
            request.reply(401, text, TEXT, {"WWW-Authenticate": 'Bearer realm="gomd"'}, keep=False)
            return
        self._metrics.answer(request)

    def _refuse(self, request: WebRequest, code: int, text: str, is_api: bool) -> None:
        if is_api:
            request.reply_error(code, text)
        else:
            request.reply(code, f"{text}\n".encode(), TEXT)

    def counters(self) -> Iterable[Counter]:
        """Return connections and requests."""
        yield Counter("http_connections", len(self._connections), "connections over http now")
        yield Counter("http_streams", self._api.streams, "event streams over http now")
        yield Counter("http_sessions", len(self.sessions), "sessions of browsers now")
        yield Counter("http_requests", self._requests, "requests over http")
        yield Counter("http_refused", self.refused, "requests over http answered with a code of 400 or more")
        yield Counter("http_dropped", self.dropped, "connections over http that were dropped")
