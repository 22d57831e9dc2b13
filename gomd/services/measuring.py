"""Reads the measures of this node periodically, on a thread, and keeps the newest."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from gomd.interfaces import INodeSource, ISampleLog, IThreads
from gomd.services.periodic_reads import PeriodicReads, read_one
from libgomd.model import Counter, Measure
from libgomd.shared_wakeups import SharedWakeups
from libgomd.wallclock import Wall

#: Seconds that reading all measures may take. File systems that hang cost a second each, once.
READ_TIMEOUT = 20.0
WRITE_TIMEOUT = 10.0


class Measuring(Service):
    """
    Reads the measures of ``source`` every ``period`` seconds and writes them to ``history``.

    :ivar period: seconds from read to read; `set_period` changes it.
    """

    _log: ClassVar[Logger] = Logger()

    def __init__(
        self,
        source: INodeSource,
        history: ISampleLog,
        threads: IThreads,
        clock: IReactorTime,
        wall: Wall,
        period: float,
    ) -> None:
        self._source = source
        self._history = history
        self._threads = threads
        self._clock = clock
        self._wall = wall
        self.period = period
        self._reads: PeriodicReads[Sequence[Measure]] = PeriodicReads("measures")
        self._loop = LoopingCall(self._start)
        self._loop.clock = SharedWakeups(clock)

    def startService(self) -> None:
        """Read now, and periodically from now on."""
        super().startService()
        self._loop.start(self.period, now=True)

    def stopService(self) -> None:
        """Stop reading; a read under way ends on its thread."""
        super().stopService()
        if self._loop.running:
            self._loop.stop()

    def set_period(self, period: float) -> None:
        """Change the period, in seconds, from now on."""
        self.period = period
        if self._loop.running and self._loop.interval != period:
            self._loop.stop()
            self._loop.start(period, now=False)

    def latest(self) -> Sequence[Measure]:
        """Return the newest measures; nothing before the first, and none that are long out of date."""
        at = self._reads.read_at
        if at is None or self._clock.seconds() - at > max(60.0, 10 * self.period):
            return ()
        return self._reads.value or ()

    def _start(self) -> None:
        """Begin a round without waiting for it. Never raises."""
        Deferred.fromCoroutine(self.read()).addErrback(
            lambda failure: self._log.failure("reading measures failed", failure=failure)
        )

    async def read(self) -> None:
        """Read the measures, unless the last read still runs, and write them."""
        error = await read_one(
            self._reads, self._threads, READ_TIMEOUT, self._clock.seconds(), self._source.measures
        )
        if error is not None or not self._reads.value:
            return
        if self._history.blocks:
            await self._threads.run(
                WRITE_TIMEOUT, self._history.write_measures, self._reads.value, self._wall()
            )
        else:
            self._history.write_measures(self._reads.value, self._wall())

    def counters(self) -> Iterable[Counter]:
        """Return the outcome of the reads."""
        yield from self._reads.counters()
