"""
The signals of the daemon. Only TERM, INT and QUIT end it.

The handlers are installed before anything else is made. A HUP that comes during the start is handled as soon
as the daemon runs.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping
from typing import Any, Final

#: Signals that would end or stop a process by default, and that mean nothing to the daemon. Not among them:
#: signs of a bug (SEGV, ABRT; systemd's watchdog sends ABRT), signals that cannot be caught, those of Python
#: and Twisted (CHLD, PIPE, XFSZ), and TSTP, with which a person stops a daemon in the foreground on purpose.
IGNORED_SIGNALS: Final = (
    signal.SIGUSR2,
    signal.SIGALRM,
    signal.SIGVTALRM,
    signal.SIGPROF,
    signal.SIGIO,
    signal.SIGPWR,
    signal.SIGXCPU,
    16,  # SIGSTKFLT, which Python names since 3.11
    *range(signal.SIGRTMIN, signal.SIGRTMAX + 1),
)


def install_handlers(
    reactor: Any,
    reload: Callable[[], None],
    reopen: Callable[[], None],
    stop: Callable[[], None],
) -> None:
    """
    Handle the signals of this process from now on; each function is called in the reactor.

    :param reload: at HUP. :param reopen: at USR1, as logrotate sends it. :param stop: at QUIT; TERM and INT
        are the reactor's own.
    """
    meanings: Mapping[int, Callable[[], None]] = {
        signal.SIGHUP: reload,
        signal.SIGUSR1: reopen,
        signal.SIGQUIT: stop,
    }

    def handle(number: int, _frame: Any) -> None:
        reactor.callFromThread(meanings[number])

    for number in meanings:
        signal.signal(number, handle)
    for number in IGNORED_SIGNALS:
        # A handler, not SIG_IGN: that would be inherited by every command and job. A debugger's stays.
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _do_nothing)
    # Blocked, so that the log can be written in the background of a terminal with `stty tostop`, where a
    # handler would be called again and again. Commands and jobs are started with an empty mask.
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTTIN, signal.SIGTTOU))


def _do_nothing(_number: int, _frame: Any) -> None:
    """Ignore a signal."""
