"""Closes idle connections of one factory and dead ones, and all of the factory's when the daemon stops."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from gomd.protocols.telnet_factory import TelnetFactory

#: Seconds between two sweeps. An idle connection lives at most that much longer than its timeout.
SWEEP_PERIOD = 5.0


class IdleSweep(Service):
    """
    Sweeps the connections of ``factory``.

    :param end_dead: ends connections that this node has opened and whose other end is gone.
    """

    _log: ClassVar[Logger] = Logger()

    def __init__(
        self, factory: TelnetFactory, clock: IReactorTime, end_dead: Callable[[], None] = lambda: None
    ) -> None:
        self._factory = factory
        self._end_dead = end_dead
        self._loop = LoopingCall(self.sweep)
        self._loop.clock = clock

    def startService(self) -> None:
        """Sweep every few seconds from now on."""
        super().startService()
        self._loop.start(SWEEP_PERIOD, now=False)

    def stopService(self) -> Deferred[None]:
        """Close every connection; fires when all have ended."""
        super().stopService()
        if self._loop.running:
            self._loop.stop()
        return self._factory.close_all()

    def sweep(self) -> None:
        """Close the idle connections. Never raises: an escaping error would end the loop."""
        try:
            self._factory.end_idle()
            self._end_dead()
        except Exception:  # noqa: BLE001 - a bug: log it, and stay up
            self._log.failure("closing idle connections failed")
