"""Removes the directories of jobs, some at a time on a thread: after a start there may be thousands."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, Final

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from gomd.interfaces import IThreads
from gomd.jobs.lifecycle.supervisors import Supervisors
from libgomd.errors import GomdError

#: Seconds that one batch may take, and how many directories it has.
REMOVE_TIMEOUT: Final = 60.0
_BATCH_SIZE: Final = 100


class DirectoryRemoval:
    """
    :param threads: for the disk. :param running: tells whether the daemon still runs; the rest stays when it
        does not, and is removed by a later daemon.
    """

    _log: ClassVar[Logger] = Logger()

    def __init__(self, threads: IThreads, supervisors: Supervisors, running: Callable[[], bool]) -> None:
        self._threads = threads
        self._supervisors = supervisors
        self._running = running
        self._waiting: dict[str, None] = {}
        self._removing = False

    def remove(self, name: str) -> None:
        """Have the directory of a job of this home removed in its turn. Never raises."""
        self._waiting[name] = None
        if not self._removing:
            self._removing = True
            Deferred.fromCoroutine(self._remove_all()).addErrback(
                lambda failure: self._log.failure("removing directories of jobs failed", failure=failure)
            )

    async def _remove_all(self) -> None:
        try:
            while self._waiting and self._running():
                names = list(self._waiting)[:_BATCH_SIZE]
                for name in names:
                    del self._waiting[name]
                try:
                    await self._threads.run(REMOVE_TIMEOUT, self._remove_batch, names)
                except GomdError as error:
                    self._log.warn(
                        "the directory of job {job} and others are not removed: {error}",
                        job=names[0], error=error,
                    )  # fmt: skip
        finally:
            self._removing = False

    def _remove_batch(self, names: Sequence[str]) -> None:
        """Blocks."""
        for name in names:
            self._supervisors.remove(name)
