"""
Notices when the wall clock is set, when the machine slept, and when this process was stopped.

All durations are measured with CLOCK_MONOTONIC, so none of this moves a timer. But people have to know why
time stamps do not fit together, other nodes may have dropped datagrams with the wrong time, and a machine
that was returned to a snapshot has to use new sequence numbers (docs/membership.md).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import ClassVar, Final

from twisted.application.service import Service
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from gomd.interfaces import IEvents
from libgomd.model import Counter, Event, EventKind, Node
from libgomd.shared_wakeups import SharedWakeups
from libgomd.wallclock import Wall

#: Seconds between two checks.
CHECK_PERIOD: Final = 1.0
#: Seconds by which the wall clock has to change to count as set: NTP slews it by 0.5 ms a second, chrony by
#: 0.1 s.
MIN_JUMP: Final = 0.5
#: Seconds that reading the clocks may take, or they are read again, because the process was interrupted.
MAX_READING_TIME: Final = 0.05
MAX_READ_ATTEMPTS: Final = 5
#: Seconds by which a check may be late. If it is later, this process or the whole machine was stopped.
MAX_CHECK_DELAY: Final = 3.0


class ClockWatch(Service):
    """
    Compares three clocks every second.

    :param wall: the clock that is watched. :param boot: seconds since boot, including sleep.
    :param clock: monotonic, without that sleep. :param own: returns this node.
    :param slept: called with the seconds for which the machine slept.
    :param disturbed: called after each of the three, because everything known may be out of date.
    """

    _log: ClassVar[Logger] = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        wall: Wall,
        boot: Callable[[], float],
        own: Callable[[], Node],
        events: IEvents,
        slept: Callable[[float], None],
        disturbed: Callable[[], None],
    ) -> None:
        self._slept = slept
        self._disturbed = disturbed
        self._clock = clock
        self._wall = wall
        self._boot = boot
        self._own = own
        self._events = events
        self._jumps = 0
        self._last_jump = self._sleep = 0.0
        self._loop = LoopingCall(self._tick)
        self._loop.clock = SharedWakeups(clock)
        self._moments = self._read_clocks()

    def _read_clocks(self) -> tuple[float, float, float] | None:
        """Return the three clocks at one moment; None if this process was always interrupted."""
        for _ in range(MAX_READ_ATTEMPTS):
            now = self._clock.seconds()
            moments = now, self._boot(), self._wall()
            if self._clock.seconds() - now < MAX_READING_TIME:
                return moments
        return None

    def startService(self) -> None:
        """Check now and once a second."""
        super().startService()
        self._moments = self._read_clocks()
        self._loop.start(CHECK_PERIOD, now=False)

    def stopService(self) -> None:
        """Stop checking."""
        super().stopService()
        if self._loop.running:
            self._loop.stop()

    def _tick(self) -> None:
        """Check once. Never raises: an escaping error would end the loop."""
        try:
            self._compare()
        except Exception:  # noqa: BLE001 - a bug: say so loudly, and stay up
            self._log.failure("watching the clock failed")

    def _compare(self) -> None:
        before, moments = self._moments, self._read_clocks()
        if moments is None:
            return
        self._moments = moments
        if before is None:
            return
        passed, since_boot, by_wall = (new - old for new, old in zip(moments, before, strict=True))
        slept, jump = since_boot - passed, by_wall - since_boot
        if slept >= MIN_JUMP:
            self._sleep += slept
            self._log.info("this machine slept for {seconds} s", seconds=round(slept, 1))
            self._slept(slept)
        if abs(jump) >= MIN_JUMP:
            self._say(jump)
        if slept >= MIN_JUMP or abs(jump) >= MIN_JUMP or passed > CHECK_PERIOD + MAX_CHECK_DELAY:
            self._disturbed()

    def _say(self, jump: float) -> None:
        self._jumps += 1
        self._last_jump = jump
        reason = (
            f"its wall clock was set {'on' if jump > 0 else 'back'} by {abs(jump):.1f} s: stamps before "
            "and after differ by that; timers, jobs and watches go on"
        )
        self._log.warn("{reason}", reason=reason)
        own = self._own()
        self._events.publish(Event(self._wall(), EventKind.SUSPECT, own.id, own.name, reason, own.id))

    def counters(self) -> Iterable[Counter]:
        """Return jumps of the wall clock, and sleep."""
        yield Counter("clock_jumps", self._jumps, "times the wall clock was set while gomd ran")
        last = round(self._last_jump, 3)
        yield Counter("clock_last_jump", last, "seconds it was set on the last time, back is negative")
        yield Counter("clock_slept", round(self._sleep, 1), "seconds this machine slept while gomd ran")
