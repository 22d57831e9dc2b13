"""Things that are read again and again on a thread: never twice at once, the last good value kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from threading import Lock
from typing import Any, ClassVar, Generic, TypeVar

from twisted.logger import Logger

from gomd.interfaces import IThreads
from libgomd.errors import GomdError, TooMany
from libgomd.model import Counter

R = TypeVar("R")


class PeriodicReads(Generic[R]):
    """
    The newest good value of one thing, and how its reads went.

    :param name: for the log and the counters.
    :ivar value: the last good value; None before the first. :ivar read_at: when it was read.
    :ivar busy: whether a read of it has begun and is not over.
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
        """Count a round that is left out as the last read still runs."""
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
        """Keep the old value; what went wrong is said once, until it changes."""
        self._failed += 1
        if not isinstance(error, GomdError):  # a bug: say so loudly, and stay up
            self._log.error("reading {name} failed: {error!r}", name=self.name, error=error)
            error = GomdError(f"reading {self.name} failed: {error!r}")
        if str(error) != self._trouble:
            self._trouble = str(error)
            self._log.warn("{name} keeps its old value: {error}", name=self.name, error=error)
        return error

    def counters(self) -> Iterable[Counter]:
        """Good, failed and skipped reads, and the trouble it has now."""
        yield Counter(f"{self.name}_reads", self._good, f"good reads of {self.name}")
        yield Counter(f"{self.name}_failures", self._failed, self._trouble or f"failed reads of {self.name}")
        yield Counter(f"{self.name}_skipped", self._skipped, "rounds left out as a read still ran")


#: One thing and what reads it; what came of that.
Job = tuple[PeriodicReads[Any], Callable[[], Any]]
Outcome = tuple[PeriodicReads[Any], Any, Exception | None]


class _Round:
    """Some reads, one after the other on one thread: a thread for each would cost more than the reads."""

    def __init__(self, jobs: Sequence[Job]) -> None:
        self._jobs = jobs
        self._lock = Lock()
        self._outcomes: list[Outcome] = []
        self._under_way: PeriodicReads[Any] | None = None
        self._begun = False
        self._given_up = False

    def run(self) -> None:
        """Read. On a thread; what takes too long is given up by others meanwhile."""
        with self._lock:
            if self._given_up:  # before there was a thread for it
                self.release()
                return
            self._begun = True
        for reading, function in self._jobs:
            if not self._begin(reading):
                return
            value, failure = None, None
            try:
                value = function()
            except Exception as error:  # noqa: BLE001 - told to whoever waits
                failure = error
            with self._lock:
                # Busy until the read is really over, not until somebody stopped waiting for it.
                reading.busy = False
                self._under_way = None
                self._outcomes.append((reading, value, failure))

    def _begin(self, reading: PeriodicReads[Any]) -> bool:
        """Note what is read next; False when no more is wanted."""
        with self._lock:
            self._under_way = None if self._given_up else reading
            return not self._given_up

    def end(self) -> tuple[Outcome, ...]:
        """Begin no more; return what came of it. What never was begun may be read by others now."""
        with self._lock:
            self._given_up = True
            if self._begun:
                done = [reading for reading, _value, _failure in self._outcomes]
                self.release(*done, self._under_way)
            return tuple(self._outcomes)

    def release(self, *but: PeriodicReads[Any] | None) -> None:
        """Let others read what this round will not."""
        for reading, _function in self._jobs:
            if reading not in but:
                reading.busy = False


async def read_together(
    threads: IThreads, limit: float, now: float, jobs: Sequence[Job]
) -> list[PeriodicReads[Any]]:
    """
    Read each thing that is not still being read. Never raises.

    One that does not come back within ``limit`` seconds keeps its thread until it does, and is left out of
    the rounds until then; those behind it in this round are read again in the next.

    :param now: becomes the time of the new values.
    :returns: the readings that have a new value.
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
    except Exception as error:  # noqa: BLE001 - no thread for it, or it took too long
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

    :returns: what went wrong, None when the value is new.
    """
    if reading.busy:
        return reading.skip()
    reading.busy = True

    def call() -> R:
        try:
            return function(*arguments)
        finally:
            reading.busy = False

    try:
        value = await threads.run(limit, call)
    except Exception as error:  # noqa: BLE001 - told to whoever asks
        if isinstance(error, TooMany):  # it was not even begun
            reading.busy = False
        return reading.fail(error)
    reading.succeed(value, now)
    return None
