"""
What the daemon does at a signal. None but TERM, INT and QUIT ends it.

The handlers are installed before anything else of the daemon is made: a hangup that comes while it starts
is done as soon as it runs.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping
from typing import Any, Final

#: Signals that would end or stop a process that does not know them, and mean nothing to the daemon. Not here:
#: what stands for a bug (SEGV, ABRT; systemd's watchdog sends ABRT), what cannot be caught, CHLD, PIPE and
#: XFSZ (Python's and Twisted's), and TSTP, by which a person stops a daemon in the foreground on purpose.
MEANINGLESS: Final = (
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
    for number in MEANINGLESS:
        # A handler, not SIG_IGN: that would be inherited by every command and job. A debugger's stays.
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _do_nothing)
    # In the background of a terminal with `stty tostop` the log is written all the same. A handler would be
    # called again and again there. Commands and jobs are started with an empty mask.
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTTIN, signal.SIGTTOU))


def _do_nothing(_number: int, _frame: Any) -> None:
    """Let a stray signal pass."""
