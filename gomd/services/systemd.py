"""Tells systemd that the daemon is ready, reloads, stops, and still responds (sd_notify)."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, MutableMapping
from typing import ClassVar, Final

from twisted.application.service import Service
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from libgomd.shared_wakeups import SharedWakeups
from libgomd.wire.text import printable

#: Seconds that a notification may take; the queue is only full when systemd itself hangs.
SEND_TIMEOUT: Final = 0.5
#: Pings in the time after which systemd considers the daemon hung.
PINGS_PER_TIMEOUT: Final = 3


def send_to_socket(address: str, message: bytes) -> None:
    """
    Send ``message`` to the notification socket: a path, or ``@`` and an abstract name.

    :raises OSError: nothing receives it.
    """
    name = "\0" + address[1:] if address.startswith("@") else address
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as notify:
        notify.settimeout(SEND_TIMEOUT)
        notify.sendto(message, name)


def monotonic_microseconds() -> int:
    """Return CLOCK_MONOTONIC, which systemd compares with its own."""
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000


class Notifier:
    """
    Tells systemd what the daemon does. Without a socket it does nothing; it never raises.

    :param address: of the notification socket; empty for none.
    :param pid: of the main process.
    """

    _log: ClassVar[Logger] = Logger()

    def __init__(
        self,
        address: str,
        pid: int,
        send: Callable[[str, bytes], None] = send_to_socket,
        monotonic: Callable[[], int] = monotonic_microseconds,
    ) -> None:
        self._address = address
        self._pid = pid
        self._send = send
        self._monotonic = monotonic
        self._failed = False

    def ready(self, status: str) -> None:
        """Say that the start or a reload is complete. ``status`` is a line for `systemctl status`."""
        self._tell("READY=1", f"STATUS={printable(status)}", f"MAINPID={self._pid}")

    def reloading(self, status: str) -> None:
        """Say that the configuration is being read again; `ready` must follow, even if that fails."""
        self._tell("RELOADING=1", f"MONOTONIC_USEC={self._monotonic()}", f"STATUS={printable(status)}")

    def stopping(self, status: str) -> None:
        """Say that the daemon begins to stop."""
        self._tell("STOPPING=1", f"STATUS={printable(status)}")

    def ping(self) -> None:
        """Say that the reactor still responds."""
        self._tell("WATCHDOG=1")

    def _tell(self, *assignments: str) -> None:
        if not self._address:
            return
        try:
            self._send(self._address, "\n".join(assignments).encode("utf-8", "backslashreplace"))
            self._failed = False
        except (OSError, ValueError) as error:
            if not self._failed:
                self._log.warn("systemd cannot be told {what}: {error}", what=assignments[0], error=error)
            self._failed = True


class Watchdog(Service):
    """
    Pings systemd from the reactor, so that systemd restarts a daemon whose reactor is stuck.

    :param period: seconds between pings, from `take_environment`; None if systemd does not watch.
    """

    def __init__(self, notifier: Notifier, clock: IReactorTime, period: float | None) -> None:
        self._period = period
        self._loop = LoopingCall(notifier.ping)
        self._loop.clock = SharedWakeups(clock)

    def startService(self) -> None:
        """Ping now, and periodically from now on."""
        super().startService()
        if self._period is not None:
            self._loop.start(self._period)

    def stopService(self) -> None:
        """Stop pinging."""
        super().stopService()
        if self._loop.running:
            self._loop.stop()


#: Variables that systemd sets for the daemon alone. NOTIFY_SOCKET and LISTEN_* are taken where they are used.
OWN_VARIABLES: Final = (
    "STATE_DIRECTORY",
    "RUNTIME_DIRECTORY",
    "CONFIGURATION_DIRECTORY",
    "LOGS_DIRECTORY",
    "CACHE_DIRECTORY",
    "CREDENTIALS_DIRECTORY",
    "INVOCATION_ID",
    "JOURNAL_STREAM",
    "MAINPID",
    "MANAGERPID",
    "SYSTEMD_EXEC_PID",
    "MEMORY_PRESSURE_WATCH",
    "MEMORY_PRESSURE_WRITE",
)


def take_environment(environ: MutableMapping[str, str], pid: int) -> tuple[Notifier, float | None]:
    """
    Return the notifier and the period of pings (seconds, None for never) that systemd asks for in
    ``environ``.

    The variables are removed, so that no command or job of this daemon can send notifications for it.

    :param pid: of this process; a watchdog that is meant for another one is left alone.
    """
    for name in OWN_VARIABLES:
        environ.pop(name, None)
    address = environ.pop("NOTIFY_SOCKET", "")
    limit = environ.pop("WATCHDOG_USEC", "")
    watched = environ.pop("WATCHDOG_PID", "")
    if not address.startswith(("/", "@")) or len(os.fsencode(address)) > 107:
        address = ""
    period = None
    if address and limit.isascii() and limit.isdigit() and len(limit) < 16 and watched in ("", str(pid)):
        period = int(limit) / 1e6 / PINGS_PER_TIMEOUT or None
    return Notifier(address, pid), period
