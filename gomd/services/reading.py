"""One thing that is read again and again on a thread: never twice at once, its last good value kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, ClassVar, Generic, TypeVar

from twisted.logger import Logger

from gomd.interfaces import IThreads
from libgomd.errors import GomdError
from libgomd.model import Counter

R = TypeVar("R")


class Reading(Generic[R]):
    """
    The newest good value of one thing, and how its reads went.

    :param name: for the log and the counters. :param limit: seconds one read may take.
    :ivar value: the last good value; None before the first. :ivar read_at: when it was read.
    """

    _log: ClassVar[Logger] = Logger()

    def __init__(self, name: str, threads: IThreads, limit: float) -> None:
        self.name = name
        self.value: R | None = None
        self.read_at: float | None = None
        self.busy = False
        self._threads = threads
        self._limit = limit
        self._good = 0
        self._failed = 0
        self._skipped = 0
        self._trouble = ""

    async def again(self, now: float, function: Callable[..., R], *arguments: Any) -> GomdError | None:
        """
        Read it by ``function(*arguments)`` on a thread and keep the value. Never raises.

        A read that still runs is not joined by another one: this one is then skipped and counted.

        :param now: becomes `read_at`.
        :returns: what went wrong, None when the value is new.
        """
        if self.busy:
            self._skipped += 1
            return GomdError(f"the last read of {self.name} still runs")
        self.busy = True

        def call() -> R:
            # Busy until the call is really over, not until somebody stopped waiting for it.
            try:
                return function(*arguments)
            finally:
                self.busy = False

        try:
            value = await self._threads.run(self._limit, call)
        except GomdError as error:
            self._failed += 1
            if str(error) != self._trouble:
                self._trouble = str(error)
                self._log.warn("{name} keeps its old value: {error}", name=self.name, error=error)
            return error
        except Exception as error:  # noqa: BLE001 - a bug: say so loudly, and stay up
            self._failed += 1
            self._log.failure("reading {name} failed", name=self.name)
            return GomdError(f"reading {self.name} failed ({error}): the daemon's log has the details")
        self._good += 1
        if self._trouble:
            self._trouble = ""
            self._log.info("{name} can be read again", name=self.name)
        self.value, self.read_at = value, now
        return None

    def counters(self) -> Iterable[Counter]:
        """Good, failed and skipped reads, and the trouble it has now."""
        yield Counter(f"{self.name}_reads", self._good, f"good reads of {self.name}")
        yield Counter(f"{self.name}_failures", self._failed, self._trouble or f"failed reads of {self.name}")
        yield Counter(f"{self.name}_skipped", self._skipped, "rounds left out as a read still ran")
