"""The time limits of many short calls, with one timer for all of them."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime


class TimeLimits:
    """
    Tells when a limit has passed. Nearly none ever does.

    A timer of its own for each would wake this process up once more, after the call has long ended: a timer
    that is cancelled stays in the reactor's list until it would have been due. So there is one, which is due
    with the first limit, and stays when that call ends in time.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._due: dict[int, tuple[float, Callable[[], None]]] = {}
        self._count = 0
        self._timer: IDelayedCall | None = None
        self._closed = False

    def add(self, limit: float, passed: Callable[[], None]) -> int:
        """
        Call ``passed`` in ``limit`` seconds, unless the limit is removed before.

        :returns: what `remove` takes.
        """
        self._count += 1
        due = self._clock.seconds() + limit
        self._due[self._count] = due, passed
        self._look_at(due)
        return self._count

    def remove(self, number: int) -> None:
        """Forget a limit; nothing happens when it has passed."""
        self._due.pop(number, None)
        self._leave()

    def open(self) -> None:
        """Go on after `close`."""
        self._closed = False

    def close(self) -> None:
        """Leave no timer behind as soon as no limit is left."""
        self._closed = True
        self._leave()

    def _leave(self) -> None:
        if self._closed and not self._due and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look_at(self, due: float) -> None:
        """Look at ``due``, or before."""
        delay = max(0.0, due - self._clock.seconds())
        if self._timer is None:
            self._timer = self._clock.callLater(delay, self._look)
        elif self._timer.getTime() > due:
            self._timer.reset(delay)

    def _look(self) -> None:
        self._timer = None
        now = self._clock.seconds()
        for number, (due, passed) in tuple(self._due.items()):
            if due <= now and self._due.pop(number, None) is not None:
                passed()
        if self._due:
            self._look_at(min(due for due, _passed in self._due.values()))
