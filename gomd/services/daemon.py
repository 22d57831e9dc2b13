"""The daemon as a whole: starts, stops and reloads its services."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, ClassVar, Protocol

from twisted.application.service import MultiService
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.logger import ILogObserver, Logger
from twisted.python.components import Componentized
from twisted.python.failure import Failure
from zope.interface import implementer

from gomd.interfaces import IStoppable
from gomd.services.logging import DaemonLog
from gomd.services.own_memory import give_back_free_memory, keep_present_objects
from gomd.services.systemd import Notifier
from libgomd.errors import ConfigError, GomdError, TimedOut, TooMany

#: Seconds between the answer to `shutdown` and the stop, so that the answer arrives.
SHUTDOWN_DELAY = 0.1


class _Changes(Protocol):
    """The differences of a new configuration: those that are used at once, and those that need a restart."""

    @property
    def live(self) -> Sequence[str]: ...

    @property
    def restart(self) -> Sequence[str]: ...


class Configuration(Protocol):
    """The configuration, as far as this module uses it: it can be compared with another one."""

    def changes(self, other: Any) -> _Changes:
        """Return the settings that are different in ``other``."""


def one_line(error: Exception) -> str:
    """Return the text of an error on one line; with its type, unless it is a `GomdError` or an OSError."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    text = " ".join(str(error).split())
    return text if isinstance(error, GomdError) and text else f"{type(error).__name__}: {text}"


@implementer(IStoppable)
class Daemon(MultiService):
    """
    Starts its services in the order they were added and stops them in the opposite one.

    :param config: the configuration it runs with. :param notifier: informs systemd.
    :ivar load: reads the configuration again, at SIGHUP. Blocks; raises `ConfigError`.
    :ivar prepare: reads the files that a new configuration names. Blocks; raises `ConfigError`.
    :ivar apart: calls a function that blocks on a thread, within a time limit.
    :ivar take_over: uses those parts of a new configuration that can change while the daemon runs, with what
        `prepare` has read.
    :ivar started: called when all services run; returns a Deferred that fires when they answer.
    :ivar stopped: called when no service runs any more.
    :ivar observer: writes the daemon's log; None leaves that to twistd.
    """

    _log: ClassVar[Logger] = Logger()

    def __init__(self, reactor: Any, config: Configuration, notifier: Notifier) -> None:
        super().__init__()
        self._reactor = reactor
        self._config = config
        self._newest = config
        self._notifier = notifier
        self._reloading = self._again = False
        self.load: Callable[[], Any] = lambda: config
        self.prepare: Callable[[Any], Any] = lambda _config: None
        self.apart: Callable[[Callable[[], Any]], Awaitable[Any]] = lambda work: maybeDeferred(work)
        self.take_over: Callable[[Any, Any], None] = lambda _config, _prepared: None
        self.started: Callable[[], object] = lambda: None
        self.stopped: Callable[[], None] = lambda: None
        self.observer: DaemonLog | None = None

    def setServiceParent(self, parent: Any) -> None:
        """Join twistd's application, and give it the log observer."""
        super().setServiceParent(parent)
        if self.observer is not None and isinstance(parent, Componentized):
            parent.setComponent(ILogObserver, self.observer)

    def startService(self) -> None:
        """
        Start every service; tell systemd when they answer.

        If one cannot start, the process ends with one sentence and exit status 1.
        """
        try:
            super().startService()
        except Exception as error:  # noqa: BLE001 - any error is reported in one sentence
            self._log.debug("starting failed", log_failure=Failure())
            self._log.critical("cannot start: {reason}", reason=one_line(error))
            print(f"gomd: cannot start: {one_line(error)}", file=sys.__stderr__, flush=True)
            raise SystemExit(1) from None
        self._reactor.callWhenRunning(self._running)

    def _running(self) -> None:
        keep_present_objects()
        answering = maybeDeferred(self.started)
        answering.addCallback(lambda _result: self._answering())
        answering.addErrback(lambda failure: self._log.failure("starting failed", failure=failure))

    def _answering(self) -> None:
        if self.running:
            self._notifier.ready("answering")
            give_back_free_memory()

    def stopService(self) -> Deferred[None]:
        """Stop the services, the last one first; fires when all have stopped."""
        self.running = 0
        self._notifier.stopping("stopping")
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        for service in reversed(list(self.services)):
            # One after the other: later services use earlier ones.
            try:
                await maybeDeferred(service.stopService)
            except Exception:  # noqa: BLE001 - the other services are stopped in any case
                self._log.failure("stopping {service} failed", service=type(service).__name__)
        self.stopped()

    def reload(self) -> None:
        """
        Read the configuration again, and reopen the log file. Log which changes need a restart.

        The files are read on a thread: a disk that hangs keeps the old configuration, and stops nothing else.
        Never raises.
        """
        self.reopen_log()
        if not self.running:
            return
        if self._reloading:
            self._again = True  # what is read now may be older than this request
            return
        self._reloading = True
        self._notifier.reloading("reading the configuration again")
        Deferred.fromCoroutine(self._reload())

    async def _reload(self) -> None:
        """Read it until nobody has asked for more meanwhile. Never raises."""
        while True:
            self._again = False
            await self._read_again()
            if not self._again:
                break
        self._reloading = False
        if self.running:
            self._notifier.ready("answering")

    def _read(self) -> tuple[Any, Any]:
        """Return the configuration and what it names. Blocks."""
        new = self.load()
        return new, self.prepare(new)

    async def _read_again(self) -> None:
        """Read it once. All of it is taken over, or nothing."""
        try:
            new, prepared = await self.apart(self._read)
            if not self.running:
                return
            live, restart = self._newest.changes(new).live, self._config.changes(new).restart
            self.take_over(new, prepared)
            self._newest = new
        except ConfigError as error:
            for mistake in error.mistakes:
                self._log.error("the configuration stays as it was: {mistake}", mistake=mistake)
        except (TimedOut, TooMany) as error:
            self._log.error(
                "the configuration stays as it was because it cannot be read: {error}", error=error
            )
        except Exception:  # noqa: BLE001 - a bug: log it, and stay up
            self._log.failure("taking over the configuration failed")
        else:
            self._log.info("configuration read again, changed: {live}", live=", ".join(live) or "nothing")
            if restart:
                self._log.warn("these changes need a restart: {names}", names=", ".join(restart))

    def reopen_log(self) -> None:
        """Reopen the log file, which may have been moved away. Never raises."""
        if self.observer is None:
            return
        try:
            self.observer.reopen()
        except OSError as error:
            self._log.error(
                "the log cannot be reopened ({error}): gomd keeps writing the old file", error=error
            )

    def stop(self, reason: str) -> None:
        """See `IStoppable.stop`."""
        self._log.info("stopping: {reason}", reason=reason)
        self._reactor.callLater(SHUTDOWN_DELAY, self._end)

    def _end(self) -> None:
        if self._reactor.running:
            self._reactor.stop()
