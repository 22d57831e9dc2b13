"""Notifies whoever waits for it that a job has changed, so that nobody has to poll."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from libgomd.deadlines import within
from libgomd.errors import TimedOut


class JobChanges:
    """
    The changes of jobs: of an entry of the table, of the connection to a job, or of a migration.

    A job is named by its number at this home, or by its whole name when it may be a guest.
    Waiting costs nothing until the job changes: the condition is evaluated then, and not on a timer.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._waiting: dict[int | str, list[Deferred[None]]] = {}

    def notify(self, job: int | str) -> None:
        """Wake whoever waits for ``job`` in the next turn of the reactor, after the change."""
        if waiting := self._waiting.pop(job, None):
            self._clock.callLater(0, self._wake, tuple(waiting))

    def _wake(self, waiting: Iterable[Deferred[None]]) -> None:
        for waited in waiting:
            if not waited.called:
                waited.callback(None)

    async def until(self, job: int | str, condition: Callable[[], bool], seconds: float) -> bool:
        """
        Wait until ``condition`` holds, which is evaluated now and after each change of ``job``.

        :param condition: takes no time; what it raises is raised here.
        :returns: whether it held within ``seconds``.
        """
        deadline = self._clock.seconds() + seconds
        while not condition():
            left = deadline - self._clock.seconds()
            if left <= 0:
                return False
            waited: Deferred[None] = Deferred()
            waiting = self._waiting.setdefault(job, [])
            waiting.append(waited)
            try:
                await within(self._clock, left, waited, TimedOut("the job did not change"))
            except TimedOut:
                return condition()
            finally:
                if waited in waiting:
                    waiting.remove(waited)
                if not waiting and self._waiting.get(job) is waiting:
                    del self._waiting[job]
        return True
