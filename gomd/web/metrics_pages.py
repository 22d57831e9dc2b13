"""Makes the pages of `/metrics`, on a thread, one at a time. docs/http.md has the names of the metrics."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import ClassVar, Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from gomd.interfaces import ICollector, IMembership, IThreads
from gomd.web.channel import TEXT, WebRequest
from gomd.web.metrics import Snapshot, page, wants_openmetrics
from libgomd.errors import GomdError
from libgomd.model import Counter, Measure

#: Seconds that making one page may take.
PAGE_TIMEOUT: Final = 5.0


class MetricsPages:
    """
    Requests for the same format that come while a page is made get the same page.

    :param counters: returns what `stats` shows. :param measures: returns the newest measures.
    """

    _log: ClassVar[Logger] = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        threads: IThreads,
        collector: ICollector,
        members: IMembership,
        counters: Callable[[], Iterable[Counter]],
        measures: Callable[[], Sequence[Measure]] = tuple,
    ) -> None:
        self._clock = clock
        self._threads = threads
        self._collector = collector
        self._members = members
        self._counters = counters
        self._measures = measures
        self._making: dict[bool, list[WebRequest]] = {}

    def answer(self, request: WebRequest) -> None:
        """Answer with the metrics when they are made."""
        openmetrics = wants_openmetrics(request.getHeader("accept") or "")
        under_way = openmetrics in self._making
        waiting = self._making.setdefault(openmetrics, [])
        waiting.append(request)
        request.notifyFinish().addErrback(lambda _gone: self._gone(request, waiting))
        if not under_way:
            Deferred.fromCoroutine(self._make(openmetrics))

    def _gone(self, request: WebRequest, waiting: list[WebRequest]) -> None:
        if request in waiting:
            waiting.remove(request)

    async def _make(self, openmetrics: bool) -> None:
        """Make one page, and send it to all requests that wait for it. Never raises."""
        try:
            snapshot = Snapshot(
                self._clock.seconds(),
                self._collector.latest,
                self._members.nodes(),
                tuple(self._counters()),
                self._measures(),
            )
            text, media_type = await self._threads.run(PAGE_TIMEOUT, page, snapshot, openmetrics)
            code = 200
        except GomdError as error:
            code, text, media_type = 503, f"{error}\n".encode(), TEXT
        except Exception:  # noqa: BLE001 - a bug: log it, and stay up
            self._log.failure("the metrics could not be made")
            code, text, media_type = 500, b"gomd failed because of a bug: its log has the details\n", TEXT
        for request in self._making.pop(openmetrics):
            request.reply(code, text, media_type, keep=False)
