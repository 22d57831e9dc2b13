"""The process table of this node, scanned periodically and when a caller asks for a newer one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from gomd.interfaces import INodeSource, IThreads
from gomd.services.periodic_reads import PeriodicReads, read_one
from libgomd.errors import GomdError, SourceUnavailable
from libgomd.model import Counter, Process, ProcessTable
from libgomd.wallclock import Wall

#: Seconds that a scan of all processes may take, and the reading of one process.
SCAN_TIMEOUT = 30.0
PROCESS_TIMEOUT = 5.0


class SharedScan:
    """Shares one scan among all callers that ask while it runs."""

    def __init__(self, source: INodeSource, threads: IThreads, clock: IReactorTime, wall: Wall) -> None:
        self._source = source
        self._threads = threads
        self._clock = clock
        self._wall = wall
        self._reading: PeriodicReads[ProcessTable] = PeriodicReads("processes")
        self._scanning = False
        self._waiting: list[Deferred[None]] = []
        self._error: GomdError | None = None

    async def table(self, max_age: float) -> ProcessTable:
        """See `ICollector.processes`."""
        if not self._is_newer_than(max_age):
            turn: Deferred[None] = Deferred(self._waiting.remove)
            self._waiting.append(turn)
            if not self._scanning:
                # Nobody's own: whoever has asked may leave, and the others still get the table.
                Deferred.fromCoroutine(self.scan())
            await turn
        if self._reading.value is None:
            raise SourceUnavailable(f"no process table yet: {self._error}")
        return self._reading.value

    def _is_newer_than(self, max_age: float) -> bool:
        read_at = self._reading.read_at
        return read_at is not None and self._clock.seconds() - read_at <= max_age

    def young(self, max_age: float) -> ProcessTable | None:
        """Return the table if it is at most ``max_age`` seconds old."""
        return self._reading.value if self._is_newer_than(max_age) else None

    def slept(self, seconds: float) -> None:
        """Count the seconds for which the machine slept towards the age of the table."""
        if self._reading.read_at is not None:
            self._reading.read_at -= seconds
        if self._reading.value is not None:
            table = self._reading.value
            self._reading.value = replace(table, read_at=table.read_at - seconds)

    async def scan(self) -> ProcessTable | None:
        """Scan now and return the new table; None if that failed. Never raises."""
        now = self._clock.seconds()
        self._scanning = True
        try:
            self._error = await read_one(
                self._reading, self._threads, SCAN_TIMEOUT, now, self._read, now, self._wall()
            )
        finally:
            self._scanning = False
            waiting, self._waiting = self._waiting, []
            for turn in waiting:
                turn.callback(None)
        return self._reading.value if self._error is None else None

    def _read(self, now: float, taken_at: float) -> ProcessTable:
        """Scan, on a thread, and stamp the table with the wall-clock time."""
        return replace(self._source.processes(now), taken_at=taken_at, read_at=now)

    async def process(self, pid: int) -> Process:
        """See `ICollector.process`."""
        return await self._threads.run_apart(
            PROCESS_TIMEOUT, ("process", pid), "process", self._source.process, pid, self._clock.seconds()
        )

    def counters(self) -> Iterable[Counter]:
        """Return the outcome of the scans, and what the last good one found."""
        yield from self._reading.counters()
        if self._reading.value is not None:
            found = self._reading.value.processes
            yield Counter("processes", len(found), "processes at the last scan")
            stuck = sum(process.stuck for process in found)
            yield Counter("processes_stuck", stuck, "of them, whose files in /proc cannot be read")
