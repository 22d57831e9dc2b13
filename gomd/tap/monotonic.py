"""The reactor's clock, made one that nobody sets: Twisted's own is the wall clock."""

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
