"""Our own terminal, and the signals sent to us, while we are attached to a job."""

from __future__ import annotations

import os
import signal
from types import TracebackType
from typing import Any, Final

from gom.foreground import Foreground

#: Signals that are passed on to the job.
FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
#: Milliseconds between two looks at whether we are in the foreground. A shell's `fg` tells a program that
#: runs in the background nothing.
_LOOK_INTERVAL_MS: Final = 300


class Terminal:
    """
    A context manager that queues signals until `take_signals`, and sets our terminal to raw mode.

    A terminal is read and changed only while we are in its foreground process group.

    :param is_screen: whether the job has a terminal of its own. Ours, if we have one, is then its screen and
        keyboard; only then is it set to raw mode.
    :ivar wakeup: a descriptor that is readable when a signal has arrived; -1 before the context is entered.
    """

    def __init__(self, is_screen: bool) -> None:
        self._is_terminal = os.isatty(0)
        self._foreground = Foreground()
        self.is_screen = is_screen and self._is_terminal
        self.wakeup = self._wakeup_write = -1
        self._saved: Any = None
        self._is_raw = False
        self._entered = False
        self._signals: list[int] = []

    def __enter__(self) -> Terminal:
        self.wakeup, self._wakeup_write = os.pipe()
        for descriptor in (self.wakeup, self._wakeup_write):
            os.set_blocking(descriptor, False)
        signal.set_wakeup_fd(self._wakeup_write, warn_on_full_buffer=False)
        for number in (*FORWARDED, signal.SIGHUP, signal.SIGWINCH, signal.SIGTSTP, signal.SIGCONT):
            if signal.getsignal(number) is not signal.SIG_IGN:  # nohup
                signal.signal(number, self._queue)
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        self._entered = True
        self.look()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._entered = False
        self.restore()
        signal.set_wakeup_fd(-1)

    def _queue(self, number: int, _frame: object) -> None:
        self._signals.append(number)

    # -- the foreground and raw mode

    def look(self) -> bool:
        """
        Return whether standard input may be read now, and set raw mode where that is due.

        In the background of its terminal it must not be: the shell reads it there.
        """
        if not self._is_terminal:
            return True
        if not self._foreground.ours:
            self._is_raw = False  # the shell has set its own mode
            return not os.isatty(0)  # a terminal that was hung up: reading finds its end
        if self.is_screen and self._entered and not self._is_raw:
            self._set_raw()
        return True

    def look_interval(self) -> int | None:
        """Return the milliseconds after which to `look` again, None when nothing can change."""
        return None if not self._is_terminal or self._foreground.ours else _LOOK_INTERVAL_MS

    def become_screen(self) -> None:
        """The job turns out to have a terminal of its own: ours is its screen from here on."""
        self.is_screen = self._is_terminal
        self.look()

    def _set_raw(self) -> None:
        import termios
        import tty

        try:
            mode = termios.tcgetattr(0)
            if self._saved is None:
                self._saved = mode
            tty.setraw(0, termios.TCSANOW)
        except termios.error:  # it is hung up
            return
        self._is_raw = True

    def restore(self) -> None:
        """Restore the terminal to its former mode. A second call does nothing."""
        saved, self._saved = self._saved, None
        if saved is None:
            return
        self._is_raw = False
        if self._foreground.ours:  # else it is the shell's, and changing it would stop us
            import termios

            try:
                termios.tcsetattr(0, termios.TCSADRAIN, saved)
            except termios.error:
                pass

    def say(self, sentences: str) -> None:
        """Write lines to our standard error, also while the terminal is raw."""
        end = "\r\n" if self._is_raw else "\n"
        os.write(2, (sentences + "\n").replace("\n", end).encode("utf-8", "backslashreplace"))

    # -- suspending

    def suspend(self, whole_group: bool) -> None:
        """
        Stop this program until it is continued. Blocks.

        It is not stopped where nobody could continue it: the kernel ignores the signal in a process group
        without a shell that does job control. The terminal is in its former mode meanwhile.

        :param whole_group: also stop the other processes of our process group, as the terminal would have.
        """
        self.restore()
        previous = signal.getsignal(signal.SIGTSTP)
        if previous is signal.SIG_IGN:
            return
        signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        try:
            os.kill(0 if whole_group else os.getpid(), signal.SIGTSTP)
        finally:
            signal.signal(signal.SIGTSTP, previous)
        self._signals = [number for number in self._signals if number not in (signal.SIGTSTP, signal.SIGCONT)]
        self.look()

    # -- signals

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
