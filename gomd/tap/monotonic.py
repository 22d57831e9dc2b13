"""The clocks that nobody sets: the reactor's, which is the wall clock in Twisted, and the machine's."""

from __future__ import annotations

import time
from typing import Any


def use_monotonic_time(reactor: Any) -> None:
    """
    Let everything that ``reactor`` schedules go by CLOCK_MONOTONIC from now on.

    Its `callLater`, its delayed calls, and what asks its `seconds` (`LoopingCall`, `TimerService`, the
    time-outs of connections) then wait as long as they say when the wall clock is set. What twistd has
    scheduled already keeps the time it has left.
    """
    if reactor.seconds is time.monotonic:
        return
    earlier = time.monotonic() - reactor.seconds()
    reactor.seconds = time.monotonic
    for call in reactor.getDelayedCalls():
        call.seconds = time.monotonic
        call.time += earlier


def seconds_since_boot() -> float:
    """Return how long the machine has been on, its sleep included, which CLOCK_MONOTONIC leaves out."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
