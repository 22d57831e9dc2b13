"""Our own terminal, and the signals sent to us, while we are attached to a job."""

from __future__ import annotations

import os
import signal
from types import TracebackType
from typing import Any

#: Signals that are passed on to the job.
FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)


class Terminal:
    """
    A context manager that queues signals until `take_signals`, and sets our terminal to raw mode.

    :param is_screen: whether the job has a terminal of its own. Ours, if we have one, is then its screen and
        keyboard; only then is it set to raw mode.
    :ivar wakeup: a descriptor that is readable when a signal has arrived; -1 before the context is entered.
    """

    def __init__(self, is_screen: bool) -> None:
        self.is_screen = is_screen and os.isatty(0)
        self.wakeup = self._wakeup_write = -1
        self._saved: Any = None
        self._signals: list[int] = []

    def __enter__(self) -> Terminal:
        self.wakeup, self._wakeup_write = os.pipe()
        for descriptor in (self.wakeup, self._wakeup_write):
            os.set_blocking(descriptor, False)
        signal.set_wakeup_fd(self._wakeup_write, warn_on_full_buffer=False)
        for number in (*FORWARDED, signal.SIGHUP, signal.SIGWINCH):
            if signal.getsignal(number) is not signal.SIG_IGN:  # nohup
                signal.signal(number, lambda number, _frame: self._signals.append(number))
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        if self.is_screen:
            import termios
            import tty

            self._saved = termios.tcgetattr(0)
            tty.setraw(0, termios.TCSANOW)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.restore()
        signal.set_wakeup_fd(-1)

    def restore(self) -> None:
        """Restore the terminal to its former mode. A second call does nothing."""
        if self._saved is not None:
            import termios

            termios.tcsetattr(0, termios.TCSADRAIN, self._saved)
            self._saved = None

    def size(self) -> tuple[int, int]:
        """Return the rows and columns of our terminal."""
        columns, rows = os.get_terminal_size(0)
        return rows, columns

    def woken(self) -> None:
        """Drain `wakeup` after it was readable."""
        os.read(self.wakeup, 512)

    def take_signals(self) -> list[int]:
        """Return the signals that have arrived since the last call, in order of arrival."""
        taken: list[int] = []
        while self._signals:
            taken.append(self._signals.pop(0))
        return taken
