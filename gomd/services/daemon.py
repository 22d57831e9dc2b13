"""The daemon as a whole: its services in order, its signals, its end."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any, ClassVar

from twisted.application.service import MultiService
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.logger import Logger
from zope.interface import implementer

from gomd.interfaces import IStoppable

#: Seconds between the answer to `shutdown` and the end, for the answer to arrive.
COURTESY = 0.1


@implementer(IStoppable)
class Daemon(MultiService):
    """
    Starts its services in the order they were added and stops them in the opposite one.

    :param reload: reads the configuration again; called at SIGHUP. Must not raise.
    :param on_started: called once all services run; ``on_stopping`` before they are stopped.
    """

    _log: ClassVar[Logger] = Logger()

    def __init__(self, reactor: Any) -> None:
        super().__init__()
        self._reactor = reactor
        self.reload: Callable[[], None] = lambda: None
        self.on_started: Callable[[], None] = lambda: None
        self.on_stopping: Callable[[], None] = lambda: None
        self.take_over: Callable[[Any], None] = lambda _config: None
        self.on_stopped: Callable[[], None] = lambda: None

    def startService(self) -> None:
        """Start every service, then listen to SIGHUP."""
        super().startService()
        self._reactor.callWhenRunning(self._running)

    def _running(self) -> None:
        signal.signal(signal.SIGHUP, lambda *_: self._reactor.callFromThread(self.reload))
        self.on_started()

    async def _stop(self) -> None:
        self.on_stopping()
        while self.services:
            # One after the other: what is added last stands on what was added first.
            service = self.services[-1]
            await maybeDeferred(service.disownServiceParent)
        self.on_stopped()

    def stopService(self) -> Deferred[None]:
        """Stop the services, the last one first; fires when none is left running."""
        self.running = 0
        return Deferred.fromCoroutine(self._stop())

    def stop(self, reason: str) -> None:
        """See `IStoppable.stop`."""
        self._log.info("stopping: {reason}", reason=reason)
        self._reactor.callLater(COURTESY, self._end)

    def _end(self) -> None:
        if self._reactor.running:
            self._reactor.stop()
