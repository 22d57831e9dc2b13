"""Closes idle and dead connections of a factory, those of removed tokens, and all when the daemon stops."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from gomd.protocols.telnet_factory import TelnetFactory
from libgomd.shared_wakeups import SharedWakeups

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
        self._loop.clock = SharedWakeups(clock)
        self._checking: Deferred[None] | None = None

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
        """Close what is to be closed. Never raises: an escaping error would end the loop."""
        try:
            self._factory.end_idle()
            self._end_dead()
            self._check_tokens()
        except Exception:  # noqa: BLE001 - a bug: log it, and stay up
            self._log.failure("closing idle connections failed")

    def _check_tokens(self) -> None:
        """Begin to close the connections with removed tokens, unless the last time has not ended."""
        if self._checking is None:
            checking = self._checking = Deferred.fromCoroutine(self._factory.end_revoked())
            checking.addBoth(self._checked)

    def _checked(self, result: object) -> None:
        self._checking = None
        if isinstance(result, Failure):
            self._log.failure("checking tokens again failed", failure=result)
