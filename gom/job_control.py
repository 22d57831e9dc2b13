"""Decides what signals to this program mean for its job: Ctrl-C, Ctrl-Z and the ways out."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Final, Protocol

from gom.interrupts import InterruptCounter, Press
from libgomd.wire.attachment import CallerEnd

#: Seconds that the end of a job may take which was killed by Ctrl-C; then we leave without it.
KILL_TIMEOUT: Final = 3.0
#: Signals that end this program where they cannot be passed on: no job has begun, or the daemon is away.
ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT, signal.SIGHUP)


class Screen(Protocol):
    """The part of `gom.terminal.Terminal` that is used here."""

    is_screen: bool

    def take_signals(self) -> list[int]:
        """Return the signals that have arrived since the last call."""

    def look(self) -> bool:
        """Set the mode that is due, and return whether standard input may be read."""

    def size(self) -> tuple[int, int]:
        """Return rows and columns. :raises OSError: it was hung up."""

    def suspend(self, whole_group: bool) -> None:
        """Stop this program until it is continued."""

    def say(self, sentences: str) -> None:
        """Write lines to standard error."""


class JobControl:
    """
    Passes signals on to a job, and follows it when it stops.

    :param leave: closes everything and exits with 128 + a signal's number; with True it tells the job first
        that its caller is gone. :param flush: sends what waits to be sent, before this program stops.
    :param now: returns seconds on a monotonic clock.
    :ivar job: the number of the job; 0 before it has started.
    :ivar stays_alone: whether the job goes on without us: Ctrl-C and Ctrl-Z then concern this program only.
    """

    def __init__(
        self,
        end: CallerEnd,
        terminal: Screen,
        leave: Callable[[int, bool], None],
        flush: Callable[[], None],
        now: Callable[[], float],
    ) -> None:
        self.job = 0
        self.stays_alone = False
        self._end = end
        self._terminal = terminal
        self._leave = leave
        self._flush = flush
        self._now = now
        self._interrupts = InterruptCounter(now)
        self._leave_at: float | None = None
        self._stop: int | None = 0
        self._followed = 0
        self._asked = self._sent = False

    # -- signals

    def handle_signals(self) -> None:
        """Do what the signals ask for that have arrived while the daemon is connected."""
        for number in self._terminal.take_signals():
            if number == signal.SIGWINCH:
                self._tell_size()
            elif number == signal.SIGCONT:
                self._on_continued()
            elif number == signal.SIGTSTP and self.stays_alone:
                self.suspend()
            elif number == signal.SIGTSTP:
                self._asked, self._sent = True, False
            elif number == signal.SIGHUP:
                self.hang_up()
            elif (not self.job and number in ENDING) or self.stays_alone:
                self._leave(number, False)
            elif number == signal.SIGINT and not self._terminal.is_screen:
                self._interrupt()
            else:
                self._end.signal(number)
        if self._leave_at is not None and self._now() >= self._leave_at and self._end.exited is None:
            self._say(f"nothing is heard of the end of job {self.job}: see `gom jobs`")
            self._leave(signal.SIGKILL, False)

    def handle_signals_offline(self) -> None:
        """Do what they ask for while the daemon is away: nothing can be passed on."""
        for number in self._terminal.take_signals():
            if number in ENDING:
                self._leave(number, False)
            elif number == signal.SIGTSTP:
                self._terminal.suspend(whole_group=False)
            elif number == signal.SIGCONT:
                self._terminal.look()

    @property
    def is_ending(self) -> bool:
        """Whether the job was killed here: what is typed now is for the shell."""
        return self._leave_at is not None

    def seconds_left(self) -> float | None:
        """Return the time until `handle_signals` has to be called without a signal, None for never."""
        return None if self._leave_at is None else max(0.0, self._leave_at - self._now())

    def hang_up(self) -> None:
        """Leave as a closed terminal does: the job is told to end, unless it goes on alone."""
        self._leave(signal.SIGHUP, not self.stays_alone)

    def _interrupt(self) -> None:
        """Pass Ctrl-C on to a job that has no terminal; a second one asks, a third one ends it."""
        press = self._interrupts.press()
        if press is Press.LEAVE:
            self._leave(signal.SIGINT, False)
        elif press is Press.END:
            self._say(f"job {self.job} is killed")
            self._end.signal(signal.SIGKILL)
            self._end.signal(signal.SIGKILL, group=False)  # it may have left its process group
            self._leave_at = self._now() + KILL_TIMEOUT
        else:
            self._end.signal(signal.SIGINT)
            if press is Press.ASK:
                self._say(f"job {self.job} still runs; press Ctrl-C once more to kill it")

    def _tell_size(self) -> None:
        if self._terminal.is_screen:
            try:
                self._end.window_size(*self._terminal.size())
            except OSError:  # it was hung up
                pass

    def _say(self, sentence: str) -> None:
        self._terminal.say(f"gom: {sentence}")

    # -- stopping and continuing

    def on_attached(self, stop: int | None) -> None:
        """
        Take note of whether the job is stopped.

        :param stop: 0 when it runs; else which time it is that it has stopped; None when its end cannot tell.
        """
        self._stop = stop
        if stop and stop == self._followed:  # that it should go on was lost with a connection
            self._end.signal(signal.SIGCONT)

    def follow_stops(self) -> None:
        """
        Stop this program when the job has stopped: at our Ctrl-Z, or at one typed on its own terminal.

        Call it whenever anything has happened. Blocks until we are continued, then continues the job.
        """
        if not self._end.attached or self._end.exited is not None:
            return
        if self._asked and self._stop is None:  # a daemon of before cannot tell: it is stopped for sure
            self._end.signal(signal.SIGSTOP)
            self._follow(whole_group=False)
        elif self._stop and (self._asked or (self._terminal.is_screen and self._stop != self._followed)):
            self._follow(whole_group=not self._asked)
        elif self._asked and not self._sent:
            self._sent = True
            self._end.signal(signal.SIGTSTP)

    def _follow(self, whole_group: bool) -> None:
        if self._stop:
            self._followed, self._stop = self._stop, 0
        self.suspend(whole_group)
        self._end.signal(signal.SIGCONT)

    def suspend(self, whole_group: bool = False) -> None:
        """Stop this program until it is continued. Blocks. See `gom.terminal.Terminal.suspend`."""
        self._asked = self._sent = False
        self._flush()
        self._terminal.suspend(whole_group)
        self._on_continued()

    def _on_continued(self) -> None:
        self._terminal.look()
        self._tell_size()
