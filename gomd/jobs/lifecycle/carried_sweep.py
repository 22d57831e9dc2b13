"""Removes, from time to time, the carried files that nobody has fetched."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from gomd.jobs.lifecycle.carried_files import SWEEP_INTERVAL, CarriedFiles
from libgomd.errors import GomdError
from libgomd.wallclock import Wall
from libgomd.wire.job_name import JobName


class CarriedSweep:
    """
    :param is_over: whether a job is over, and its files therefore wait for nobody.
    :param wall: gives the time by which the age of files is told.
    """

    _log: ClassVar[Logger] = Logger()

    def __init__(
        self, clock: IReactorTime, carried: CarriedFiles, is_over: Callable[[JobName], bool], wall: Wall
    ) -> None:
        self._carried = carried
        self._is_over = is_over
        self._wall = wall
        self._loop = LoopingCall(self._sweep)
        self._loop.clock = clock

    def start(self) -> None:
        """Sweep every `SWEEP_INTERVAL` seconds, until `stop`."""
        self._loop.start(SWEEP_INTERVAL, now=False)

    def stop(self) -> None:
        """Sweep no more. May be called before `start`."""
        if self._loop.running:
            self._loop.stop()

    def _sweep(self) -> Deferred[None]:
        """Sweep once. Never fails: the loop would end."""
        swept = Deferred.fromCoroutine(self._sweep_once())
        return swept.addErrback(lambda failure: self._log.failure("sweeping failed", failure=failure))

    async def _sweep_once(self) -> None:
        try:
            await self._carried.sweep(self._is_over, self._wall())
        except (GomdError, OSError) as error:
            self._log.warn("carried files cannot be swept now: {error}", error=error)
