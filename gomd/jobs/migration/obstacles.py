"""What keeps the jobs of this node from moving, looked at now and then: said before one tries."""

from __future__ import annotations

from typing import ClassVar

from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from gomd.jobs.lifecycle.tracked import TrackedJob
from gomd.jobs.migration.context import LOOK_LIMIT, MigrationContext
from libgomd.errors import GomdError, TimedOut

#: Seconds from round to round, and jobs looked at in one: all of a thousand are looked at within minutes.
PERIOD = 3.0
MOST = 32


class Obstacles:
    """Keeps `TrackedJob.obstacle` of the jobs that run here."""

    _log: ClassVar[Logger] = Logger()

    def __init__(self, ground: MigrationContext) -> None:
        self._ground = ground
        self._loop = LoopingCall(self._start)
        self._loop.clock = ground.clock
        self._busy = False
        self._turn = 0

    def start(self) -> None:
        """Look every `PERIOD` seconds."""
        if not self._loop.running:
            self._loop.start(PERIOD, now=False)

    def stop(self) -> None:
        """Look no more."""
        if self._loop.running:
            self._loop.stop()

    def _start(self) -> None:
        if not self._busy and self._ground.keeper.jobs:
            Deferred.fromCoroutine(self.round())

    async def round(self) -> None:
        """Look once. Never raises: an escaping error would end the loop."""
        self._busy = True
        try:
            held = [each for each in self._ground.keeper.jobs.values() if self._is_here(each)]
            if held:
                await self._ground.ability.why_not()
            begin = self._turn % len(held) if held else 0
            self._turn = begin + MOST
            for each in (held[begin:] + held[:begin])[:MOST]:
                await self._look(each)
        except GomdError as error:
            self._log.debug("jobs are not looked at now: {error}", error=error)
        except Exception:  # noqa: BLE001 - a bug: say so loudly, and stay up
            self._log.failure("looking at jobs failed")
        finally:
            self._busy = False

    def _is_here(self, held: TrackedJob) -> bool:
        own = self._ground.own_id
        return held.runs_on(own) and not held.leaving

    async def _look(self, held: TrackedJob) -> None:
        ground, running = self._ground, held.running
        if running is None:
            return
        try:
            held.note_obstacle(
                "; ".join(
                    await ground.looks.do(
                        LOOK_LIMIT, held.name, ground.machine.stays, running.pid, running.supervisor
                    )
                )
            )
        except OSError:
            pass  # it has ended
        except TimedOut as error:
            held.note_obstacle(str(error))
