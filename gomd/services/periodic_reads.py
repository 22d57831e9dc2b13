"""Reads things periodically on threads: each one at most once at a time, keeping its last good value."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from threading import Lock
from typing import Any, ClassVar, Generic, TypeVar

from twisted.internet.defer import CancelledError
from twisted.logger import Logger

from gomd.interfaces import IThreads
from libgomd.errors import GomdError, TooMany
from libgomd.model import Counter

R = TypeVar("R")


class PeriodicReads(Generic[R]):
    """
    The last good value of one thing, and the outcome of its reads.

    :param name: for the log and the counters.
    :ivar value: the last good value; None before the first. :ivar read_at: when it was read.
    :ivar busy: whether a read of it is under way.
    """

    _log: ClassVar[Logger] = Logger()

    def __init__(self, name: str) -> None:
        self.name = name
        self.value: R | None = None
        self.read_at: float | None = None
        self.busy = False
        self._good = 0
        self._failed = 0
        self._skipped = 0
        self._trouble = ""

    def skip(self) -> GomdError:
        """Count a round that is left out because the last read still runs."""
        self._skipped += 1
        return GomdError(f"the last read of {self.name} still runs")

    def succeed(self, value: R, now: float) -> None:
        """Keep a good value."""
        self._good += 1
        self.value, self.read_at = value, now
        if self._trouble:
            self._trouble = ""
            self._log.info("{name} can be read again", name=self.name)

    def fail(self, error: Exception) -> GomdError:
        """Keep the old value; log the error once, until it changes."""
        self._failed += 1
        if not isinstance(error, GomdError):  # a bug: log it, and stay up
            self._log.error("reading {name} failed: {error!r}", name=self.name, error=error)
            error = GomdError(f"reading {self.name} failed: {error!r}")
        if str(error) != self._trouble:
            self._trouble = str(error)
            self._log.warn("{name} keeps its old value: {error}", name=self.name, error=error)
        return error

    def counters(self) -> Iterable[Counter]:
        """Return good, failed and skipped reads, and the current error."""
        yield Counter(f"{self.name}_reads", self._good, f"good reads of {self.name}")
        yield Counter(f"{self.name}_failures", self._failed, self._trouble or f"failed reads of {self.name}")
        yield Counter(f"{self.name}_skipped", self._skipped, "rounds left out because a read still ran")


#: One thing and the function that reads it. The outcome of a read: its value or its error.
Job = tuple[PeriodicReads[Any], Callable[[], Any]]
Outcome = tuple[PeriodicReads[Any], Any, Exception | None]


class _Round:
    """Several reads, one after the other on one thread; one thread each would cost more than the reads."""

    def __init__(self, jobs: Sequence[Job]) -> None:
        self._jobs = jobs
        self._lock = Lock()
        self._outcomes: list[Outcome] = []
        self._under_way: PeriodicReads[Any] | None = None
        self._begun = False
        self._given_up = False

    def run(self) -> None:
        """Do the reads, on a thread. The reactor may give them up meanwhile."""
        with self._lock:
            if self._given_up:  # before a thread was free
                self.release()
                return
            self._begun = True
        for reading, function in self._jobs:
            if not self._begin(reading):
                return
            value, failure = None, None
            try:
                value = function()
            except Exception as error:  # noqa: BLE001 - passed on as the outcome
                failure = error
            with self._lock:
                # It stays busy until the read has really ended, even if it was given up.
                reading.busy = False
                self._under_way = None
                self._outcomes.append((reading, value, failure))

    def _begin(self, reading: PeriodicReads[Any]) -> bool:
        """Note what is read next; False if the round was given up."""
        with self._lock:
            self._under_way = None if self._given_up else reading
            return not self._given_up

    def end(self) -> tuple[Outcome, ...]:
        """Begin no more reads; return the outcomes. Other rounds may now do the reads that were not begun."""
        with self._lock:
            self._given_up = True
            if self._begun:
                done = [reading for reading, _value, _failure in self._outcomes]
                self.release(*done, self._under_way)
            return tuple(self._outcomes)

    def release(self, *but: PeriodicReads[Any] | None) -> None:
        """Let other rounds read what this one will not."""
        for reading, _function in self._jobs:
            if reading not in but:
                reading.busy = False


async def read_together(
    threads: IThreads, limit: float, now: float, jobs: Sequence[Job]
) -> list[PeriodicReads[Any]]:
    """
    Read each thing that is not still being read. Never raises.

    A read that does not return within ``limit`` seconds keeps its thread until it does, and is left out of
    the rounds until then. The reads after it in this round are done in the next one.

    :param now: becomes the time of the new values.
    :returns: those that have a new value.
    """
    begun = []
    for reading, function in jobs:
        if reading.busy:
            reading.skip()
        else:
            reading.busy = True
            begun.append((reading, function))
    if not begun:
        return []
    this = _Round(begun)
    late: Exception | None = None
    try:
        await threads.run(limit, this.run)
    except Exception as error:  # noqa: BLE001 - no thread was free, or it took too long
        late = error
    outcomes = this.end()
    renewed = []
    for reading, value, failure in outcomes:
        if failure is None:
            reading.succeed(value, now)
            renewed.append(reading)
        else:
            reading.fail(failure)
    if late is not None:
        if isinstance(late, TooMany):
            this.release()
        for position, (reading, _function) in enumerate(begun[len(outcomes) :]):
            if position == 0:
                reading.fail(late)
            else:
                reading.skip()
    return renewed


async def read_one(
    reading: PeriodicReads[R],
    threads: IThreads,
    limit: float,
    now: float,
    function: Callable[..., R],
    *arguments: Any,
) -> GomdError | None:
    """
    Read one thing. Never raises.

    A read that was cancelled before a thread was free for it is not begun later; another one may follow.

    :returns: the error, None if the value is new.
    """
    if reading.busy:
        return reading.skip()
    reading.busy = True
    lock = Lock()
    begun: list[bool] = []
    given_up: list[bool] = []

    def call() -> R:
        with lock:
            if given_up:
                raise GomdError(f"the read of {reading.name} was given up before it began")
            begun.append(True)
        try:
            return function(*arguments)
        finally:
            reading.busy = False

    try:
        value = await threads.run(limit, call)
    except Exception as error:  # noqa: BLE001 - returned
        if isinstance(error, (TooMany, CancelledError)):
            with lock:
                given_up.append(True)
                if not begun:
                    reading.busy = False
        return reading.fail(error)
    reading.succeed(value, now)
    return None
