"""
Acknowledgements of output on their way from a caller to the job's end: few, in place of one for each piece.

A caller acknowledges each piece that it has written. To pass each on would wake two daemons and a supervisor
for every 64 KiB. The job's end needs them only so that its window does not fill, and to forget what a caller
has; so one goes out as soon as it opens a quarter of the window, and each after `DELAY` at the latest.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from libgomd.wire.frames import WINDOW

#: Bytes whose acknowledgement does not wait.
ENOUGH: Final = WINDOW // 4
#: Seconds that others wait at most.
DELAY: Final = 0.02


class OutputAcks:
    """
    Keeps the newest acknowledgement of each output until it is passed on.

    :param pass_on: is called with the kind of the frames of an output and its position.
    :param may_pass: tells whether acknowledgements may pass now; if not, `release` is called when they may.
    """

    def __init__(
        self, clock: IReactorTime, pass_on: Callable[[int, int], None], may_pass: Callable[[], bool]
    ) -> None:
        self._clock = clock
        self._pass_on = pass_on
        self._may_pass = may_pass
        self._newest: dict[int, int] = {}
        self._passed: dict[int, int] = {}
        self._timer: IDelayedCall | None = None

    def forget(self) -> None:
        """Forget all: they were of an attachment that is over."""
        self._newest.clear()
        self._passed.clear()
        self._stop_timer()

    def take(self, kind: int, position: int) -> None:
        """Take an acknowledgement; it is passed on now or later."""
        self._newest[kind] = position
        if position - self._passed.get(kind, 0) >= ENOUGH:
            self.release()
        elif self._timer is None:
            self._timer = self._clock.callLater(DELAY, self._on_time)

    def _on_time(self) -> None:
        self._timer = None
        self.release()

    def release(self) -> None:
        """Pass on what there is, if it may pass now."""
        if not self._may_pass():
            return
        self._stop_timer()
        newest, self._newest = self._newest, {}
        self._passed.update(newest)
        for kind, position in newest.items():
            self._pass_on(kind, position)

    def _stop_timer(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
