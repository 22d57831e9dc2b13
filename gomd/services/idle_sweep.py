"""Closes the connections that say nothing for too long, and all of them at the end."""

from __future__ import annotations

from typing import ClassVar

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from gomd.protocols.telnet_factory import TelnetFactory

#: Seconds between two looks: a connection lives at most that much longer than its idle timeout.
PERIOD = 5.0


class IdleSweep(Service):
    """Looks after the connections of one door."""

    _log: ClassVar[Logger] = Logger()

    def __init__(self, door: TelnetFactory, clock: IReactorTime) -> None:
        self._door = door
        self._loop = LoopingCall(self.sweep)
        self._loop.clock = clock

    def startService(self) -> None:
        """Look every few seconds from now on."""
        super().startService()
        self._loop.start(PERIOD, now=False)

    def stopService(self) -> Deferred[None]:
        """Close every connection; fires when all are gone."""
        super().stopService()
        if self._loop.running:
            self._loop.stop()
        return self._door.close_all()

    def sweep(self) -> None:
        """Close what is idle now. Never raises: an escaping error would end the loop."""
        try:
            self._door.end_idle()
        except Exception:  # noqa: BLE001 - a bug: say so loudly, and stay up
            self._log.failure("closing idle connections failed")
