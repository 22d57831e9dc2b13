"""How a supervisor learns that its job has ended, and the deadlines that lead to the end."""

from __future__ import annotations

import os
import select
import signal

from gomd.jobs.checkpoint import process_tree

#: Seconds between SIGHUP and SIGKILL when the caller is gone.
HANGUP_GRACE = 5.0
#: Seconds the output may stay open after the job has ended, by something that left its process group.
DRAIN_TIMEOUT = 1.0
#: Generations of processes without a namespace that are killed; each round ends one.
_MAX_GENERATIONS = 100


class ExitWatcher:
    """
    Waits for the children of this process, of which one is the job's first process.

    :ivar paused: the job is frozen: that it stops then means nothing.
    :ivar stop: 0 while that runs; while it is stopped, which time it is that it has stopped.
    :ivar stops: how many times it has stopped.
    :ivar status: how that ended, as a shell reports it; None while it runs.
    :ivar signal: that ended it, 0 for none.
    :ivar kill_at: when it is to be killed, :ivar drain_until: when its output is to be closed; both None
        while that is not planned, and on the monotonic clock.
    """

    def __init__(self) -> None:
        self.status: int | None = None
        self.signal = 0
        self.paused = False
        self.stop = self.stops = 0
        self.kill_at: float | None = None
        self.drain_until: float | None = None
        self._wakeup = -1

    def start(self) -> None:
        """Be woken when a child ends. To be called before there is one."""
        self._wakeup, writing = os.pipe()
        os.set_blocking(self._wakeup, False)
        os.set_blocking(writing, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(writing, warn_on_full_buffer=False)

    def register(self, poll: select.poll) -> None:
        """Poll for ended children."""
        if self._wakeup >= 0:
            poll.register(self._wakeup, select.POLLIN)

    def reap(self, ready: dict[int, int], pid: int, now: float) -> bool:
        """
        Wait for every child that has ended; return whether the job's first process, ``pid``, is among them.

        :param now: on the monotonic clock.
        """
        if self._wakeup not in ready:
            return False
        os.read(self._wakeup, 512)
        found = False
        while True:
            try:
                ended, status = os.waitpid(-1, os.WNOHANG | os.WUNTRACED | os.WCONTINUED)
            except ChildProcessError:
                return found
            if ended == 0:
                return found
            if ended != pid:
                continue
            if os.WIFSTOPPED(status) or os.WIFCONTINUED(status):
                if not self.paused:
                    self.note_stop(os.WIFSTOPPED(status))
            else:
                code = os.waitstatus_to_exitcode(status)
                self.status = code if code >= 0 else 128 - code
                self.signal = max(0, -code)
                self.kill_at = None
                self.drain_until = now + DRAIN_TIMEOUT
                found = True

    def note_stop(self, stopped: bool) -> None:
        """Take note of whether the job's first process is stopped."""
        if stopped and not self.stop:
            self.stops += 1
        self.stop = self.stops if stopped else 0

    def plan_kill(self, now: float) -> bool:
        """Let the job be killed after `HANGUP_GRACE`; return whether that is new."""
        if self.status is not None or self.kill_at is not None:
            return False
        self.kill_at = now + HANGUP_GRACE
        return True

    def output_came(self, now: float) -> None:
        """Wait longer for the end of the output: there is still some."""
        if self.drain_until is not None:
            self.drain_until = now + DRAIN_TIMEOUT

    def deadlines(self) -> list[float]:
        """Return when something has to be done."""
        return [at for at in (self.kill_at, self.drain_until) if at is not None]


def end_the_rest(namespace: bool, group: int) -> None:
    """
    Kill what the job's first process has left behind.

    :param namespace: this is process 1 of its PID namespace. :param group: else, the job's process group.
    """
    try:
        if namespace:
            os.kill(-1, signal.SIGKILL)
            return
        os.killpg(group, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        if namespace:
            return
    for _ in range(_MAX_GENERATIONS):
        children = process_tree.children(os.getpid())
        if not children:
            return
        for child in children:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
